package proxy

import (
	"net/http"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// retry sends a client that asks again for what it was just sent somewhere for, to the next candidate, and has
// the one it was sent to looked at. Until that one is found to be well, the client's network is sent past it with
// everything: a pull has many layers and few tries.
func (s *Server) retry(r *http.Request, w *world, a *answer, st *route.State) {
	was := a.decision.Candidate
	if a.status != 0 || was == route.NoCandidate || was == w.snapshot.Canonical || !retried(r.Method, a.req.Kind) {
		return
	}
	start := rangeStart(r.Header["Range"])
	if start < 0 {
		return
	}
	network := route.Network(a.client.Addr)
	key, again := s.repeats.seen(network, s.repeats.thing(r.Method, &a.req), start)
	if !again && !s.shunned.has(network, w.snapshot.Candidates[was].Origin) {
		return
	}
	if again {
		s.metrics.Retries.WithLabelValues(w.snapshot.Candidates[was].Name).Inc()
		s.shunned.add(network, w.snapshot.Candidates[was].Origin)
		s.lookInto(w, a, was, key)
	}
	for i := was; i != w.snapshot.Canonical && (i == was || s.shunned.has(network, w.snapshot.Candidates[i].Origin)); {
		st.Usable.Remove(i)
		s.settle(r.Context(), w, a, st)
		if i = a.decision.Candidate; i == route.NoCandidate || i == was {
			break
		}
	}
	a.decision.Reason = route.Retried
}

// retried reports whether asking twice looks like trouble: HEAD of a blob is how some clients learn its size again
// and again.
func retried(method string, k oci.Kind) bool {
	return k == oci.KindBlob && method == http.MethodGet || k == oci.KindManifest || k == oci.KindTag
}

// lookInto finds out in the background whether candidate i still serves what a asks for, and how it is.
func (s *Server) lookInto(w *world, a *answer, i int, key repeatKey) {
	w.health.Suspect(i)
	if !w.allow(i) {
		return // its quota is for clients; the probe that was just asked for will tell
	}
	network, kind, d := route.Network(a.client.Addr), a.req.Kind, a.req.Digest
	s.checker.Recheck(network, w.target(i, &a.req), func(known existence.Answer) {
		if known.Held {
			s.repeats.fine(key)
			s.shunned.remove(network, w.snapshot.Candidates[i].Origin)
		}
		if kind == oci.KindBlob {
			s.learn(w, i, d, known)
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
