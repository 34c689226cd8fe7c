package clientip_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/clientip"
)

// request is a request as it arrives: the peer, and the header lines in wire order.
type request struct {
	peer  string
	lines []string // "Name: value"
}

func (r request) header() http.Header {
	h := http.Header{}
	for _, line := range r.lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimPrefix(value, " "))
	}
	return h
}

func extractor(t testing.TB, rule clientip.Rule) *clientip.Extractor {
	t.Helper()
	e, err := clientip.New(rule)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func preset(t testing.TB, name string) *clientip.Extractor {
	t.Helper()
	rule, ok := clientip.Preset(name)
	if !ok {
		t.Fatalf("no preset %q", name)
	}
	return extractor(t, rule)
}

// TestFronts has what each front really sends, and what a client behind it may have added. 203.0.113.7 and 2001:db8::7
// are always the client, and 198.51.100.66 is always the address that it pretends to have. docs/client-address.md has
// this table in words.
func TestFronts(t *testing.T) {
	const (
		client4, client6 = "203.0.113.7", "2001:db8::7"
		spoof            = "198.51.100.66"
	)
	for _, test := range []struct {
		front, what string
		request     request
		addr        string
		source      clientip.Source
	}{
		{"direct", "v4", request{client4 + ":40000", nil}, client4, clientip.SourcePeer},
		{"direct", "v6", request{"[2001:db8::7]:40000", nil}, client6, clientip.SourcePeer},
		{"direct", "v4 on a dual-stack socket", request{"[::ffff:203.0.113.7]:40000", nil}, client4, clientip.SourcePeer},
		{"direct", "link-local with zone", request{"[fe80::7%eth0]:40000", nil}, "fe80::7", clientip.SourcePeer},
		{"direct", "spoofed header", request{client4 + ":40000", []string{"X-Forwarded-For: " + spoof}}, client4, clientip.SourcePeer},
		{"direct", "no IP peer", request{"@", nil}, "", clientip.SourcePeerInvalid},
		{"direct", "no peer", request{"", nil}, "", clientip.SourcePeerInvalid},

		{"google-lb", "plain", request{"35.191.12.34:51000", []string{"X-Forwarded-For: 203.0.113.7,192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "spaces", request{"130.211.1.9:51000", []string{"X-Forwarded-For: 203.0.113.7, 192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "v6 client", request{"35.191.12.34:51000", []string{"X-Forwarded-For: 2001:db8::7,2001:db8:80::1"}}, client6, clientip.SourceHeader},
		{"google-lb", "v6 backend", request{"[2600:2d00:1:b029::12]:51000", []string{"X-Forwarded-For: 203.0.113.7,192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "in front of Cloud Run", request{"169.254.169.126:51000", []string{"X-Forwarded-For: 203.0.113.7,192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "spoofed entry", request{"35.191.12.34:51000", []string{"X-Forwarded-For: 198.51.100.66,203.0.113.7,192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "spoofed chain", request{"35.191.12.34:51000", []string{"X-Forwarded-For: 198.51.100.66, 192.0.2.80, 203.0.113.7,192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "spoofed line of its own", request{"35.191.12.34:51000", []string{"X-Forwarded-For: 198.51.100.66, 192.0.2.80", "X-Forwarded-For: 203.0.113.7,192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "each entry a line", request{"35.191.12.34:51000", []string{"X-Forwarded-For: 198.51.100.66", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "spoofed garbage", request{"35.191.12.34:51000", []string{"X-Forwarded-For: ,,unknown, \"[::1\",203.0.113.7,192.0.2.80"}}, client4, clientip.SourceHeader},
		{"google-lb", "health check", request{"35.191.12.34:51000", nil}, "35.191.12.34", clientip.SourceHeaderMissing},
		{"google-lb", "short chain", request{"35.191.12.34:51000", []string{"X-Forwarded-For: 203.0.113.7"}}, "35.191.12.34", clientip.SourceHeaderShort},
		{"google-lb", "past the front", request{client4 + ":51000", []string{"X-Forwarded-For: 198.51.100.66,192.0.2.80"}}, client4, clientip.SourcePeerUntrusted},

		{"cloud-run", "plain", request{"169.254.169.126:40000", []string{"X-Forwarded-For: 203.0.113.7"}}, client4, clientip.SourceHeader},
		{"cloud-run", "v6 client", request{"169.254.169.126:40000", []string{"X-Forwarded-For: 2001:db8::7"}}, client6, clientip.SourceHeader},
		{"cloud-run", "spoofed entry", request{"169.254.169.126:40000", []string{"X-Forwarded-For: 198.51.100.66,203.0.113.7"}}, client4, clientip.SourceHeader},
		{"cloud-run", "other headers", request{"169.254.169.126:40000", []string{"X-Real-Ip: 198.51.100.66", "Forwarded: for=198.51.100.66", "X-Forwarded-For: 203.0.113.7"}}, client4, clientip.SourceHeader},

		{"aws-alb", "plain", request{"10.0.3.7:33000", []string{"X-Forwarded-For: 203.0.113.7"}}, client4, clientip.SourceHeader},
		{"aws-alb", "client port kept", request{"10.0.3.7:33000", []string{"X-Forwarded-For: 203.0.113.7:41234"}}, client4, clientip.SourceHeader},
		{"aws-alb", "v6 client", request{"10.0.3.7:33000", []string{"X-Forwarded-For: 2001:db8::7"}}, client6, clientip.SourceHeader},
		{"aws-alb", "v6 client port kept", request{"10.0.3.7:33000", []string{"X-Forwarded-For: [2001:db8::7]:41234"}}, client6, clientip.SourceHeader},
		{"aws-alb", "spoofed entry", request{"10.0.3.7:33000", []string{"X-Forwarded-For: 198.51.100.66, 203.0.113.7"}}, client4, clientip.SourceHeader},
		{"aws-alb", "past the front", request{client4 + ":33000", []string{"X-Forwarded-For: 198.51.100.66"}}, client4, clientip.SourcePeerUntrusted},

		{"cloudfront", "v4", request{"130.176.1.2:33000", []string{"CloudFront-Viewer-Address: 203.0.113.7:46532"}}, client4, clientip.SourceHeader},
		{"cloudfront", "v6", request{"130.176.1.2:33000", []string{"CloudFront-Viewer-Address: 2001:db8::7:46532"}}, client6, clientip.SourceHeader},
		{"cloudfront", "v6 with a port that looks like a group", request{"[2600:9000:1000::1]:33000", []string{"CloudFront-Viewer-Address: 2001:db8::7:8080"}}, client6, clientip.SourceHeader},
		{"cloudfront", "v6 in full", request{"130.176.1.2:33000", []string{"CloudFront-Viewer-Address: 2001:0db8:0000:0000:0000:0000:0000:0007:80"}}, client6, clientip.SourceHeader},
		{"cloudfront", "spoofed XFF", request{"130.176.1.2:33000", []string{"X-Forwarded-For: 198.51.100.66", "CloudFront-Viewer-Address: 203.0.113.7:46532"}}, client4, clientip.SourceHeader},
		{"cloudfront", "twice", request{"130.176.1.2:33000", []string{"CloudFront-Viewer-Address: 198.51.100.66:1", "CloudFront-Viewer-Address: 203.0.113.7:46532"}}, "130.176.1.2", clientip.SourceHeaderRepeated},
		{"cloudfront", "not in the origin request policy", request{"130.176.1.2:33000", []string{"X-Forwarded-For: 203.0.113.7"}}, "130.176.1.2", clientip.SourceHeaderMissing},
		{"cloudfront", "v6 without a port", request{"130.176.1.2:33000", []string{"CloudFront-Viewer-Address: 2001:db8::a7"}}, "130.176.1.2", clientip.SourceHeaderInvalid},
		{"cloudfront", "past the front", request{client4 + ":33000", []string{"CloudFront-Viewer-Address: 198.51.100.66:1"}}, client4, clientip.SourcePeerUntrusted},

		{"cloudflare", "v4", request{"172.68.10.20:33000", []string{"CF-Connecting-IP: 203.0.113.7", "X-Forwarded-For: 198.51.100.66,203.0.113.7", "True-Client-IP: 198.51.100.66"}}, client4, clientip.SourceHeader},
		{"cloudflare", "v6", request{"[2606:4700::1]:33000", []string{"CF-Connecting-IP: 2001:db8::7"}}, client6, clientip.SourceHeader},
		{"cloudflare", "through a tunnel", request{"127.0.0.1:33000", []string{"Cf-Connecting-Ip: 203.0.113.7"}}, client4, clientip.SourceHeader},
		{"cloudflare", "twice", request{"172.68.10.20:33000", []string{"CF-Connecting-IP: 198.51.100.66", "CF-Connecting-IP: 203.0.113.7"}}, "172.68.10.20", clientip.SourceHeaderRepeated},
		{"cloudflare", "a list", request{"172.68.10.20:33000", []string{"CF-Connecting-IP: 198.51.100.66, 203.0.113.7"}}, "172.68.10.20", clientip.SourceHeaderInvalid},
		{"cloudflare", "pseudo IPv4", request{"172.68.10.20:33000", []string{"CF-Connecting-IP: 254.252.239.103"}}, "172.68.10.20", clientip.SourceHeaderInvalid},
		{"cloudflare", "past the front", request{client4 + ":33000", []string{"CF-Connecting-IP: 198.51.100.66"}}, client4, clientip.SourcePeerUntrusted},

		{"fastly", "v4", request{"151.101.2.3:33000", []string{"Fastly-Client-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.7, 157.52.91.44"}}, client4, clientip.SourceHeader},
		{"fastly", "v6", request{"[2a04:4e40::1]:33000", []string{"Fastly-Client-IP: 2001:db8::7"}}, client6, clientip.SourceHeader},
		{"fastly", "twice", request{"151.101.2.3:33000", []string{"Fastly-Client-IP: 198.51.100.66", "Fastly-Client-IP: 203.0.113.7"}}, "151.101.2.3", clientip.SourceHeaderRepeated},
		{"fastly", "past the front", request{client4 + ":33000", []string{"Fastly-Client-IP: 198.51.100.66"}}, client4, clientip.SourcePeerUntrusted},

		{"azure-front-door", "v4", request{"147.243.1.2:33000", []string{"X-Azure-ClientIP: 198.51.100.66", "X-Azure-SocketIP: 203.0.113.7", "X-Forwarded-For: 198.51.100.66, 203.0.113.7"}}, client4, clientip.SourceHeader},
		{"azure-front-door", "v6", request{"[2a01:111:2050::9]:33000", []string{"X-Azure-SocketIP: 2001:db8::7"}}, client6, clientip.SourceHeader},
		{"azure-front-door", "into App Service", request{"169.254.130.1:33000", []string{"X-Azure-SocketIP: 203.0.113.7"}}, client4, clientip.SourceHeader},
		{"azure-front-door", "twice", request{"147.243.1.2:33000", []string{"X-Azure-SocketIP: 198.51.100.66", "X-Azure-SocketIP: 203.0.113.7"}}, "147.243.1.2", clientip.SourceHeaderRepeated},
		{"azure-front-door", "probe", request{"168.63.129.16:33000", nil}, "168.63.129.16", clientip.SourceHeaderMissing},
		{"azure-front-door", "past the front", request{client4 + ":33000", []string{"X-Azure-SocketIP: 198.51.100.66"}}, client4, clientip.SourcePeerUntrusted},
	} {
		t.Run(test.front+"/"+test.what, func(t *testing.T) {
			addr, source := preset(t, test.front).From(test.request.peer, test.request.header())
			var want netip.Addr
			if test.addr != "" {
				want = netip.MustParseAddr(test.addr)
			}
			if addr != want || source != test.source {
				t.Errorf("got %v from %v, want %v from %v", addr, source, want, test.source)
			}
			if addr == netip.MustParseAddr(spoof) {
				t.Error("a spoofed entry won")
			}
		})
	}
}

func TestPresets(t *testing.T) {
	want := []string{"direct", "google-lb", "cloud-run", "aws-alb", "cloudfront", "cloudflare", "fastly", "azure-front-door"}
	if diff := cmp.Diff(want, clientip.Presets()); diff != "" {
		t.Errorf("presets (-want +got)\n%s", diff)
	}
	for _, name := range want {
		rule, ok := clientip.Preset(name)
		if !ok {
			t.Fatalf("no preset %q", name)
		}
		if err := rule.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := clientip.Preset("nginx"); ok {
		t.Error("an unknown preset exists")
	}
}
