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

// An upstream can lose a manifest that the proxy remembers it to have, and a proxy never sees a client's 404. But the
// client asks again. A repeated request proves nothing (a client that waits for a tag to move asks again, too), and
// sends the client nowhere else. It is only a reason to ask the upstream.

// lookAgain handles a client that comes back for a manifest. It asks the upstream that is to answer once more, and
// decides again with the new answer.
func (s *Server) lookAgain(ctx context.Context, w *wiring, q *request, d *decision) {
	was := d.Candidate
	if d.refused != nil || q.peek || q.Kind != oci.KindManifest && q.Kind != oci.KindTag ||
		was == route.NoCandidate || was == w.snapshot.Canonical || !s.again.asked(q) {
		return
	}
	if !s.again.mayAsk(w.snapshot.Candidates[was].Origin, q) {
		return
	}
	if !w.allow(q, was) {
		w.health.Suspect(was) // a probe must find out instead
		return
	}
	// If the upstream does not answer, health learns of it. But a client that polls a tag must not cause a probe at
	// every poll.
	s.renew(ctx, w, q, d, was)
}

func (s *Server) renew(ctx context.Context, w *wiring, q *request, d *decision, i int) {
	known, ok := s.checker.CheckAgain(ctx, q.network(), w.target(i, &q.Request))
	if known.Held || !ok && q.Kind == oci.KindTag {
		return
	}
	d.checked = false
	s.resolve(ctx, w, q, d)
	if !ok && d.Candidate == i {
		// This client has failed before, perhaps here. For most clients a wrong guess is final.
		d.state.Holds.Remove(i)
		d.state.Silent.Add(i)
		s.settle(ctx, w, q, d, false)
	}
}

// again knows which clients repeat which requests, and bounds how often an origin is asked because of that. Safe for
// concurrent use.
type again struct {
	seed         maphash.Seed
	asks, looks  recent
	tags, pinned *rate.Limiter // for requests by tag and by digest
}

func newAgain() *again {
	return &again{
		seed: maphash.MakeSeed(),
		// Longer than the longest back-off of a kubelet, 5 minutes.
		asks:  recent{start: time.Now(), unit: time.Minute, keep: 10},
		looks: recent{start: time.Now(), unit: time.Second, keep: 3},
		// The proxy forgets what it knows about a tag after a minute anyway, and clients poll tags.
		tags: rate.NewLimiter(5, 5), pinned: rate.NewLimiter(50, 50),
	}
}

// asked records a request, and reports whether the same address asked for the same thing a few minutes ago.
func (s *again) asked(q *request) bool {
	addr := q.client.Addr.As16()
	method := http.MethodHead
	if q.get {
		method = http.MethodGet
	}
	return s.asks.note(s.hash(maphash.Bytes(s.seed, addr[:]), method, q))
}

// mayAsk reports whether the proxy may ask an origin now for what q names: once in three seconds, and at most 55
// times a second for all origins together.
func (s *again) mayAsk(origin string, q *request) bool {
	limit := s.pinned
	if q.Kind == oci.KindTag {
		limit = s.tags
	}
	return !s.looks.note(s.hash(0, origin, q)) && limit.Allow()
}

func (s *again) hash(h uint64, more string, q *request) uint64 {
	ref := q.Tag
	if q.Kind == oci.KindManifest {
		ref = q.Digest.String()
	}
	for _, part := range [...]string{more, q.Name, ref} {
		h = h*0x9e3779b97f4a7c15 ^ maphash.String(s.seed, part)
	}
	return h
}

// recent remembers hashes for a while: 256 KiB of words, each a fingerprint and a time. A newer hash replaces the
// word. Safe for concurrent use.
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

// note records h, and reports whether it was recorded before, at most keep ago.
func (s *recent) note(h uint64) bool {
	now := uint32(time.Since(s.start)/s.unit) & timeMask
	is := uint32(h)&^timeMask | now
	was := s.words[h>>48].Swap(is)
	return was != 0 && was>>timeBits == is>>timeBits && (now-was)&timeMask <= s.keep
}
