package proxy

import (
	"context"
	"net/http"
	"slices"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
)

// retry sends an address that does not get through to its nearest store past it. What the table of addresses
// says of this request is kept in a: its bytes are counted by it.
func (s *Server) retry(r *http.Request, w *world, a *answer, st *route.State) {
	was := a.decision.Candidate
	if a.status != 0 || a.req.Kind != oci.KindBlob || was == route.NoCandidate {
		return
	}
	a.span = reach.ParseSpan(r.Header["Range"])
	if a.decision.Reason == route.Pinned {
		return // the operator knows better
	}
	c := &w.snapshot.Candidates[was]
	ask := reach.Request{
		Addr: a.client.Addr, Digest: a.req.Digest, Span: a.span, Repository: a.req.Name, Origin: c.Origin,
		Last: was == w.snapshot.Canonical,
	}
	if r.Method != http.MethodGet { // some clients ask for a blob's size again and again
		if !ask.Last {
			s.past(r.Context(), w, a, st, s.reach.Level(&ask))
		}
		return
	}
	said := s.reach.Ask(&ask)
	a.rest = said.Rest
	if said.Event != reach.None {
		s.metrics.Paths.WithLabelValues(said.Event.String()).Inc()
	}
	if ask.Last {
		return // there is nowhere else to send it, and it is not canonical that it complains of
	}
	s.evidence.Note(s.reach, &ask, said.Event)
	if said.Again {
		s.lookInto(w, a, was, said.Event == reach.Complained)
	}
	if said.Level == reach.Nearest {
		return
	}
	if s.past(r.Context(), w, a, st, said.Level) {
		s.metrics.Retries.WithLabelValues(c.Name).Inc()
	}
}

// past replaces the decision by one at the given level, and reports whether there is one.
func (s *Server) past(ctx context.Context, w *world, a *answer, st *route.State, level reach.Level) bool {
	if level == reach.Next {
		if s.next(ctx, w, a, st) {
			return true
		}
		level = reach.Upstream
	}
	return level == reach.Upstream && s.instead(ctx, w, a, st, func(c *route.Candidate) bool { return c.Kind == route.Upstream })
}

// next decides for the next candidate that is not canonical: of another provider when that costs no more than
// canonical, because what stands between a client and a bucket often stands before all of that provider's; else at
// another host.
func (s *Server) next(ctx context.Context, w *world, a *answer, st *route.State) bool {
	was := &w.snapshot.Candidates[a.decision.Candidate]
	elsewhere := func(c *route.Candidate) bool { return c.Host() != was.Host() && !c.Canonical }
	if !slices.ContainsFunc(a.client.Ranking.All, func(e route.Ranked) bool {
		return st.Usable.Has(e.Candidate) && elsewhere(&w.snapshot.Candidates[e.Candidate])
	}) {
		s.reach.Skip(a.client.Addr)
		return false
	}
	limit := a.client.Ranking.Cents(w.snapshot.Canonical)
	return s.instead(ctx, w, a, st, func(c *route.Candidate) bool {
		return elsewhere(c) && c.Provider() != was.Provider() && a.client.Ranking.Cents(w.index[c.Name]) <= limit
	}) || s.instead(ctx, w, a, st, elsewhere)
}

// instead decides anew among the healthy candidates that fit, on copies: the first decision stands unless something
// better than a last resort is found. Whether they hold the blob may be asked, whatever was asked for the first decision.
func (s *Server) instead(ctx context.Context, w *world, a *answer, st *route.State, fits func(*route.Candidate) bool) bool {
	was := a.decision.Candidate
	other, left := *a, *st
	other.asked, left.Final = false, false
	for i := range w.snapshot.Candidates {
		if i == was || !fits(&w.snapshot.Candidates[i]) {
			left.Usable.Remove(i)
		}
	}
	if left.Usable.Empty() {
		return false
	}
	s.settle(ctx, w, &other, &left, true)
	if i := other.decision.Candidate; other.status != 0 || i == route.NoCandidate || !left.Usable.Has(i) {
		return false
	}
	*a, *st = other, left
	a.decision.Reason = route.Retried
	return true
}

// lookInto finds out in the background whether candidate i still serves what a asks for, and how it is: at once for
// the first repeat of an address, else a few times a second.
func (s *Server) lookInto(w *world, a *answer, i int, first bool) {
	if !first && !s.repeated.take() {
		return
	}
	w.health.Suspect(i)
	if !w.spare(i) {
		return // its quota is for clients; the probe that was just asked for will tell
	}
	d := a.req.Digest
	s.checker.Recheck(route.Network(a.client.Addr), w.askListed(i, a), func(known existence.Answer) { s.learn(w, i, d, known) })
}

// target is the question whether candidate i holds what req names.
func (w *world) target(i int, req *oci.Request) existence.Target {
	c := &w.snapshot.Candidates[i]
	return existence.Target{
		Key: w.key(i, req), URL: c.Ask(*req), Candidate: c.Name,
		RedirectIsHeld: c.Kind == route.Upstream && req.Kind == oci.KindBlob,
	}
}
