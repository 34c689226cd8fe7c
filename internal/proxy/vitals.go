package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/health"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
	"ociproxy/internal/wait"
)

// busyEvery is how often health learns which candidates clients are sent to.
const busyEvery = 5 * time.Second

// busyTop is how many candidates of a ranking in use are probed often: the one in use and the next ones.
const busyTop = 3

// newHealth returns the health monitor of s, which all its wirings share.
func (s *Server) newHealth(w *wiring) *health.Monitor {
	h := w.cfg.Health
	return health.New(health.Options{
		Client: s.client, Logger: s.log,
		Busy: h.Interval, Idle: h.IdleInterval, Timeout: h.Timeout,
		Observe: func(name, result string, took time.Duration) {
			s.metrics.Probes.WithLabelValues(name, result).Inc()
			if took > 0 {
				s.metrics.ProbeDuration.Observe(took.Seconds())
			}
		},
		Missing: s.probeMissed,
	})
}

// probeMissed handles a candidate's answer that it does not hold the object of a health probe.
func (s *Server) probeMissed(name string, d oci.Digest) {
	w := s.wiring.Load()
	if i, ok := w.index[name]; ok {
		w.samples[i].drop(d)
		s.learn(w, i, d, existence.Answer{Size: -1})
	}
}

// targets returns the candidates as health sees them, by index.
func (s *Server) targets(w *wiring) []health.Target {
	out := make([]health.Target, len(w.snapshot.Candidates))
	for i := range out {
		c := &w.snapshot.Candidates[i]
		if !c.Active && !w.watched(c.Name) {
			// No client is sent there. There is nothing to probe, and its state must not count with the others'.
			out[i] = health.Target{Name: c.Name, Origin: c.Origin}
			continue
		}
		out[i] = health.Target{
			Name: c.Name, Origin: c.Origin,
			Sample: func(maxSize int64) (health.Object, bool) { return w.sampleOf(i, maxSize) },
			Allow:  func() bool { return w.spare(i) },
			Prove:  w.returns(c.Name),
		}
		if c.Kind == route.Upstream {
			out[i].Accept = existence.Accept
			out[i].Ping = c.URL + "/v2/"
			out[i].FollowRedirects, out[i].RangeOptional = true, true
		}
	}
	return out
}

// carrySamples keeps the samples of candidates that did not change since old.
func (w *wiring) carrySamples(old *wiring) []*samples {
	out := make([]*samples, len(w.snapshot.Candidates))
	for i := range out {
		out[i] = &samples{}
	}
	if old != nil {
		for i := range old.samples {
			if j, ok := w.same(&old.snapshot.Candidates[i]); ok {
				out[j] = old.samples[i]
			}
		}
	}
	return out
}

// remember keeps what candidate i is known to hold, for later probes.
func (w *wiring) remember(i int, req *oci.Request, size int64) {
	c := &w.snapshot.Candidates[i]
	if req.Digest.IsZero() {
		return // a tag says nothing about bytes
	}
	w.samples[i].add(health.Object{
		URL: c.Ask(*req), Digest: req.Digest, Size: size,
		Whole: req.Kind == oci.KindManifest,
	})
}

// observeCheck counts an existence check, keeps what it proved, and tells health what it says about the candidate.
func (s *Server) observeCheck(t existence.Target, result string, a existence.Answer, took time.Duration) {
	s.metrics.Checks.WithLabelValues(t.Candidate, result).Inc()
	if took > 0 {
		s.metrics.CheckDuration.Observe(took.Seconds())
	}
	w := s.wiring.Load()
	i, ok := w.index[t.Candidate]
	if !ok || w.snapshot.Candidates[i].Origin != t.Key.Origin {
		return // a reload removed or changed the candidate
	}
	switch result {
	case existence.ResultFailed:
		w.health.Suspect(i)
	case existence.ResultHeld:
		if d, err := oci.ParseDigest(t.Key.Ref); err == nil {
			w.samples[i].add(health.Object{URL: t.URL, Digest: d, Size: a.Size, Whole: t.Key.Kind == oci.KindManifest})
		}
	}
}

// places notes which places clients came from since it was last read.
type places []atomic.Bool

func (p places) note(id int) {
	if !p[id].Load() { // write only on change: the cache line stays shared between cores
		p[id].Store(true)
	}
}

// watchPlaces tells health, until ctx is done, which candidates matter to the clients of the moment.
func (s *Server) watchPlaces(ctx context.Context) {
	for range wait.Every(ctx, busyEvery) {
		w := s.wiring.Load()
		if busy := w.busy(); !busy.Empty() {
			w.health.Busy(busy)
		}
	}
}

// busy clears the noted places and returns the first candidates of their rankings.
func (w *wiring) busy() (busy set.Set) {
	for id, p := range w.snapshot.Places() {
		if !w.places[id].Swap(false) {
			continue
		}
		ranking := w.snapshot.Ranking(&route.Client{Place: p})
		for _, order := range [][]route.Ranked{ranking.All, ranking.Upstreams} {
			for _, e := range order[:min(busyTop, len(order))] {
				busy.Add(e.Candidate)
			}
		}
	}
	return busy
}

// sampleManifest keeps, at intervals, a manifest that clients ask canonical for. The proxy never checks canonical, so
// there is no other source of objects to probe it with.
func (w *wiring) sampleManifest(q *request, d *decision) {
	i := d.Candidate
	if i != w.snapshot.Canonical || q.Kind != oci.KindManifest || !q.get || !q.Digest.InStores() {
		return
	}
	if w.samples[i].wanted(time.Now()) {
		w.remember(i, &q.Request, -1)
	}
}
