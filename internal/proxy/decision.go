package proxy

import (
	"context"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
)

// decision says which candidate answers a request, and what that is based on.
type decision struct {
	route.Decision
	state   route.State // of the candidates, as far as known
	refused *oci.Error  // no candidate may answer: their quotas are used up
	checked bool        // the one round of checks is done
	listing listing
	tag     tagVerdict // while some digest is denied: what is known of the tag at the candidate tagAt
	tagAt   int
	tagHas  uint64 // the content, if it is denied
	told    bool   // some source has reported the blob's size
	size    int64  // of the blob in bytes, at the candidate; 0: unknown
	rest    bool   // assume that the client reads the rest of the blob from its span's start

	// Of a request that only peeks and is sent past its nearest candidate: which one that is, and when the address
	// gets another chance there.
	past  int
	until time.Time
}

// bytes returns how many bytes of a blob the client asked for; 0: unknown.
func (d *decision) bytes(q *request) int64 {
	if !q.get {
		return 0
	}
	return bytesOf(d.size, q.span, d.rest)
}

// bytesOf returns how many bytes of a blob of this size a GET of span asks for; 0: unknown.
func bytesOf(size int64, span reach.Span, rest bool) int64 {
	switch {
	case size <= 0:
		return 0
	case rest:
		return max(0, size-span.First)
	default:
		return span.Bytes(size)
	}
}

// decide decides who answers q. It may ask candidates by HEAD, within bounds, and writes no answer.
func (s *Server) decide(ctx context.Context, w *wiring, q *request, d *decision) {
	s.resolve(ctx, w, q, d)
	s.lookAgain(ctx, w, q, d)
	s.retry(ctx, w, q, d)
	s.stay(ctx, w, q, d)
	if w.deniedTags != nil && q.Kind == oci.KindTag {
		s.refuseDenied(ctx, w, q, d)
	}
	d.size = s.sizeAt(w, q, d, d.Candidate)
}

// resolve decides, and finds out what the decision needs: first from memory, then with at most route.MaxChecks
// requests within one budget.
func (s *Server) resolve(ctx context.Context, w *wiring, q *request, d *decision) {
	d.state = route.State{Usable: w.health.Usable(), Unknown: w.all}
	w.listed(q, d)
	// The first candidate of the ranking answers most requests. To look it up now avoids a second decision.
	if i := q.client.Ranking.First(&q.Request); i >= 0 && i != w.snapshot.Canonical && q.Kind != oci.KindTags {
		s.recall(w, q, d, i)
	}
	s.settle(ctx, w, q, d, false)
}

// settle decides, and decides again with what it learns or with one candidate less, until the decision stands. With
// usable, it accepts only a usable candidate. A last resort does not count against a quota.
func (s *Server) settle(ctx context.Context, w *wiring, q *request, d *decision, usable bool) {
	var over set.Set // candidates over their quota
	for {
		d.Decision = route.Decide(&q.Request, &q.client, w.snapshot, &d.state)
		if d.Action == route.Check {
			s.fill(ctx, w, q, d)
			continue
		}
		i := d.Candidate
		if i == route.NoCandidate || usable && !d.state.Usable.Has(i) {
			return
		}
		if d.state.Holds.Has(i) && q.Kind == oci.KindBlob && w.doubts.Denies(i, q.Digest) {
			d.state.Holds.Remove(i)
			continue
		}
		if !over.Has(i) && w.allow(q, i) {
			return
		}
		if over.Has(i) { // even the last resort is over its quota
			d.refused = oci.ErrTooManyRequests
			return
		}
		s.metrics.Limited.WithLabelValues(w.snapshot.Candidates[i].Name).Inc()
		over.Add(i)
		d.state.Usable.Remove(i)
	}
}

// fill looks up what the decision needs.
func (s *Server) fill(ctx context.Context, w *wiring, q *request, d *decision) {
	need := d.Need[:]
	unknown := 0
	for _, i := range need {
		if i != route.NoCandidate && !s.recall(w, q, d, i) {
			unknown++
		}
	}
	if unknown == 0 {
		return
	}
	if d.checked {
		// A request gets only one round of checks. Answers that other requests got meanwhile still count.
		d.state.Final = true
		for i := range w.snapshot.Candidates {
			s.recall(w, q, d, i)
		}
		return
	}
	d.checked = true
	targets := make([]existence.Target, 0, route.MaxChecks)
	size := s.agreedSize(w, q, d)
	for _, i := range need {
		if i != route.NoCandidate && d.state.Unknown.Has(i) && w.allow(q, i) {
			t := w.target(i, &q.Request)
			t.Size, t.Unobserved = size, q.probed()
			targets = append(targets, t)
		}
	}
	s.checker.Check(ctx, q.network(), targets)
}

// recall moves candidate i from unknown to what the proxy remembers about it, and reports whether it remembers
// anything.
func (s *Server) recall(w *wiring, q *request, d *decision, i int) bool {
	if !d.state.Unknown.Has(i) {
		return true
	}
	known, ok := s.checker.Lookup(w.key(i, &q.Request))
	if !ok {
		return false
	}
	d.state.Unknown.Remove(i)
	if known.Failed {
		d.state.Silent.Add(i)
	}
	if known.Held {
		d.state.Holds.Add(i)
		d.told = d.told || known.Size > 0
	}
	return true
}

// instead decides again among the healthy candidates that fit, on a copy: the first decision stands unless there is
// something better than a last resort. It may ask whether those candidates hold the blob, even if the first decision
// already used its round of checks.
func (s *Server) instead(ctx context.Context, w *wiring, q *request, d *decision, fits func(*route.Candidate) bool) bool {
	other := *d
	other.checked, other.state.Final = false, false
	for i := range w.snapshot.Candidates {
		if i == d.Candidate || !fits(&w.snapshot.Candidates[i]) {
			other.state.Usable.Remove(i)
		}
	}
	if other.state.Usable.Empty() {
		return false
	}
	s.settle(ctx, w, q, &other, true)
	if i := other.Candidate; other.refused != nil || i == route.NoCandidate || !other.state.Usable.Has(i) {
		return false
	}
	other.state.Usable = d.state.Usable // the others are not out of service
	*d = other
	d.Reason = route.Retried
	return true
}

// key identifies what req asks for at candidate i.
func (w *wiring) key(i int, req *oci.Request) existence.Key {
	c := &w.snapshot.Candidates[i]
	k := existence.Key{Origin: c.Origin, Kind: req.Kind, Ref: req.Digest.String()}
	if c.Kind == route.Upstream {
		k.Name = req.Name
	}
	if req.Kind == oci.KindTag {
		k.Ref = req.Tag
	}
	return k
}

// target returns the question whether candidate i holds what req names.
func (w *wiring) target(i int, req *oci.Request) existence.Target {
	c := &w.snapshot.Candidates[i]
	return existence.Target{
		Key: w.key(i, req), URL: c.Ask(*req), Candidate: c.Name,
		RedirectIsHeld: c.Kind == route.Upstream && req.Kind == oci.KindBlob,
	}
}

// allow takes one request from candidate i's quota for q. It reports whether there was one. The quotas are for clients,
// and a probe has its own limit.
func (w *wiring) allow(q *request, i int) bool { return q.probed() || w.quotas[i].client() }

// spare takes one request from candidate i's quota for work that no client waits for. It reports whether there was
// one.
func (w *wiring) spare(i int) bool { return w.quotas[i].spare() }
