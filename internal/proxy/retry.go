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
	// On copies: the first decision stands unless something better than nothing is found.
	other, left := *a, *st
	for range maxDetours {
		left.Usable.Remove(other.decision.Candidate)
		s.settle(r.Context(), w, &other, &left)
		i := other.decision.Candidate
		if other.status != 0 || i == route.NoCandidate || i == was {
			return
		}
		if i != w.snapshot.Canonical && s.shunned.has(network, w.snapshot.Candidates[i].Origin) {
			continue
		}
		if usable := w.health.Usable(); usable.Has(i) {
			*a, *st = other, left
			a.decision.Reason = route.Retried
		}
		return
	}
}

// maxDetours bounds how many candidates a client is sent past at once.
const maxDetours = 4

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
