package monitor

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/loop"
	"ociproxy/internal/probe"
)

// The metrics. Their labels are bounded: classes and images are those of the command, checks and results are closed sets,
// and of the hosts that redirects name, a run keeps at most maxHosts. Gauges are of the last run, so a series ends when
// what it is about is gone.
var (
	runsDesc     = desc("runs_total", "Runs by result.", "result")
	requestsDesc = desc("requests_total", "Requests that the probe made, to all hosts.")
	bytesDesc    = desc("bytes_total", "Bytes of bodies that the probe read.")
	dayDesc      = desc("day_bytes", "Bytes that the probe read in the last 24 hours.")
	dayMaxDesc   = desc("day_bytes_max", "Bytes that it may read in 24 hours.")
	tookDesc     = desc("run_duration_seconds", "How long the last run took.")
	endedDesc    = desc("run_timestamp_seconds", "When the last run ended, in Unix time; 0: none has.")
	goodDesc     = desc("success_timestamp_seconds", "When the last run without an error ended, in Unix time; 0: none has.")
	wholeDesc    = desc("path_timestamp_seconds", "When the last run that read whole layers ended, in Unix time; 0: none has.")
	foundDesc    = desc("findings", "Answers of the last run by result.", "result")
	classesDesc  = desc("classes", "Classes of clients as which the last run asked.")

	decisionsDesc = desc("decisions_total", "Answers that prove where a client is sent, by class of client and result.", "as", "result")
	pathsDesc     = desc("paths_total", "Answers that prove that bytes arrive, by image and result.", "image", "result")
	redirectDesc  = desc("redirect_seconds", "How long the registry took to say where a blob is.")

	successDesc  = desc("check_success", "1 while no answer to the check was an error.", "check", "as", "image", "host", "proof")
	durationDesc = desc("check_duration_seconds", "How long the requests of the check took.", "check", "as", "image", "host", "proof")
	speedDesc    = desc("check_bytes_per_second", "How fast the bytes of the check came; only for checks that read bodies.", "check", "as", "image", "host", "proof")
	droppedDesc  = desc("series_dropped", "Checks of the last run without series of their own, because there were too many.")

	expiryDesc = desc("certificate_expiry_timestamp_seconds", "When the host's certificate ends, in Unix time.", "host")
	firstDesc  = desc("first_byte_seconds", "Median time to the first byte of the host's answers.", "host", "kind")
	hostDesc   = desc("host_bytes_per_second", "How fast the biggest layer came that was read whole.", "host")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ociproxy_probe_"+name, help, append([]string{"name", "vantage"}, labels...), nil)
}

// Metrics are all metrics of a monitor.
func Metrics() []*prometheus.Desc {
	return []*prometheus.Desc{
		runsDesc, requestsDesc, bytesDesc, dayDesc, dayMaxDesc, tookDesc, endedDesc, goodDesc, wholeDesc, foundDesc, classesDesc,
		decisionsDesc, pathsDesc, redirectDesc, successDesc, durationDesc, speedDesc, droppedDesc, expiryDesc, firstDesc, hostDesc,
	}
}

const (
	maxSeries = 5000 // of each of the metrics by check
	maxHosts  = 500
	maxAs     = 1000 // classes with counters of their own; the others count together as "other"
)

// results are those of findings.
var results = []judge.Result{judge.OK, judge.Info, judge.Warning, judge.Failed}

// counts only grow.
type counts struct {
	requests, bytes  int64
	decisions, paths map[string]map[judge.Result]int64 // by class, by image
	seconds          float64                           // of redirects
	redirects        uint64
	buckets          map[float64]uint64
}

// bounds are the buckets of redirect_seconds. 0.5 is the latency objective of the recording rules.
var bounds = []float64{0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func newCounts() counts {
	c := counts{decisions: map[string]map[judge.Result]int64{}, paths: map[string]map[judge.Result]int64{}, buckets: map[float64]uint64{}}
	for _, b := range bounds {
		c.buckets[b] = 0
	}
	return c
}

func (c *counts) add(r *probe.Report) {
	c.requests += r.Cost.Requests
	c.bytes += r.Cost.Bytes
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Check == "redirect" && f.Result != probe.Skipped {
			c.redirects++
			c.seconds += f.Seconds
			for _, b := range bounds {
				if f.Seconds <= b {
					c.buckets[b]++
				}
			}
		}
		switch f.Proof {
		case probe.Decision:
			count(c.decisions, f.As, f.Result)
		case probe.Path:
			count(c.paths, f.Image, f.Result)
		}
	}
}

// count adds a result. All results of a key have a value from the beginning, so that the first error is an increase.
func count(of map[string]map[judge.Result]int64, key string, r judge.Result) {
	if r == probe.Skipped {
		return
	}
	if of[key] == nil && len(of) >= maxAs {
		key = "other"
	}
	if of[key] == nil {
		of[key] = map[judge.Result]int64{}
		for _, r := range results {
			of[key][r] = 0
		}
	}
	of[key][r]++
}

// series are the gauges of one run.
type series struct {
	checks  []check
	dropped int
}

// key is what the metrics of a check are about.
type key struct{ check, as, image, host, proof string }

// check is what a run found out about one key.
type check struct {
	key
	failed  bool
	seconds float64
	bytes   int64
}

