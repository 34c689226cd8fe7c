package probe

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"ociproxy/internal/check/judge"
)

// machines is how many machines of one network ask for the same blob. Repeats from one network must not look like the
// failures of one client.
const machines = 20

// near lets many machines of the class's network pull the same blob: all must be sent to the same host.
func (s *session) near(ctx context.Context, im *image, b judge.Blob) {
	began := time.Now()
	var first string
	sent := map[string]int{}
	for i := range machines {
		as := s.as
		as.Addr = neighbour(s.as.Addr, i)
		one := s.prober.session(as)
		ans := one.registry(ctx, http.MethodGet, blobPath(im.ref.Name, b.Digest), 4096, nil)
		if s.spent(ctx, "near", im.ref.String(), s.base, ans.Err) {
			return
		}
		to, v := one.target(ans, blobPath(im.ref.Name, b.Digest))
		if to == nil || v.Result == judge.Failed {
			s.say("near", im.ref.String(), s.base, began, v)
			return
		}
		sent[to.Host]++
		if first == "" {
			first = to.Host
		}
	}
	v := judge.Good("%d machines of one network are sent to %s", machines, first)
	if n := sent[first]; n != machines {
		v = judge.Fail("look at explain for these addresses, and at oci_proxy_retries_total: the proxy takes the network for one client that fails",
			"%d of %d machines of one network are sent elsewhere than to %s", machines-n, machines, first)
	}
	s.say("near", im.ref.String(), s.base, began, v)
}

// neighbour returns the ith address of the network of a, which is a /24 or a /64.
func neighbour(a netip.Addr, i int) netip.Addr {
	if a.Is4() {
		b := a.As4()
		b[3] += byte(i)
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	b[15] += byte(i)
	return netip.AddrFrom16(b)
}
