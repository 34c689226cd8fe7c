package proxy

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/clientip"
	"ociproxy/internal/metrics"
	"ociproxy/internal/probeid"
)

// Header values are shared slices. net/http only reads them, so a request allocates none.
var (
	noStore     = []string{"no-store"}
	lengthZero  = []string{"0"}
	typeJSON    = []string{"application/json"}
	apiVersion  = []string{"registry/2.0"}
	allowed     = []string{"GET, HEAD"}
	retrySecond = []string{"1"}
	closing     = []string{"close"}
)

// handler is the public port: one wrapper that owns status, headers, metrics and the log line.
type handler struct {
	s        *Server
	requests [numClasses][]prometheus.Counter
	sources  []prometheus.Counter
	probes   []prometheus.Counter // by outcome
}

func newHandler(s *Server) *handler {
	h := &handler{s: s}
	for c, name := range classNames {
		h.requests[c] = s.metrics.Requests(name)
	}
	for _, source := range clientip.Sources() {
		h.sources = append(h.sources, s.metrics.Address.WithLabelValues(source.String()))
	}
	h.probes = make([]prometheus.Counter, len(probeid.Outcomes())+1)
	for _, outcome := range probeid.Outcomes() {
		h.probes[outcome] = s.metrics.ProbeRequests.WithLabelValues(outcome.String())
	}
	return h
}

// Handler returns the public port's handler, for embedding and tests.
func (s *Server) Handler() http.Handler { return s.guard(newHandler(s)) }

// The proxy times one decision in 64: to read the clock twice costs as much as to decide.
const timedEvery = 64

func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := h.s.wiring.Load()
	var q request
	var d decision
	var a response
	if rand.Uint32()%timedEvery == 0 {
		begin := time.Now()
		a = h.s.answer(w, r, &q, &d)
		if !q.probed() {
			h.s.metrics.Decision.Observe(time.Since(begin).Seconds())
		}
	} else {
		a = h.s.answer(w, r, &q, &d)
	}
	if q.probed() {
		a.probe = w.report(&q, &a)
	}
	a.write(rw, r.Method != http.MethodHead, h.s.draining.Load())
	if a.done != nil {
		a.done()
	}
	h.count(w, &q, &d, &a)
	h.s.logRequest(w, r, &q, &d, &a)
}

func (h *handler) count(w *wiring, q *request, d *decision, a *response) {
	if q.probed() {
		h.probes[q.probe.Outcome].Inc()
		return
	}
	h.requests[q.class][metrics.CodeIndex(a.status)].Inc()
	if !q.known {
		return
	}
	h.sources[q.source].Inc()
	if a.location == "" {
		return
	}
	flow := w.flows.At(q.client.Ranking.ID, d.Candidate, int(d.Reason))
	flow.Count(d.bytes(q), d.Cents)
	h.s.countLater(w, q, d, flow)
}
