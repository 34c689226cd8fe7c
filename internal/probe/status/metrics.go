package status

import (
	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/loop"
)

// The names of the metrics. Their labels are those of all metrics of a probe.
const (
	WrittenMetric  = "ociproxy_probe_status_written_timestamp_seconds"
	StaleMetric    = "ociproxy_probe_status_stale_seconds"
	FailuresMetric = "ociproxy_probe_status_failures_total"
)

var (
	writtenDesc = prometheus.NewDesc(WrittenMetric,
		"When the public status was last written, in Unix time; before the first time: when the probe started.", []string{"name", "vantage"}, nil)
	staleDesc    = prometheus.NewDesc(StaleMetric, "After how long without a write the public status says that it is stale.", []string{"name", "vantage"}, nil)
	failuresDesc = prometheus.NewDesc(FailuresMetric, "Writes of the public status that failed.", []string{"name", "vantage"}, nil)
)

// Metrics are all metrics of a writer.
func Metrics() []*prometheus.Desc { return []*prometheus.Desc{writtenDesc, staleDesc, failuresDesc} }

var _ prometheus.Collector = (*Writer)(nil)

// Describe implements [prometheus.Collector].
func (w *Writer) Describe(out chan<- *prometheus.Desc) {
	for _, d := range Metrics() {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (w *Writer) Collect(out chan<- prometheus.Metric) {
	w.mu.Lock()
	written, failures := w.written, w.failures
	w.mu.Unlock()
	to := loop.Sink(out)
	to.Gauge(writtenDesc, float64(written.UnixMilli())/1000, w.opt.Name, w.opt.Vantage)
	to.Gauge(staleDesc, Stale(w.opt.Every).Seconds(), w.opt.Name, w.opt.Vantage)
	to.Count(failuresDesc, failures, w.opt.Name, w.opt.Vantage)
}
