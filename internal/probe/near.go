package probe

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"ociproxy/internal/check/judge"
)

// machines is how many machines of one network ask for the same blob. Repeats from one network must not look like the
// failures of one client.
const machines = 20

// near lets many machines of the class's network pull the same blob: all must be sent to the same host.
func (s *session) near(ctx context.Context, im *image, b judge.Blob) {
	began := s.meter.begin(ctx)
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

// address finds out whether the server sees this machine at its own address: it must decide the same for a client there
// as for this machine without an identity. Behind a front, a wrong rule for the client's address shows here.
func (s *session) address(ctx context.Context, im *image) {
	all := blobs(im.pulled)
	if len(all) == 0 {
		return
	}
	began := s.meter.begin(ctx)
	path := blobPath(im.ref.Name, all[len(all)-1].Digest)
	plain, claims := s.prober.session(Self), s.prober.session(Class{Name: Self.Name, Addr: s.opt.Self})
	// HEAD, because one request has no identity: a GET again and again would look like downloads that fail.
	is := plain.registry(ctx, http.MethodHead, path, 4096, nil)
	should := claims.registry(ctx, http.MethodHead, path, 4096, nil)
	if s.spent(ctx, "address", im.ref.String(), s.base, errors.Join(is.Err, should.Err)) {
		return
	}
	a, va := plain.target(is, path)
	b, vb := claims.target(should, path)
	v := judge.Good("as %s", s.opt.Self)
	switch {
	case a == nil:
		v = va
	case b == nil:
		v = vb
	case a.Host != b.Host:
		v = judge.Fail("correct client.behind in the config, or the front's rule for the header with the client's address; /-/whoami shows what the server sees",
			"this machine is sent to %s, a client at its address %s to %s: the server sees it at another address", a.Host, s.opt.Self, b.Host)
	}
	s.say("address", im.ref.String(), a, began, v)
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
