package clientip

// Source says where an address came from. The set of sources is closed, and each one is a metric label. A deployment
// with several kinds of sources has a wrong rule, or a client that is probing the rule.
type Source uint8

const (
	// SourcePeer means that no rule asks for more than the TCP peer.
	SourcePeer Source = iota
	// SourceHeader means that the address is from the header, as the rule says.
	SourceHeader
	// SourceProxyProtocol means the address of the connection, where PROXY protocol is required from trusted peers.
	SourceProxyProtocol

	// For all sources below, the address is that of the TCP peer.

	// SourcePeerUntrusted means that the peer is not a trusted front, so its headers do not count.
	SourcePeerUntrusted
	// SourceFrontUnknown means that the peer is trusted, but the required header does not identify it as our front. It
	// is another customer's front at the same provider.
	SourceFrontUnknown
	// SourceHeaderMissing means that a trusted peer did not send the header.
	SourceHeaderMissing
	// SourceHeaderRepeated means that a single-value header came more than once.
	SourceHeaderRepeated
	// SourceHeaderShort means that the header has fewer entries than the rule counts.
	SourceHeaderShort
	// SourceHeaderInvalid means that the entry is not an address that a client can have.
	SourceHeaderInvalid
	// SourcePeerInvalid means that the peer has no IP address either (a Unix socket). The address is the zero Addr.
	SourcePeerInvalid

	sources
)

var sourceNames = [sources]string{
	"peer", "header", "proxy-protocol", "peer-untrusted", "front-unknown",
	"header-missing", "header-repeated", "header-short", "header-invalid", "peer-invalid",
}

// String returns the source's metric label.
func (s Source) String() string {
	if s >= sources {
		return "unknown"
	}
	return sourceNames[s]
}

// Sources returns all sources in a fixed order, so that metrics can be prepared before the first request.
func Sources() []Source {
	all := make([]Source, sources)
	for i := range all {
		all[i] = Source(i)
	}
	return all
}
