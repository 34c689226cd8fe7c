package proxy

import (
	"net/http"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// retry sends a client that asks again for what it was just sent to a store for, to the next candidate, and
// has that store looked at.
func (s *Server) retry(r *http.Request, w *world, a *answer, st *route.State) {
	was := a.decision.Candidate
	if a.req.Kind != oci.KindBlob || r.Method != http.MethodGet || a.status != 0 || was == route.NoCandidate || was == w.snapshot.Canonical {
		return
	}
	start := rangeStart(r.Header["Range"])
	if start < 0 {
		return
	}
	key, again := s.repeats.seen(route.Network(a.client.Addr), a.req.Digest.String(), start)
	if !again {
		return
	}
	s.metrics.Retries.WithLabelValues(w.snapshot.Candidates[was].Name).Inc()
	st.Usable.Remove(was)
	s.settle(r.Context(), w, a, st)
	a.decision.Reason = route.Retried
	s.lookInto(w, a, was, key)
}

// lookInto finds out in the background whether candidate i still serves what a asks for, and how it is.
func (s *Server) lookInto(w *world, a *answer, i int, key repeatKey) {
	w.health.Suspect(i)
	client := route.Network(a.client.Addr)
	s.checker.Recheck(client, w.target(i, &a.req), func(known existence.Answer) {
		if known.Held {
			s.repeats.fine(key)
		}
	})
}

// target is the question whether candidate i holds what req names.
func (w *world) target(i int, req *oci.Request) existence.Target {
	c := &w.snapshot.Candidates[i]
	return existence.Target{
		Key: w.key(i, req), URL: c.Ask(*req), Candidate: c.Name,
		RedirectIsHeld: c.Kind == route.Upstream && req.Kind == oci.KindBlob,
	}
}
