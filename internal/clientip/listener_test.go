package clientip_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"ociproxy/internal/clientip"
)

const plain = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.66\r\nConnection: close\r\n\r\n"

// ask serves behind a Listener of rule, sends raw over loopback and returns the
// answer's body, "address source", or an error when there is none.
func ask(t *testing.T, rule clientip.Rule, raw string) (string, error) {
	t.Helper()
	e := extractor(t, rule)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr, source := e.From(r.RemoteAddr, r.Header)
		fmt.Fprintf(w, "%s %s", addr, source)
	}), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(e.Listener(inner)) }()
	defer func() {
		server.Close()
		<-done
	}()

	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func v2(t *testing.T, command proxyproto.ProtocolVersionAndCommand, source, destination string) string {
	t.Helper()
	header := &proxyproto.Header{
		Version: 2, Command: command, TransportProtocol: proxyproto.TCPv4,
		SourceAddr:      net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source)),
		DestinationAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(destination)),
	}
	if netip.MustParseAddrPort(source).Addr().Is6() {
		header.TransportProtocol = proxyproto.TCPv6
	}
	raw, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestProxyProtocol(t *testing.T) {
	trusting := clientip.Rule{ProxyProtocol: true} // loopback is trusted by default
	distrusting := clientip.Rule{ProxyProtocol: true, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	const v1 = "PROXY TCP4 203.0.113.7 192.0.2.80 40000 443\r\n"

	for _, test := range []struct {
		what string
		rule clientip.Rule
		raw  string
		want string // "": refused
	}{
		{"v1", trusting, v1 + plain, "203.0.113.7 proxy-protocol"},
		{"v1, v6", trusting, "PROXY TCP6 2001:db8::7 2001:db8::80 40000 443\r\n" + plain, "2001:db8::7 proxy-protocol"},
		{"v1, unknown", trusting, "PROXY UNKNOWN\r\n" + plain, "127.0.0.1 peer"},
		{"v2", trusting, v2(t, proxyproto.PROXY, "203.0.113.7:40000", "192.0.2.80:443") + plain, "203.0.113.7 proxy-protocol"},
		{"v2, v6", trusting, v2(t, proxyproto.PROXY, "[2001:db8::7]:40000", "[2001:db8::80]:443") + plain, "2001:db8::7 proxy-protocol"},
		{"v2, health check", trusting, v2(t, proxyproto.LOCAL, "203.0.113.7:40000", "192.0.2.80:443") + plain, "127.0.0.1 peer"},
		{"missing where required", trusting, plain, ""},
		{"broken", trusting, "PROXY TCP4 203.0.113.7\r\n" + plain, ""},
		{"twice", trusting, v1 + v1 + plain, ""},
		{"from an untrusted peer", distrusting, v1 + plain, ""},
		{"v2 from an untrusted peer", distrusting, v2(t, proxyproto.PROXY, "203.0.113.7:40000", "192.0.2.80:443") + plain, ""},
		{"untrusted peer without", distrusting, plain, "127.0.0.1 proxy-protocol"},
		{"not configured", clientip.Rule{}, plain, "127.0.0.1 peer"},
		{"not configured, sent", clientip.Rule{}, v1 + plain, ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			got, err := ask(t, test.rule, test.raw)
			if test.want == "" {
				if err == nil && !isBadRequest(got) {
					t.Errorf("answered %q, want a refusal", got)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// isBadRequest: net/http's own answer to bytes that are not HTTP.
func isBadRequest(body string) bool { return len(body) >= 3 && body[:3] == "400" }

func TestListenerIsIdentityWithoutProxyProtocol(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	if got := preset(t, "google-lb").Listener(inner); got != inner {
		t.Errorf("the listener was wrapped: %T", got)
	}
}
