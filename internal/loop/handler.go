package loop

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler answers /metrics, /-/live and /-/ready. It is for operators, not for the public.
func (l *Loop[R]) Handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		l.opt.Metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	mux.Handle("GET /-/live", probe(l.live, "nothing has moved for three intervals"))
	mux.Handle("GET /-/ready", probe(l.ready, "no "+l.opt.Unit+" has ended for three intervals"))
	return mux
}

func probe(good func() bool, bad string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		if !good() {
			rw.WriteHeader(http.StatusServiceUnavailable)
			_, _ = rw.Write([]byte(bad + "\n"))
			return
		}
		_, _ = rw.Write([]byte("ok\n"))
	}
}

// Sink is where a collector sends metrics that are only numbers at the time.
type Sink chan<- prometheus.Metric

// Count sends the value of a counter.
func (s Sink) Count(d *prometheus.Desc, n int64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

// Gauge sends the value of a gauge.
func (s Sink) Gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// Flag sends 1 for yes and 0 for no.
func (s Sink) Flag(d *prometheus.Desc, yes bool, labels ...string) {
	v := 0.0
	if yes {
		v = 1
	}
	s.Gauge(d, v, labels...)
}

// Time sends a time in Unix seconds, 0 for none.
func (s Sink) Time(d *prometheus.Desc, t time.Time) {
	v := 0.0
	if !t.IsZero() {
		v = float64(t.Unix())
	}
	s.Gauge(d, v)
}
