package clientip

// Source says where an address came from. It is a closed set and a metric label:
// a deployment whose sources are not all of one kind has a wrong rule, or
// somebody who is trying one out.
type Source uint8

const (
	// SourcePeer: no rule asks for anything but the TCP peer.
	SourcePeer Source = iota
	// SourceHeader: taken from the header, as the rule says.
	SourceHeader
	// SourceProxyProtocol: the connection's address, where PROXY protocol is
	// required from trusted peers.
	SourceProxyProtocol

	// All below fell back to the TCP peer.

	// SourcePeerUntrusted: the peer is not a trusted front, its headers do not count.
	SourcePeerUntrusted
	// SourceFrontUnknown: the peer is trusted but the required header does not
	// say it is our front (somebody else's, on the same provider).
	SourceFrontUnknown
	// SourceHeaderMissing: a trusted peer sent no such header.
	SourceHeaderMissing
	// SourceHeaderRepeated: a single-value header came more than once.
	SourceHeaderRepeated
	// SourceHeaderShort: fewer entries than the rule counts.
	SourceHeaderShort
	// SourceHeaderInvalid: the entry is no address a client can have.
	SourceHeaderInvalid
	// SourcePeerInvalid: not even the peer has an IP address (a Unix socket);
	// the address is the zero Addr.
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

// Sources returns all sources in a fixed order, so that metrics can be prepared
// before the first request.
func Sources() []Source {
	all := make([]Source, sources)
	for i := range all {
		all[i] = Source(i)
	}
	return all
}
