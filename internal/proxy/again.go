package proxy

import (
	"context"
	"hash/maphash"
	"net/http"
	"sync/atomic"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// An upstream can lose a manifest that it is remembered to have, and nobody tells a proxy of a
// client's 404. But the client comes back. That it asks again proves nothing and sends it nowhere else
// (whoever waits for a tag to move asks again, too); it is only a reason to look.

// lookAgain has the upstream that is to answer for a manifest asked once more when its client comes
// back, at most a few times a second, and decides anew with what it says now.
func (s *Server) lookAgain(r *http.Request, w *world, a *answer, st *route.State) {
	was := a.decision.Candidate
	if a.status != 0 || a.req.Kind != oci.KindManifest && a.req.Kind != oci.KindTag ||
		was == route.NoCandidate || was == w.snapshot.Canonical || !s.asked.again(r.Method, a) {
		return
	}
	w.health.Suspect(was)
	if s.repeated.take() && w.allow(was) {
		s.renew(r.Context(), w, a, st, was)
	}
}

func (s *Server) renew(ctx context.Context, w *world, a *answer, st *route.State, i int) {
	s.checker.CheckAnew(ctx, route.Network(a.client.Addr), w.target(i, &a.req))
	if known, ok := s.checker.Lookup(w.key(i, &a.req)); ok && known.Held {
		return
	}
	a.asked = false
	*st = s.resolve(ctx, w, a)
}

// recent remembers which manifests were asked for in the last minutes by which addresses: 256 KiB of
// words, each a fingerprint and a minute. A newer one takes a word. Safe for concurrent use.
type recent struct {
	seed  maphash.Seed
	start time.Time
	words [1 << 16]atomic.Uint32
}

const (
	// recently is longer than the longest back-off of a kubelet, 5 minutes.
	recently   = 10 // minutes
	minuteBits = 10
	minutes    = 1<<minuteBits - 1
)

func newRecent() *recent { return &recent{seed: maphash.MakeSeed(), start: time.Now()} }

// again notes a request, and reports whether the same address asked for the same a few minutes ago.
func (s *recent) again(method string, a *answer) bool {
	addr := a.client.Addr.As16()
	ref := a.req.Tag
	if a.req.Kind == oci.KindManifest {
		ref = a.req.Digest.String()
	}
	h := maphash.Bytes(s.seed, addr[:])
	for _, part := range [...]string{method, a.req.Name, ref} {
		h = h*0x9e3779b97f4a7c15 ^ maphash.String(s.seed, part)
	}
	now := uint32(time.Since(s.start)/time.Minute) & minutes
	is := uint32(h)&^minutes | now
	was := s.words[h>>48].Swap(is)
	return was != 0 && was>>minuteBits == is>>minuteBits && (now-was)&minutes <= recently
}
