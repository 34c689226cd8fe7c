package proxy

import (
	"encoding/json"
	"math"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/time/rate"

	"ociproxy/internal/admit"
	"ociproxy/internal/console"
	"ociproxy/internal/listener"
)

// adminServer returns the server of the operators' port. It is not for clients: bind it to loopback or a private
// network.
func (s *Server) adminServer() *http.Server {
	return &http.Server{
		Handler:           s.guard(s.admitted().Handler(s.adminPages())),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // a CPU profile takes its time
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnState:         listener.State,
		ErrorLog:          s.quiet(),
	}
}

// admitted says which requests the admin port accepts, by the configuration in use.
func (s *Server) admitted() admit.Port {
	said := rate.Sometimes{Interval: time.Minute}
	return admit.Port{
		Hosts:   func() []string { return s.wiring.Load().cfg.Admin.Hosts },
		Setting: "admin.hosts of the config",
		Costly: func(r *http.Request) bool { // profiles, and requests that ask stores and upstreams
			return strings.HasPrefix(r.URL.Path, "/debug/") || r.URL.Path == "/explain" || console.Costly(r)
		},
		Refused: func(r *http.Request, why string) {
			said.Do(func() {
				s.log.Warn("admin port refuses a request", "host", r.Host, "origin", r.Header.Get("Origin"), "path", r.URL.Path, "error", why)
			})
		},
	}
}

// AdminHandler returns the handler of the operators' port, for embedding and tests. It does not check who asks: the
// port itself does.
func (s *Server) AdminHandler() http.Handler { return s.guard(s.adminPages()) }

func (s *Server) adminPages() *admit.Pages {
	p := admit.NewPages("oci-proxy: admin port")
	p.Front("the console, in a browser", s.console.Page)
	s.console.Pages(p.Handle)
	p.Handle("GET /metrics", "figures for Prometheus", s.scrapes())
	p.Handle("GET /explain", "why a client goes where it goes: ?ip=192.0.2.7&path=/v2/…&format=text", s.serveExplain)
	p.Handle("GET /config", "where the config comes from, and what is wrong there", s.serveConfig)
	p.Handle("GET /overrides", "overrides that hold or have ended, and candidates that come back", s.serveOverrides)
	p.Handle("PUT /log-level", "?level=debug, info, warn or error, until the next reload", s.serveLogLevel)
	p.Handle("GET /-/live", "200 while the process answers", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("ok\n")) })
	p.Handle("GET /-/ready", "200 while it wants traffic", func(rw http.ResponseWriter, _ *http.Request) {
		a := probe(s.ready())
		rw.WriteHeader(a.status)
		_, _ = rw.Write(a.body)
	})
	p.Handle("GET /debug/pprof/", "profiles", pprof.Index)
	p.Handle("GET /debug/pprof/cmdline", "", pprof.Cmdline)
	p.Handle("GET /debug/pprof/profile", "", pprof.Profile)
	p.Handle("GET /debug/pprof/symbol", "", pprof.Symbol)
	p.Handle("POST /debug/pprof/symbol", "", pprof.Symbol)
	p.Handle("GET /debug/pprof/trace", "", pprof.Trace)
	return p
}

// scrapeTimeout is the time limit for writing a scrape: more than Prometheus waits by default (10 s).
const scrapeTimeout = 15 * time.Second

// scrapesEach is how many scrapes one address may have under way. Each holds a copy of all metrics until it is
// written.
const scrapesEach = 4

// scrapes answers /metrics. One scrape at a time gathers the metrics, because two must not see each other's reset.
// Each scrape is then written at its reader's pace, and the others do not wait for that.
func (s *Server) scrapes() http.HandlerFunc {
	var one sync.Mutex
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		one.Lock()
		defer one.Unlock()
		s.observeGauges()
		return s.metrics.Registry.Gather()
	})
	scrape := promhttp.HandlerFor(gather, promhttp.HandlerOpts{})
	each := shares{most: scrapesEach}
	return func(rw http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if !each.take(host) {
			http.Error(rw, "this address has as many scrapes under way as it may: read them first", http.StatusServiceUnavailable)
			return
		}
		defer each.give(host)
		_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(scrapeTimeout)) // test recorders have none
		scrape.ServeHTTP(rw, r)
	}
}

// shares counts, for each client, how many of something it has. Safe for concurrent use.
type shares struct {
	most int
	mu   sync.Mutex
	of   map[string]int
}

// take reports whether the client named who may have one more. If so, it counts one more until give.
func (s *shares) take(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]int{}
	}
	if s.of[who] >= s.most {
		return false
	}
	s.of[who]++
	return true
}

func (s *shares) give(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[who]--; s.of[who] == 0 {
		delete(s.of, who)
	}
}

// observeGauges copies the values that are needed only when a client reads the metrics.
func (s *Server) observeGauges() {
	s.metrics.ExistenceEntries.Set(float64(s.checker.Len()))
	s.metrics.Usable.Reset()
	w := s.wiring.Load()
	for _, st := range s.health.Status() {
		if i, ok := w.index[st.Name]; !ok || !w.snapshot.Candidates[i].Active {
			continue
		}
		s.metrics.Usable.WithLabelValues(st.Name).Set(boolGauge(st.Usable))
	}
	s.metrics.Ready.Set(boolGauge(s.ready()))
	if p := s.opt.Publication; p != nil { // it tries again by itself
		s.metrics.ConfigCopyFailing.Set(boolGauge(p.State().Copy != nil))
	}
	s.observeInventories()
	s.observeOverrides(w)
	s.metrics.Frozen.Set(boolGauge(s.health.Frozen()))
	s.metrics.ResetFeeds() // a reload may have removed feeds
	for _, f := range s.wiring.Load().ranges.Status() {
		age := f.Age.Seconds()
		if f.LastGood.IsZero() {
			age = math.Inf(1) // never: older than any alert's threshold
		}
		s.metrics.ObserveFeed(f.Name, age, f.Rows, f.Unknown, f.LastError != "")
		if !f.Seed.IsZero() {
			s.metrics.ObserveSeed(f.Name, f.Seed)
		}
	}
}

func (s *Server) observeInventories() {
	s.metrics.ResetInventories()
	w := s.wiring.Load()
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
		http.Error(rw, "the program that runs this server fixed its log level: only oci-proxy serve can change it", http.StatusNotImplemented)
		return
	}
	if err := setLevel(s.opt.Level, r.URL.Query().Get("level")); err != nil {
		http.Error(rw, "level: debug, info, warn or error", http.StatusBadRequest)
		return
	}
	s.log.Warn("log level set", "level", s.opt.Level.Level().String())
}
