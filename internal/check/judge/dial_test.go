package judge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFamilyHint(t *testing.T) {
	for _, tt := range []struct {
		f    Family
		host string
		want string
	}{
		{IPv6, "b.s3.us-east-1.amazonaws.com", "s3.dualstack.REGION.amazonaws.com, or say families: [ipv4]"},
		{IPv6, "b.s3.dualstack.us-east-1.amazonaws.com", "add an AAAA record"},
		{IPv6, "example.test", "families: [ipv4]"},
		{IPv6, "192.0.2.7", "say families: [ipv4], so that"},
		{IPv4, "2001:db8::7", "say families: [ipv6], so that"},
		{IPv4, "example.test", "families: [ipv6]"},
	} {
		if got := familyHint(tt.f, tt.host); !strings.Contains(got, tt.want) {
			t.Errorf("%s %s: %q lacks %q", tt.f, tt.host, got, tt.want)
		}
	}
}

// TestErrors: what fails at several addresses is one line.
func TestErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	resolver := func(_ context.Context, network, _ string) ([]netip.Addr, error) {
		if network == "ip6" {
			return nil, nil
		}
		return []netip.Addr{port.Addr()}, nil
	}
	refused := "dial tcp " + port.String() + ": connect: connection refused"
	for name, want := range map[string]string{
		port.String(): refused,
		strings.Replace(port.String(), "127.0.0.1", "r.example", 1): refused + "; r.example has no AAAA record",
	} {
		tr := Transport(resolver, nil, time.Second, IPv4, IPv6)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+name+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || err.Error() != want || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
