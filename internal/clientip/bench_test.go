package clientip_test

import (
	"net/http"
	"strings"
	"testing"
)

var shapes = []struct {
	front, peer string
	header      http.Header
}{
	{"direct", "203.0.113.7:40000", http.Header{"X-Forwarded-For": {"198.51.100.66"}}},
	{"google-lb", "35.191.12.34:51000", http.Header{"X-Forwarded-For": {"198.51.100.66,203.0.113.7,192.0.2.80"}}},
	{"cloudfront", "130.176.1.2:33000", http.Header{"Cloudfront-Viewer-Address": {"2001:db8::7:46532"}}},
	{"cloudflare", "172.68.10.20:33000", http.Header{"Cf-Connecting-Ip": {"203.0.113.7"}}},
	{"aws-alb", "10.0.3.7:33000", http.Header{"X-Forwarded-For": {strings.Repeat("198.51.100.66, ", 4000) + "203.0.113.7:41234"}}},
}

func TestFromAllocatesNothing(t *testing.T) {
	for _, shape := range shapes {
		e := preset(t, shape.front)
		if n := testing.AllocsPerRun(100, func() { e.From(shape.peer, shape.header) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", shape.front, n)
		}
	}
	e := preset(t, "cloud-run")
	garbage := http.Header{"X-Forwarded-For": {"2001:db8::garbage:1:2:3"}}
	if n := testing.AllocsPerRun(100, func() { e.From("169.254.1.1:1", garbage) }); n > 2 {
		t.Errorf("garbage: %v allocations, want the parser's error and no more", n)
	}
}

func BenchmarkFrom(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.front, func(b *testing.B) {
			e := preset(b, shape.front)
			b.ReportAllocs()
			for b.Loop() {
				e.From(shape.peer, shape.header)
			}
		})
	}
}
