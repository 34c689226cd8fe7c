package clientip

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Front reports whether the connections of a TCP peer carry the requests of many clients: the peer is a trusted front
// that names the client in a header of each request.
func (e *Extractor) Front(peer netip.Addr) bool {
	return e.header != "" && e.trusted.Lookup(peer)
}

// Announces reports whether a TCP peer must begin each connection with a PROXY protocol header. From other peers, such
// a header is not expected: HTTP and TLS treat it as garbage.
func (e *Extractor) Announces(peer netip.Addr) bool {
	return e.rule.ProxyProtocol && e.trusted.Lookup(peer)
}

// maxLine is the length of the longest line of version 1, with its CRLF:
// haproxy.org/download/3.2/doc/proxy-protocol.txt §2.1.
const maxLine = 107

// ReadProxyHeader reads a PROXY protocol header, version 1 or 2, in any number of packets. It returns the client's
// address from it, or nil when the connection is the front's own (LOCAL, UNKNOWN). The bytes after the header stay in
// r, whose buffer must hold 107 bytes. The caller limits the time. The protocol limits the size to 64 KiB and 16 bytes.
func ReadProxyHeader(r *bufio.Reader) (net.Addr, error) {
	if err := fillLine(r); err != nil {
		return nil, fmt.Errorf("read PROXY header: %w", err)
	}
	header, err := proxyproto.Read(r)
	if err != nil {
		return nil, fmt.Errorf("read PROXY header: %w", err)
	}
	if header.Command.IsLocal() {
		return nil, nil //nolint:nilnil // no client is named
	}
	return header.SourceAddr, nil
}

// fillLine waits until r holds the complete line of a header of version 1, because the library refuses a line that
// arrives in two packets.
func fillLine(r *bufio.Reader) error {
	for want := 1; want <= maxLine; want++ {
		if _, err := r.Peek(want); err != nil {
			return err
		}
		have, _ := r.Peek(min(r.Buffered(), maxLine)) // these bytes are buffered
		n := min(len(have), len(proxyproto.SIGV1))
		if !bytes.Equal(have[:n], proxyproto.SIGV1[:n]) || bytes.IndexByte(have, '\n') >= 0 {
			return nil // version 2, no header, or a complete line
		}
		want = len(have)
	}
	return nil // too long: the library returns an error
}
