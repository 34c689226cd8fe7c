package metrics

import (
	"maps"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Counted is what a flow counted since the start: redirects, bytes, US dollars.
type Counted struct{ Redirects, Bytes, Dollars float64 }

// Flows calls yield with the counters of each flow that has its own. It holds no lock that a request waits for while it
// reads them.
func (m *Metrics) Flows(yield func(FlowKey, Counted)) {
	m.mu.Lock()
	flows := maps.Clone(m.flows)
	m.mu.Unlock()
	var d dto.Metric
	for k, f := range flows {
		yield(k, Counted{value(f.redirects, &d), value(f.bytes, &d), value(f.cost, &d)})
	}
}

// Answered returns how many requests were answered since the start, and how many of them with 5xx, except the requests
// of the kinds to skip.
func (m *Metrics) Answered(skip ...string) (all, failed float64) {
	skipped := map[string]bool{}
	for _, kind := range skip {
		skipped[kind] = true
	}
	read := make(chan prometheus.Metric, len(Codes))
	go func() { m.requests.Collect(read); close(read) }()
	for metric := range read {
		var d dto.Metric
		if metric.Write(&d) != nil {
			continue
		}
		labels := map[string]string{}
		for _, l := range d.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if n := d.GetCounter().GetValue(); !skipped[labels["kind"]] {
			all += n
			if code := labels["code"]; code != "" && code[0] == '5' {
				failed += n
			}
		}
	}
	return all, failed
}

// Read returns the value of a gauge or counter.
func Read(metric prometheus.Metric) float64 { return value(metric, new(dto.Metric)) }

func value(metric prometheus.Metric, d *dto.Metric) float64 {
	d.Reset()
	if metric.Write(d) != nil {
		return 0
	}
	if g := d.GetGauge(); g != nil {
		return g.GetValue()
	}
	return d.GetCounter().GetValue()
}
