package proxy

import (
	"context"
	"slices"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
)

// retry sends an address that cannot download from its nearest store to a candidate further away. It keeps in d what
// the table of addresses says of this request, because that determines how its bytes are counted.
func (s *Server) retry(ctx context.Context, w *wiring, q *request, d *decision) {
	was := d.Candidate
	if d.refused != nil || q.Kind != oci.KindBlob || was == route.NoCandidate {
		return
	}
	if d.Reason == route.Pinned { // the operator's pins have priority
		d.rest = s.begun.rest(q)
		return
	}
	c := &w.snapshot.Candidates[was]
	ask := reach.Request{
		Addr: q.client.Addr, Digest: q.Digest, Span: q.span, Repository: q.Name, Origin: c.Origin,
		Last: was == w.snapshot.Canonical,
	}
	if q.peek || !q.get { // some clients ask for a blob's size many times
		level, until := s.reach.Look(&ask)
		if !ask.Last && s.past(ctx, w, q, d, level) {
			d.past, d.until = was, until
		}
		return
	}
	said := s.reach.Ask(&ask)
	d.rest = said.Rest
	if ask.Last {
		d.rest = s.begun.rest(q) // the table does not record these requests
	}
	if said.Event != reach.None {
		s.metrics.Paths.WithLabelValues(said.Event.String()).Inc()
	}
	if ask.Last {
		return // there is no other candidate, and the complaint is not about canonical
	}
	s.evidence.Note(s.reach, &ask, said.Event)
	if said.Again {
		s.lookInto(w, q, d, was, said.Event == reach.Complained)
	}
	if said.Level == reach.Nearest {
		return
	}
	if s.past(ctx, w, q, d, said.Level) {
		s.metrics.Retries.WithLabelValues(c.Name).Inc()
	}
}

// past replaces the decision by one at the given level, and reports whether there is one.
func (s *Server) past(ctx context.Context, w *wiring, q *request, d *decision, level reach.Level) bool {
	if level == reach.Next {
		if s.next(ctx, w, q, d) {
			return true
		}
		level = reach.Upstream
	}
	return level == reach.Upstream && s.instead(ctx, w, q, d, func(c *route.Candidate) bool { return c.Kind == route.Upstream })
}

// next decides for the next candidate that is not canonical. It takes one of another provider when that costs no more
// than canonical, because what blocks a client from a bucket often blocks it from all of that provider. Otherwise it
// takes one at another host.
func (s *Server) next(ctx context.Context, w *wiring, q *request, d *decision) bool {
	was := &w.snapshot.Candidates[d.Candidate]
	elsewhere := func(c *route.Candidate) bool { return c.Host() != was.Host() && !c.Canonical }
	if !slices.ContainsFunc(q.client.Ranking.All, func(e route.Ranked) bool {
		return d.state.Usable.Has(e.Candidate) && elsewhere(&w.snapshot.Candidates[e.Candidate])
	}) {
		if !q.peek {
			s.reach.Skip(q.client.Addr)
		}
		return false
	}
	limit := q.client.Ranking.Cents(w.snapshot.Canonical)
	return s.instead(ctx, w, q, d, func(c *route.Candidate) bool {
		return elsewhere(c) && c.Provider() != was.Provider() && q.client.Ranking.Cents(w.index[c.Name]) <= limit
	}) || s.instead(ctx, w, q, d, elsewhere)
}

// lookInto checks in the background whether candidate i still serves what q asks for, and whether it is healthy: at
// once for the first repeat of an address, else a few times a second.
func (s *Server) lookInto(w *wiring, q *request, d *decision, i int, first bool) {
	if !first && !s.repeated.take() {
		return
	}
	w.health.Suspect(i)
	if !w.spare(i) {
		return // its quota is for clients; the suspicion above causes a probe
	}
	digest := q.Digest
	s.checker.Recheck(q.network(), w.askListed(q, d, i), func(known existence.Answer) { s.learn(w, i, digest, known) })
}
