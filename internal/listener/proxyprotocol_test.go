package listener

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/clientip"
)

// TestProxyProtocol: a header is required from trusted peers, refused from other peers, and read once.
func TestProxyProtocol(t *testing.T) {
	const v1, request = "PROXY TCP4 203.0.113.7 192.0.2.80 40000 443\r\n", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	const v2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x50\x9c\x40\x01\xbb"
	local := strings.Replace(v2, "\x21", "\x20", 1)
	for _, test := range []struct{ what, trusted, raw, want string }{
		{"v1", "127.0.0.0/8", v1 + request, "203.0.113.7:40000"},
		{"v2", "127.0.0.0/8", v2 + request, "203.0.113.7:40000"},
		{"v2, health check", "127.0.0.0/8", local + request, "127.0.0.1:"},
		{"v1, unknown", "127.0.0.0/8", "PROXY UNKNOWN\r\n" + request, "127.0.0.1:"},
		{"missing where required", "127.0.0.0/8", request, ""},
		{"broken", "127.0.0.0/8", "PROXY TCP4 203.0.113.7\r\n" + request, ""},
		{"twice", "127.0.0.0/8", v1 + v1 + request, "400"},
		{"from an untrusted peer", "192.0.2.0/24", v1 + request, "400"},
		{"v2 from an untrusted peer", "192.0.2.0/24", v2 + request, "400"},
		{"untrusted peer without", "192.0.2.0/24", request, "127.0.0.1:"},
	} {
		t.Run(test.what, func(t *testing.T) {
			e, err := clientip.New(clientip.Rule{ProxyProtocol: true, Trusted: []netip.Prefix{netip.MustParsePrefix(test.trusted)}})
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, Options{Max: 10, Front: e.Front, Announces: e.Announces, Header: clientip.ReadProxyHeader})
			for _, cut := range []int{0, 3, 20} {
				c := s.dial(t, "127.0.0.1")
				pieces(c, test.raw, cut)
				if got := c.answer(); !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
					t.Errorf("cut at %d: %q, want %q", cut, got, test.want)
				}
			}
		})
	}
}

// A peer that may announce clients, but sends its header slowly or never, keeps its slot for five seconds.
func TestSlowProxyHeader(t *testing.T) {
	for what, pause := range map[string]time.Duration{"silent": time.Hour, "dripping": time.Second, "in time": time.Second / 20} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				var sender sync.WaitGroup
				sender.Go(func() {
					for _, b := range []byte("PROXY TCP4 203.0.113.7 192.0.2.80 40000 443\r\n") {
						if _, err := far.Write([]byte{b}); err != nil {
							return
						}
						time.Sleep(pause) //nolint:forbidigo // virtual time
					}
				})
				l := &Listener{opt: Options{Header: clientip.ReadProxyHeader}, ctx: t.Context()}
				start := time.Now()
				err := l.header(&Conn{Conn: near})
				took := time.Since(start)
				near.Close()
				sender.Wait()
				if late := pause >= time.Second; late != errors.Is(err, os.ErrDeadlineExceeded) || late && took != headerTimeout || !late && err != nil {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}
