package proxy

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/clientip"
	"ociproxy/internal/metrics"
)

// Header values are shared slices: net/http only reads them, and a request then allocates none.
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
}

func newHandler(s *Server) *handler {
	h := &handler{s: s}
	for c, name := range classNames {
		h.requests[c] = s.metrics.Requests(name)
	}
	for _, source := range clientip.Sources() {
		h.sources = append(h.sources, s.metrics.Address.WithLabelValues(source.String()))
	}
	return h
}

// Handler is the public port's handler, for embedding and tests.
func (s *Server) Handler() http.Handler { return s.guard(newHandler(s)) }

// One decision in 64 is timed: reading the clock twice costs as much as deciding.
const timedEvery = 64

func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := h.s.world.Load()
	var a answer
	if rand.Uint32()%timedEvery == 0 {
		begin := time.Now()
		h.s.answer(w, r, &a)
		h.s.metrics.Decision.Observe(time.Since(begin).Seconds())
	} else {
		h.s.answer(w, r, &a)
	}
	write(rw, r, &a, h.s.draining.Load())
	if a.done != nil {
		a.done()
	}
	h.count(w, r, &a)
	h.s.logRequest(w, r, &a)
}

// write sends the answer. Every answer forbids storing it: a cache in front must never mix clients.
func write(rw http.ResponseWriter, r *http.Request, a *answer, draining bool) {
	head := rw.Header()
	if draining { // ends the connection in order; idle ones stay open for requests already on their way
		head["Connection"] = closing
	}
	head["Cache-Control"] = noStore
	if a.api {
		head["Docker-Distribution-Api-Version"] = apiVersion
	}
	if a.location != "" {
		head["Location"] = []string{a.location}
	}
	if a.link != "" {
		head["Link"] = []string{a.link}
	}
	if a.retry {
		head["Retry-After"] = retrySecond
		if a.after > time.Second {
			head["Retry-After"] = []string{strconv.Itoa(int((a.after + time.Second - 1) / time.Second))}
		}
	}
	if a.status == http.StatusMethodNotAllowed {
		head["Allow"] = allowed
	}
	if len(a.body) == 0 {
		head["Content-Length"] = lengthZero
		rw.WriteHeader(a.status)
		return
	}
	if a.json {
		head["Content-Type"] = typeJSON
	} else {
		head["Content-Type"] = []string{"text/plain; charset=utf-8"}
	}
	head["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	rw.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = rw.Write(a.body) // a client that has gone needs no answer
	}
}

func (h *handler) count(w *world, r *http.Request, a *answer) {
	h.requests[a.class][metrics.CodeIndex(a.status)].Inc()
	if !a.decided {
		return
	}
	h.sources[a.source].Inc()
	if a.location == "" {
		return
	}
	flow := w.flows.At(a.client.Ranking.ID, a.decision.Candidate, int(a.decision.Reason))
	flow.Count(a.bytes(r.Method), a.decision.Cents)
	h.s.countLater(w, r, a, flow)
}
