package prove

import (
	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/loop"
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

// Metrics returns the metrics of a loop.
func Metrics() []*prometheus.Desc {
	return []*prometheus.Desc{looksDesc, findingsDesc, askedDesc, reposDesc, digestsDesc, tookDesc, endedDesc, goodDesc, busyDesc}
}

// Describe implements [prometheus.Collector].
func (l *Loop) Describe(out chan<- *prometheus.Desc) {
	for _, d := range Metrics() {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (l *Loop) Collect(out chan<- prometheus.Metric) {
	to, state := loop.Sink(out), l.State()
	for _, r := range []Result{Clean, Faulty, Failed} {
		to.Count(looksDesc, state.Turns[string(r)], string(r))
	}
	to.Count(askedDesc, l.asked.Load())
	to.Flag(busyDesc, state.Running)
	to.Time(endedDesc, state.Ended)
	to.Time(goodDesc, state.Good)
	if state.Last == nil {
		return
	}
	to.Gauge(tookDesc, float64(state.Last.DurationMs)/1000)
	to.Gauge(reposDesc, float64(state.Last.Repositories))
	to.Gauge(digestsDesc, float64(state.Last.Digests))
	for _, c := range Classes() {
		to.Gauge(findingsDesc, float64(state.Last.Found[c]), string(c))
	}
}