func newSeries(r *probe.Report, wanted func(*probe.Finding) bool) *series {
	s := &series{}
	at, hosts := map[key]int{}, map[string]bool{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if !wanted(f) || f.Result == probe.Skipped {
			continue
		}
		k := key{f.Check, f.As, f.Image, label(f.Host), string(f.Proof)}
		if !hosts[k.host] && len(hosts) >= maxHosts {
			k.host = "other"
		}
		hosts[k.host] = true
		n, known := at[k]
		if !known {
			if len(s.checks) >= maxSeries {
				s.dropped++
				continue
			}
			n = len(s.checks)
			at[k] = n
			s.checks = append(s.checks, check{key: k})
		}
		c := &s.checks[n]
		c.failed = c.failed || f.Result == judge.Failed
		c.seconds += f.Seconds
		c.bytes += f.Bytes
	}
	return s
}

// label makes a host of a redirect fit for a label: a server may write any bytes into it.
func label(host string) string { return strings.ToValidUTF8(host, "?") }

// Describe implements [prometheus.Collector].
func (m *Monitor) Describe(out chan<- *prometheus.Desc) {
	for _, d := range Metrics() {
		out <- d
	}
	if m.opt.More != nil {
		m.opt.More.Describe(out)
	}
}

// sink adds the labels that all metrics have.
type sink struct {
	loop.Sink
	name, vantage string
}

func (s sink) count(d *prometheus.Desc, n int64, labels ...string) {
	s.Count(d, n, append([]string{s.name, s.vantage}, labels...)...)
}

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.Gauge(d, v, append([]string{s.name, s.vantage}, labels...)...)
}

func (s sink) time(d *prometheus.Desc, t time.Time, labels ...string) {
	v := 0.0
	if !t.IsZero() {
		v = float64(t.Unix())
	}
	s.gauge(d, v, labels...)
}

// Collect implements [prometheus.Collector].
func (m *Monitor) Collect(out chan<- prometheus.Metric) {
	if m.opt.More != nil {
		m.opt.More.Collect(out)
	}
	to, state := sink{loop.Sink(out), m.opt.Name, m.opt.Vantage}, m.State()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range []string{resultPassed, resultWarnings, resultErrors, loop.FailedResult} {
		to.count(runsDesc, state.Turns[r], r)
	}
	to.count(requestsDesc, m.counts.requests)
	to.count(bytesDesc, m.counts.bytes)
	to.gauge(dayDesc, float64(m.day.sum(time.Now())))
	to.gauge(dayMaxDesc, float64(m.opt.DayBytes))
	to.time(endedDesc, state.Ended)
	to.time(goodDesc, state.Good)
	to.time(wholeDesc, m.wholeT)
	for metric, of := range map[*prometheus.Desc]map[string]map[judge.Result]int64{decisionsDesc: m.counts.decisions, pathsDesc: m.counts.paths} {
		for label, byResult := range of {
			for r, n := range byResult {
				to.count(metric, n, label, string(r))
			}
		}
	}
	out <- prometheus.MustNewConstHistogram(redirectDesc, m.counts.redirects, m.counts.seconds, m.counts.buckets, to.name, to.vantage)
	for _, s := range []*series{m.last, m.paths} {
		s.collect(to)
	}
	to.gauge(droppedDesc, float64(m.last.dropped+m.paths.dropped))
	if r := state.Last; r != nil {
		to.report(r)
	}
}

func (s *series) collect(to sink) {
	for i := range s.checks {
		c := &s.checks[i]
		labels := []string{c.check, c.as, c.image, c.host, c.proof}
		success := 1.0
		if c.failed {
			success = 0
		}
		to.gauge(successDesc, success, labels...)
		to.gauge(durationDesc, c.seconds, labels...)
		if c.bytes > 0 && c.seconds > 0 {
			to.gauge(speedDesc, float64(c.bytes)/c.seconds, labels...)
		}
	}
}

// report sends what the last run says as a whole.
func (s sink) report(r *probe.Report) {
	s.gauge(tookDesc, r.Cost.Seconds)
	s.gauge(classesDesc, float64(len(r.Classes)))
	for result, n := range map[judge.Result]int{judge.OK: r.Passed, judge.Warning: r.Warnings, judge.Failed: r.Errors, probe.Skipped: r.Skipped} {
		s.gauge(foundDesc, float64(n), string(result))
	}
	hosts := slices.Clone(r.Hosts)
	for i := range hosts {
		hosts[i].Host = label(hosts[i].Host)
	}
	slices.SortFunc(hosts, func(a, b probe.HostReport) int { return strings.Compare(a.Host, b.Host) })
	hosts = slices.CompactFunc(hosts, func(a, b probe.HostReport) bool { return a.Host == b.Host })
	for _, h := range hosts[:min(len(hosts), maxHosts)] {
		if !h.TLSUntil.IsZero() {
			s.time(expiryDesc, h.TLSUntil, h.Host)
		}
		if h.FirstByte > 0 {
			s.gauge(firstDesc, h.FirstByte, h.Host, h.Kind)
		}
		if h.BytesPerSecond > 0 {
			s.gauge(hostDesc, h.BytesPerSecond, h.Host)
		}
	}
}
