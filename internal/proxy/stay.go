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

// lags are how far upstreams may be behind the canonical one, by candidate; nil when none is.
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

// stay keeps a client network at the upstream that answered it before for a tag or a list of tags,
// where a change could show it an older one. peek: only to explain.
func (s *Server) stay(ctx context.Context, w *world, a *answer, st *route.State, peek bool) {
	want := a.decision.Candidate
	if w.lags == nil || a.status != 0 || want == route.NoCandidate || !moves(&a.req) {
		return
	}
	p := s.plan(w, a, want)
	p.peek = peek
	at, compare := s.stays.claim(&p)
	if at == p.origin {
		return
	}
	if compare && !peek {
		s.compare(w, a, want, &p)
	}
	upstreams := w.snapshot.Upstreams()
	for i := range w.snapshot.Candidates {
		there := upstreams.Has(i) && s.stays.origin(w.snapshot.Candidates[i].Origin) == at
		if there && s.stayAt(ctx, w, a, st, i) {
			return
		}
	}
	// Where it was can answer no more. Canonical is behind nobody; when it cannot answer either, an
	// older image is better than none.
	p = s.plan(w, a, w.snapshot.Canonical)
	if !s.stayAt(ctx, w, a, st, w.snapshot.Canonical) {
		p = s.plan(w, a, want)
		p.canonical = true // whatever was seen
	}
	if p.peek = peek; !peek {
		s.stays.claim(&p)
	}
}

// moves reports whether the answer to req changes with time.
func moves(req *oci.Request) bool {
	return (req.Kind == oci.KindTag || req.Kind == oci.KindTags) && !req.CanonicalOnly()
}

// plan is to send a to candidate i.
func (s *Server) plan(w *world, a *answer, i int) plan {
	return plan{
		key: s.stays.key(route.Network(a.client.Addr), &a.req), tag: s.stays.tag(&a.req),
		origin: s.stays.origin(w.snapshot.Candidates[i].Origin), lag: w.lags[i],
		canonical: i == w.snapshot.Canonical,
	}
}

// stayAt has a answered by candidate i, if it can.
func (s *Server) stayAt(ctx context.Context, w *world, a *answer, st *route.State, i int) bool {
	if !st.Usable.Has(i) {
		return false
	}
	other, left := *a, *st // on copies: the first decision stands if this one cannot
	left.Usable = set.Set{}
	left.Usable.Add(i)
	s.settle(ctx, w, &other, &left, true)
	if other.status != 0 || !left.Usable.Has(i) {
		return false
	}
	if a.decision.Reason == route.Pinned && other.decision.Reason != route.Pinned {
		return false // it is none of those that the client is confined to
	}
	*a = other
	a.decision.Reason = route.Stayed
	return true
}

// stayed notes, once a is answered, that a list was had from canonical because the near upstream
// failed.
func (s *Server) stayed(w *world, a *answer) {
	canonical := a.decided && a.decision.Candidate == w.snapshot.Canonical
	if w.lags != nil && a.req.Kind == oci.KindTags && canonical {
		p := s.plan(w, a, w.snapshot.Canonical)
		s.stays.claim(&p)
	}
}

// compare finds out in the background whether replica i has under the tag that a asks for what
// canonical has, so that those who ask again and again need not stay away from it for ever.
func (s *Server) compare(w *world, a *answer, i int, p *plan) {
	key := p.tag ^ p.origin
	if !s.stays.begin(key) {
		return
	}
	begun := s.stays.now()
	if a.req.Kind != oci.KindTag {
		s.stays.end(key, begun, existence.Incomparable) // lists have no digest
		return
	}
	if !w.spare(i) || !w.spare(w.snapshot.Canonical) {
		return // their quota is for clients
	}
	here, there := w.target(i, &a.req), w.target(w.snapshot.Canonical, &a.req)
	there.Trusted = true
	start := time.Now()
	network := route.Network(a.client.Addr)
	s.checker.Compare(network, here, there, func(asked time.Time, found existence.Comparison) {
		s.stays.end(key, begun-max(0, moment(start.Sub(asked))), found)
	})
}
