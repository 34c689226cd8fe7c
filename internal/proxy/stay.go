package proxy

import (
	"context"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
)

// lags returns how far upstreams may be behind the canonical one, by candidate; nil when none is.
func lags(cfg *config.Config, snap *route.Snapshot) []time.Duration {
	out, some := make([]time.Duration, len(snap.Candidates)), false
	for i := range snap.Candidates {
		c := &snap.Candidates[i]
		for j := range cfg.Upstreams {
			if u := &cfg.Upstreams[j]; u.Name == c.Name && c.Active && !c.Canonical {
				out[i] = u.Lag
				some = some || u.Lag > 0
			}
		}
	}
	if !some {
		return nil
	}
	return out
}

// stay keeps a client network at the upstream that answered it before for a tag or a list of tags, where a change
// could show it an older one.
func (s *Server) stay(ctx context.Context, w *wiring, q *request, d *decision) {
	want := d.Candidate
	if w.lags == nil || d.refused != nil || want == route.NoCandidate || !moves(&q.Request) {
		return
	}
	p := s.plan(w, q, want)
	at, compare := s.stays.claim(&p)
	if at == p.origin {
		return
	}
	if compare && !q.peek {
		s.compare(w, q, want, &p)
	}
	upstreams := w.snapshot.Upstreams()
	for i := range w.snapshot.Candidates {
		there := upstreams.Has(i) && s.stays.origin(w.snapshot.Candidates[i].Origin) == at
		if there && s.stayAt(ctx, w, q, d, i) {
			return
		}
	}
	// The upstream where the network was can no longer answer. Canonical is never behind. If canonical cannot answer
	// either, an older image is better than none.
	p = s.plan(w, q, w.snapshot.Canonical)
	if !s.stayAt(ctx, w, q, d, w.snapshot.Canonical) {
		p = s.plan(w, q, want)
		p.canonical = true // whatever the network has seen
	}
	s.stays.claim(&p)
}

// moves reports whether the answer to req changes with time.
func moves(req *oci.Request) bool {
	return (req.Kind == oci.KindTag || req.Kind == oci.KindTags) && !req.CanonicalOnly()
}

// plan returns the plan to send q to candidate i.
func (s *Server) plan(w *wiring, q *request, i int) plan {
	return plan{
		key: s.stays.key(route.Network(q.client.Addr), &q.Request), tag: s.stays.tag(&q.Request),
		origin: s.stays.origin(w.snapshot.Candidates[i].Origin), lag: w.lags[i],
		canonical: i == w.snapshot.Canonical, peek: q.peek,
	}
}

// stayAt lets candidate i answer q. It reports whether i can.
func (s *Server) stayAt(ctx context.Context, w *wiring, q *request, d *decision, i int) bool {
	if !d.state.Usable.Has(i) {
		return false
	}
	other := *d // a copy: if this decision fails, the first one stands
	other.state.Usable = set.Set{}
	other.state.Usable.Add(i)
	s.settle(ctx, w, q, &other, true)
	if other.refused != nil || !other.state.Usable.Has(i) {
		return false
	}
	if d.Reason == route.Pinned && other.Reason != route.Pinned {
		return false // not one of the client's pinned candidates
	}
	other.state = d.state
	*d = other
	d.Reason = route.Stayed
	return true
}

// stayed records, after the answer to q, that a list came from canonical because the near upstream failed.
func (s *Server) stayed(w *wiring, q *request, a *response) {
	canonical := a.by == w.snapshot.Canonical
	if w.lags != nil && q.Kind == oci.KindTags && canonical {
		p := s.plan(w, q, w.snapshot.Canonical)
		s.stays.claim(&p)
	}
}

// compare finds out in the background whether replica i has the same under q's tag as canonical. So clients that poll
// the tag need not stay away from the replica forever.
func (s *Server) compare(w *wiring, q *request, i int, p *plan) {
	key := p.tag ^ p.origin
	if !s.stays.begin(key) {
		return
	}
	begun := s.stays.now()
	if q.Kind != oci.KindTag {
		s.stays.end(key, begun, existence.Incomparable) // lists have no digest
		return
	}
	if !w.spare(i) || !w.spare(w.snapshot.Canonical) {
		return // the quotas are for clients
	}
	here, there := w.target(i, &q.Request), w.target(w.snapshot.Canonical, &q.Request)
	there.Trusted = true
	start := time.Now()
	s.checker.Compare(q.network(), here, there, func(asked time.Time, found existence.Comparison) {
		s.stays.end(key, begun-max(0, moment(start.Sub(asked))), found)
	})
}
