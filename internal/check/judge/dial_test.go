package judge

import (
	"strings"
	"testing"
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
