package prove

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The metrics of a loop. Their labels are closed sets.
var (
	looksDesc    = desc("looks_total", "Looks at production by result.", "result")
	findingsDesc = desc("findings", "What the last look found, by class.", "class")
	askedDesc    = desc("requests_total", "HTTP requests to registries of finished looks.")
	reposDesc    = desc("repositories", "Destination repositories that the last look compared.")
	digestsDesc  = desc("digests", "Promoted digests that the last look compared, each destination counted.")
	tookDesc     = desc("look_duration_seconds", "How long the last look took.")
	endedDesc    = desc("look_timestamp_seconds", "When the last look ended that could say something, in Unix time; 0: none has.")
	goodDesc     = desc("clean_timestamp_seconds", "When the last look ended that found nothing, in Unix time; 0: none has.")
	busyDesc     = desc("look_running", "1 while a look goes on.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ociproxy_promote_verify_"+name, help, labels, nil)
}

// newRegistry has the metrics of a loop, of the Go runtime and of the process.
func newRegistry(w *watch) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(w, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return r
}

// Metrics are the metrics of a loop.
func Metrics() []*prometheus.Desc {
	return []*prometheus.Desc{looksDesc, findingsDesc, askedDesc, reposDesc, digestsDesc, tookDesc, endedDesc, goodDesc, busyDesc}
}

// Describe implements [prometheus.Collector].
func (w *watch) Describe(out chan<- *prometheus.Desc) {
	for _, d := range Metrics() {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (w *watch) Collect(out chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, r := range []Result{Clean, Faulty, Failed} {
		out <- prometheus.MustNewConstMetric(looksDesc, prometheus.CounterValue, float64(w.looks[r]), string(r))
	}
	out <- prometheus.MustNewConstMetric(askedDesc, prometheus.CounterValue, float64(w.asked))
	busy := 0.0
	if w.busy {
		busy = 1
	}
	gauge(busyDesc, busy)
	gauge(endedDesc, unix(w.at))
	gauge(goodDesc, unix(w.success))
	if w.last == nil {
		return
	}
	gauge(tookDesc, float64(w.last.DurationMs)/1000)
	gauge(reposDesc, float64(w.last.Repositories))
	gauge(digestsDesc, float64(w.last.Digests))
	for _, c := range Classes() {
		gauge(findingsDesc, float64(w.last.Found[c]), string(c))
	}
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
