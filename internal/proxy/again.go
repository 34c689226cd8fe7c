package proxy

import (
	"context"
	"hash/maphash"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// An upstream can lose a manifest that it is remembered to have, and nobody tells a proxy of a
// client's 404. But the client comes back. That it asks again proves nothing and sends it nowhere else
// (whoever waits for a tag to move asks again, too); it is only a reason to look.

// lookAgain has the upstream that is to answer for a manifest asked once more when its client comes
// back, and decides anew with what it says now.
func (s *Server) lookAgain(r *http.Request, w *world, a *answer, st *route.State) {
	was := a.decision.Candidate
	if a.status != 0 || a.req.Kind != oci.KindManifest && a.req.Kind != oci.KindTag ||
		was == route.NoCandidate || was == w.snapshot.Canonical || !s.again.asked(r.Method, a) {
		return
	}
	if !s.again.look(w.snapshot.Candidates[was].Origin, a) {
		return
	}
	if !w.allow(was) {
		w.health.Suspect(was) // a probe has to tell instead
		return
	}
	// If it does not answer, that is told to health. Who polls a tag must not have it probed all the time.
	s.renew(r.Context(), w, a, st, was)
}

func (s *Server) renew(ctx context.Context, w *world, a *answer, st *route.State, i int) {
	known, ok := s.checker.CheckAnew(ctx, route.Network(a.client.Addr), w.target(i, &a.req))
	if known.Held || !ok && a.req.Kind == oci.KindTag {
		return
	}
	a.asked = false
	*st = s.resolve(ctx, w, a)
	if !ok && a.decision.Candidate == i {
		// Its client has failed before, perhaps here. A wrong guess is final for most of them.
		st.Holds.Remove(i)
		st.Silent.Add(i)
		s.settle(ctx, w, a, st, false)
	}
}

// again knows who comes back for what, and bounds how often somebody is asked because of that. Safe for
// concurrent use.
type again struct {
	seed         maphash.Seed
	asks, looks  recent
	tags, pinned *rate.Limiter // what is asked by tag and by digest
}

func newAgain() *again {
	return &again{
		seed: maphash.MakeSeed(),
		// Longer than the longest back-off of a kubelet, 5 minutes.
		asks:  recent{start: time.Now(), unit: time.Minute, keep: 10},
		looks: recent{start: time.Now(), unit: time.Second, keep: 3},
		// What is remembered of a tag is forgotten after a minute anyway, and tags are polled.
		tags: rate.NewLimiter(5, 5), pinned: rate.NewLimiter(50, 50),
	}
}

// asked notes a request, and reports whether the same address asked for the same a few minutes ago.
func (s *again) asked(method string, a *answer) bool {
	addr := a.client.Addr.As16()
	return s.asks.note(s.hash(maphash.Bytes(s.seed, addr[:]), method, a))
}

// look reports whether an origin is to be asked now for what a names: once in three seconds, and all of
// them together at most 55 times a second.
func (s *again) look(origin string, a *answer) bool {
	limit := s.pinned
	if a.req.Kind == oci.KindTag {
		limit = s.tags
	}
	return !s.looks.note(s.hash(0, origin, a)) && limit.Allow()
}

func (s *again) hash(h uint64, more string, a *answer) uint64 {
	ref := a.req.Tag
	if a.req.Kind == oci.KindManifest {
		ref = a.req.Digest.String()
	}
	for _, part := range [...]string{more, a.req.Name, ref} {
		h = h*0x9e3779b97f4a7c15 ^ maphash.String(s.seed, part)
	}
	return h
}

// recent remembers hashes for a while: 256 KiB of words, each a fingerprint and a time. A newer hash
// takes a word. Safe for concurrent use.
type recent struct {
	start time.Time
	unit  time.Duration
	keep  uint32 // units
	words [1 << 16]atomic.Uint32
}

const (
	timeBits = 10
	timeMask = 1<<timeBits - 1
)

// note notes h, and reports whether it was noted not longer than keep ago.
func (s *recent) note(h uint64) bool {
	now := uint32(time.Since(s.start)/s.unit) & timeMask
	is := uint32(h)&^timeMask | now
	was := s.words[h>>48].Swap(is)
	return was != 0 && was>>timeBits == is>>timeBits && (now-was)&timeMask <= s.keep
}
