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
// back, and decides again with what it says now.
func (s *Server) lookAgain(ctx context.Context, w *wiring, q *request, d *decision) {
	was := d.Candidate
	if d.refused != nil || q.Kind != oci.KindManifest && q.Kind != oci.KindTag ||
		was == route.NoCandidate || was == w.snapshot.Canonical || !s.again.asked(q) {
		return
	}
	if !s.again.mayAsk(w.snapshot.Candidates[was].Origin, q) {
		return
	}
	if !w.allow(was) {
		w.health.Suspect(was) // a probe has to tell instead
		return
	}
	// If it does not answer, that is told to health. Who polls a tag must not have it probed all the time.
	s.renew(ctx, w, q, d, was)
}

func (s *Server) renew(ctx context.Context, w *wiring, q *request, d *decision, i int) {
	known, ok := s.checker.CheckAnew(ctx, route.Network(q.client.Addr), w.target(i, &q.Request))
	if known.Held || !ok && q.Kind == oci.KindTag {
		return
	}
	d.checked = false
	s.resolve(ctx, w, q, d)
	if !ok && d.Candidate == i {
		// Its client has failed before, perhaps here. A wrong guess is final for most of them.
		d.state.Holds.Remove(i)
		d.state.Silent.Add(i)
		s.settle(ctx, w, q, d, false)
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
func (s *again) asked(q *request) bool {
	addr := q.client.Addr.As16()
	method := http.MethodHead
	if q.get {
		method = http.MethodGet
	}
	return s.asks.note(s.hash(maphash.Bytes(s.seed, addr[:]), method, q))
}

// mayAsk reports whether an origin is to be asked now for what q names: once in three seconds, and all of
// them together at most 55 times a second.
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
