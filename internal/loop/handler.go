package loop

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ociproxy/internal/admit"
)

// Handler serves /metrics, /-/live and /-/ready; / lists them. It is for operators, not for the public.
func (l *Loop[R]) Handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		l.opt.Metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	p := admit.NewPages("oci-proxyctl: a " + l.opt.Unit + " every " + l.opt.Every.String())
	p.Handle("GET /metrics", "figures for Prometheus", promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP)
	p.Handle("GET /-/live", "200 while something moves: a "+l.opt.Unit+" may take days", probe(l.live, "nothing has moved for three intervals"))
	p.Handle("GET /-/ready", "200 while a "+l.opt.Unit+" ends at least every three intervals",
		probe(l.ready, "no "+l.opt.Unit+" has ended for three intervals"))
	return p
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

// Sink sends metrics that have only a value at the time of the scrape to a collector's channel.
type Sink chan<- prometheus.Metric

// Count sends the value of a counter.
func (s Sink) Count(d *prometheus.Desc, n int64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

// Gauge sends the value of a gauge.
func (s Sink) Gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// Flag sends 1 for true and 0 for false.
func (s Sink) Flag(d *prometheus.Desc, yes bool, labels ...string) {
	v := 0.0
	if yes {
		v = 1
	}
	s.Gauge(d, v, labels...)
}

// Time sends a time in Unix seconds, or 0 for the zero time.
func (s Sink) Time(d *prometheus.Desc, t time.Time) {
	v := 0.0
	if !t.IsZero() {
		v = float64(t.Unix())
	}
	s.Gauge(d, v)
}
