package clientip_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"ociproxy/internal/clientip"
)

// FuzzChain: a client writes arbitrary header lines, then the front appends its two entries. Counting and walking must
// both find the client's address, whatever the client wrote. When nothing is appended, From must still return a
// normalised address.
func FuzzChain(f *testing.F) {
	for _, sent := range []string{
		"", ",", "198.51.100.66", "198.51.100.66, 10.0.0.1", "unknown", "[::1", "a\nb", "\n", "2001:db8::1:443",
		strings.Repeat("10.0.0.1,", 100), strings.Repeat("1", 200), "fe80::1%x", "::ffff:10.0.0.1", "for=1.2.3.4;by=x",
	} {
		f.Add(sent)
	}
	count := extractor(f, clientip.Rule{Header: "X-Forwarded-For", Entry: 2})
	walk := extractor(f, clientip.Rule{Header: "X-Forwarded-For"})
	port := extractor(f, clientip.Rule{Header: "X-Forwarded-For", Single: true, Port: true})
	client, peer := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("10.0.0.9")

	f.Fuzz(func(t *testing.T, sent string) {
		lines := strings.Split(sent, "\n")
		appended := append([]string(nil), lines...)
		appended[len(appended)-1] += ",203.0.113.7,10.0.0.8"
		ownLine := append(append([]string(nil), lines...), "203.0.113.7, 10.0.0.8")

		for _, h := range [][]string{appended, ownLine} {
			for _, e := range []*clientip.Extractor{count, walk} {
				if addr, source := e.From("10.0.0.9:1", http.Header{"X-Forwarded-For": h}); addr != client || source != clientip.SourceHeader {
					t.Fatalf("%q: %v from %v", h, addr, source)
				}
			}
		}
		for _, e := range []*clientip.Extractor{count, walk, port} {
			addr, source := e.From("10.0.0.9:1", http.Header{"X-Forwarded-For": lines})
			if !addr.IsValid() || addr.Is4In6() || addr.Zone() != "" {
				t.Fatalf("%q: %v is not normalised", lines, addr)
			}
			if source != clientip.SourceHeader && addr != peer {
				t.Fatalf("%q: %v from %v, want the peer", lines, addr, source)
			}
		}
		if addr, source := count.From(sent, nil); addr.Is4In6() || addr.Zone() != "" || addr.IsValid() == (source == clientip.SourcePeerInvalid) {
			t.Fatalf("peer %q: %v from %v", sent, addr, source)
		}
	})
}
