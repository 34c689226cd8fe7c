package clientip

import (
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyHeaderTimeout is how long a peer may take to send its PROXY header, or
// the first bytes of something else. A front sends it with the first packet.
const proxyHeaderTimeout = 5 * time.Second

// Listener wraps inner so that a connection's RemoteAddr is the one its PROXY
// protocol header (version 1 or 2) names. The header is required from trusted
// peers and refused from others; a connection that breaks this fails at its first
// read. Without Rule.ProxyProtocol it returns inner itself.
//
// The header comes before TLS: wrap the TCP listener with this one and the
// result with TLS.
func (e *Extractor) Listener(inner net.Listener) net.Listener {
	if !e.rule.ProxyProtocol {
		return inner
	}
	return &proxyproto.Listener{
		Listener:          inner,
		ConnPolicy:        e.policy,
		ReadHeaderTimeout: proxyHeaderTimeout,
	}
}

// policy is explicit for every peer: the library's own default believes a
// header from anybody.
func (e *Extractor) policy(options proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
	peer, ok := parsePeer(options.Upstream.String())
	if ok && e.trusted.Lookup(peer) {
		return proxyproto.REQUIRE, nil
	}
	return proxyproto.REJECT, nil
}
