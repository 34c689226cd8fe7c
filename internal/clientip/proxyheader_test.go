package clientip_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	proxyproto "github.com/pires/go-proxyproto"

	"ociproxy/internal/clientip"
)

// v2 returns a PROXY header of version 2.
func v2(t *testing.T, command proxyproto.ProtocolVersionAndCommand, source, destination string, values ...proxyproto.TLV) string {
	t.Helper()
	header := &proxyproto.Header{
		Version: 2, Command: command, TransportProtocol: proxyproto.TCPv4,
		SourceAddr:      net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source)),
		DestinationAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(destination)),
	}
	if netip.MustParseAddrPort(source).Addr().Is6() {
		header.TransportProtocol = proxyproto.TCPv6
	}
	if err := header.SetTLVs(values); err != nil {
		t.Fatal(err)
	}
	raw, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// packets returns two reads, like two TCP segments.
func packets(a, b string) io.Reader {
	return io.MultiReader(strings.NewReader(a), strings.NewReader(b))
}

// TestProxyHeaderInPieces guards against an old fault: a header of version 1 was refused when its line arrived in two
// segments. Wherever a header is cut, and also when each byte arrives alone, the result is the same, and the bytes
// after the header stay.
func TestProxyHeaderInPieces(t *testing.T) {
	long := proxyproto.TLV{Type: 0xe0, Value: bytes.Repeat([]byte("x"), 1000)}
	longest := "PROXY TCP6 " + strings.Repeat("ffff:", 7) + "ffff " + strings.Repeat("ffff:", 7) + "ffff 65535 65535\r\n"
	const rest = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, test := range []struct{ what, header, want string }{
		{"v1", "PROXY TCP4 203.0.113.7 192.0.2.80 40000 443\r\n", "203.0.113.7:40000"},
		{"v1, v6", "PROXY TCP6 2001:db8::7 2001:db8::80 40000 443\r\n", "[2001:db8::7]:40000"},
		{"v1, longest", longest, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{"v1, unknown", "PROXY UNKNOWN\r\n", ""},
		{"v2", v2(t, proxyproto.PROXY, "203.0.113.7:40000", "192.0.2.80:443"), "203.0.113.7:40000"},
		{"v2, v6", v2(t, proxyproto.PROXY, "[2001:db8::7]:40000", "[2001:db8::80]:443"), "[2001:db8::7]:40000"},
		{"v2, long", v2(t, proxyproto.PROXY, "203.0.113.7:40000", "192.0.2.80:443", long), "203.0.113.7:40000"},
		{"v2, health check", v2(t, proxyproto.LOCAL, "203.0.113.7:40000", "192.0.2.80:443"), ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			whole := test.header + rest
			check := func(how any, from io.Reader) {
				r := bufio.NewReaderSize(from, 128)
				got, err := clientip.ReadProxyHeader(r)
				name := ""
				if got != nil {
					name = got.String()
				}
				after, _ := io.ReadAll(r)
				if err != nil || name != test.want || string(after) != rest {
					t.Errorf("cut at %v: %q, %v, then %q; want %q and the request", how, name, err, after, test.want)
				}
			}
			for i := range whole {
				check(i, packets(whole[:i], whole[i:]))
			}
			check("every byte", iotest.OneByteReader(strings.NewReader(whole)))
		})
	}
}

// TestProxyHeaderRefused: invalid headers are refused, in whatever pieces they arrive, and only a bounded number of
// bytes is read.
func TestProxyHeaderRefused(t *testing.T) {
	for _, raw := range []string{
		"", "P", "PROXY", "PROXY TCP4 203.0.113.7", "PROXY TCP4 203.0.113.7\r\n", "PROXY TCP4 203.0.113.7 192.0.2.80 40000 443\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PROXYGET / HTTP/1.1\r\n", "PRO\r\n", "\r\n\r\n\x00\r\nQUIT\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00",
		"PROXY " + strings.Repeat("x", 100_000), "PROXY TCP4" + strings.Repeat(" ", 200) + "\r\n",
	} {
		for i := range min(len(raw)+1, 130) {
			from := &counting{from: packets(raw[:i], raw[i:])}
			if got, err := clientip.ReadProxyHeader(bufio.NewReaderSize(from, 128)); err == nil {
				t.Errorf("%.40q cut at %d: %v, want an error", raw, i, got)
			}
			if from.n > 256 {
				t.Errorf("%.40q cut at %d: read %d bytes", raw, i, from.n)
			}
		}
	}
}

type counting struct {
	from io.Reader
	n    int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}
