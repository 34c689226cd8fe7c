package proxy

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ociproxy/internal/listener"
)

// adminServer is the operators' port. It is not for clients: bind it to loopback or a private network.
func (s *Server) adminServer() *http.Server {
	return &http.Server{
		Handler:           s.AdminHandler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // a CPU profile takes its time
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnState:         listener.State,
		ErrorLog:          s.quiet(),
	}
}

// AdminHandler is the operators' port's handler.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	scrape := promhttp.HandlerFor(s.metrics.Registry, promhttp.HandlerOpts{})
	var one sync.Mutex // two scrapers at once must not see each other's reset
	mux.HandleFunc("GET /metrics", func(rw http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		s.observeGauges()
		scrape.ServeHTTP(rw, r)
	})
	mux.HandleFunc("GET /explain", s.serveExplain)
	mux.HandleFunc("PUT /log-level", s.serveLogLevel)
	mux.HandleFunc("GET /-/live", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /-/ready", func(rw http.ResponseWriter, _ *http.Request) {
		var a answer
		a.probe(s.ready())
		rw.WriteHeader(a.status)
		_, _ = rw.Write(a.body)
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return s.guard(mux)
}

// observeGauges copies what is asked for only when somebody looks.
func (s *Server) observeGauges() {
	s.metrics.ExistenceEntries.Set(float64(s.checker.Len()))
	s.metrics.Usable.Reset()
	w := s.world.Load()
	for _, st := range s.health.Status() {
		if i, ok := w.index[st.Name]; !ok || !w.snapshot.Candidates[i].Active {
			continue
		}
		s.metrics.Usable.WithLabelValues(st.Name).Set(boolGauge(st.Usable))
	}
	s.metrics.Ready.Set(boolGauge(s.ready()))
	s.observeInventories()
	s.metrics.Frozen.Set(boolGauge(s.health.Frozen()))
	s.metrics.ResetFeeds() // a reload may have removed some
	for _, f := range s.world.Load().ranges.Status() {
		age := f.Age.Seconds()
		if f.LastGood.IsZero() {
			age = math.Inf(1) // never: older than any alert's threshold
		}
		s.metrics.ObserveFeed(f.Name, age, f.Rows, f.Unknown, f.LastError != "")
	}
}

func (s *Server) observeInventories() {
	s.metrics.ResetInventories()
	w := s.world.Load()
	demoted := w.doubts.Demoted()
	for _, st := range s.inventories.Statuses() {
		age := math.Inf(1) // never read
		if !st.WrittenAt.IsZero() {
			age = time.Since(st.WrittenAt).Seconds()
		}
		state := st.State.String()
		if i, ok := w.index[st.Store]; ok && demoted.Has(i) {
			state = "doubted"
		}
		s.metrics.ObserveInventory(st.Store, state, age, st.Held, st.LastError != nil)
	}
	view := w.live.View()
	s.metrics.InventoryDigests.Set(float64(view.Table.Len()))
	s.metrics.InventoryBytes.Set(float64(view.Table.Bytes()))
	s.metrics.InventoryDenied.Set(float64(w.doubts.Len()))
}

func boolGauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s *Server) serveExplain(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	addr, err := netip.ParseAddr(q.Get("ip"))
	if err != nil {
		http.Error(rw, "ip: an IPv4 or IPv6 address: /explain?ip=192.0.2.1&path=/v2/…", http.StatusBadRequest)
		return
	}
	e, err := s.ExplainHost(r.Context(), addr, q.Get("host"), q.Get("path"))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	if q.Get("format") == "text" || (q.Get("format") == "" && strings.HasPrefix(r.Header.Get("Accept"), "text/plain")) {
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = e.WriteText(rw)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(rw)
	enc.SetIndent("", "  ")
	_ = enc.Encode(e)
}

func (s *Server) serveLogLevel(rw http.ResponseWriter, r *http.Request) {
	if s.opt.Level == nil {
		http.Error(rw, "the log level is fixed", http.StatusNotImplemented)
		return
	}
	if err := setLevel(s.opt.Level, r.URL.Query().Get("level")); err != nil {
		http.Error(rw, "level: debug, info, warn or error", http.StatusBadRequest)
		return
	}
	s.log.Warn("log level set", "level", s.opt.Level.Level().String())
}
