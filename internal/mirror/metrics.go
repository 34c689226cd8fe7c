package mirror

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/loop"
)

// sums are what finished passes did, for counters that only grow.
type sums struct {
	errors    map[Class]int64
	blobs     map[[2]string]int64 // by store and how
	bytes     map[[2]string]int64
	requests  map[string]int64 // by store or source
	read      int64
	throttled int64
}

func (s *sums) init() {
	if s.errors == nil {
		*s = sums{errors: map[Class]int64{}, blobs: map[[2]string]int64{}, bytes: map[[2]string]int64{}, requests: map[string]int64{}}
	}
}

func (s *sums) add(r *Report) {
	s.init()
	for c, n := range r.Errors {
		s.errors[c] += n
	}
	for _, st := range r.Stores {
		for how, n := range map[string]int64{"uploaded": st.Uploaded, "copied": st.Copied, "present": st.Present, "failed": st.Failed} {
			s.blobs[[2]string{st.Name, how}] += n
		}
		s.bytes[[2]string{st.Name, "uploaded"}] += st.BytesUp
		s.bytes[[2]string{st.Name, "copied"}] += st.BytesCopy
		s.requests[st.Name] += st.Requests
	}
	s.requests[r.Source.Name] += r.Source.Requests
	s.read += r.Source.BytesRead
	s.throttled += r.Source.Throttled
}

// The metrics of a loop. Their labels are bounded: stores and the source are those of the config, everything else is a closed set.
var (
	passesDesc = desc("passes_total", "Passes by result.", "result")
	errorsDesc = desc("errors_total", "What went wrong, by class.", "class")
	blobsDesc  = desc("blobs_total", "Blobs brought to a store, by how.", "store", "how")
	bytesDesc  = desc("bytes_total", "Bytes of blobs brought to a store, by how.", "store", "how")
	readDesc   = desc("source_bytes_total", "Bytes of blobs read from the source.")
	askedDesc  = desc("requests_total", "HTTP requests to the source and to the stores, by name.", "candidate")
	slowedDesc = desc("source_throttled_total", "How often the source said that it is too much.")

	lagDesc    = desc("lag_seconds", "Age of the newest manifest that is not complete in the store; 0 when all are.", "store")
	oldestDesc = desc("oldest_incomplete_seconds", "Age of the oldest manifest that is not complete in the store; 0 when all are.", "store")
	lateDesc   = desc("incomplete_images", "Manifests that were not complete in the store at the end of the last pass.", "store")
	faultDesc  = desc("store_fault", "1 for a store that the last pass left alone, because it cannot be written.", "store")
	imagesDesc = desc("images", "Manifests that the last pass met.")
	tookDesc   = desc("pass_duration_seconds", "How long the last pass took.")
	endedDesc  = desc("pass_timestamp_seconds", "When the last pass ended, in Unix time; 0: none has.")
	goodDesc   = desc("success_timestamp_seconds", "When the last pass ended that left nothing to do, in Unix time; 0: none has.")
	runsDesc   = desc("pass_running", "1 while a pass runs.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ociproxy_mirror_"+name, help, labels, nil)
}

// Metrics are all metrics of a loop.
func Metrics() []*prometheus.Desc {
	return []*prometheus.Desc{
		passesDesc, errorsDesc, blobsDesc, bytesDesc, readDesc, askedDesc, slowedDesc, lagDesc, oldestDesc, lateDesc, faultDesc, imagesDesc,
		tookDesc, endedDesc, goodDesc, runsDesc,
	}
}

// Describe implements [prometheus.Collector].
func (l *Loop) Describe(out chan<- *prometheus.Desc) {
	for _, d := range Metrics() {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. The work of the running pass counts at once; the last finished pass says
// how complete stores are.
func (l *Loop) Collect(out chan<- prometheus.Metric) {
	to, state := loop.Sink(out), l.State()
	now, running := l.total()
	for _, r := range []Result{Done, Partial, Failed, Interrupted} {
		to.Count(passesDesc, state.Turns[string(r)], string(r))
	}
	for _, c := range Classes() {
		to.Count(errorsDesc, now.errors[c], string(c))
	}
	for k, n := range now.blobs {
		to.Count(blobsDesc, n, k[0], k[1])
	}
	for k, n := range now.bytes {
		to.Count(bytesDesc, n, k[0], k[1])
	}
	for name, n := range now.requests {
		to.Count(askedDesc, n, name)
	}
	to.Count(readDesc, now.read)
	to.Count(slowedDesc, now.throttled)
	to.Flag(runsDesc, running)
	to.Time(endedDesc, state.Ended)
	to.Time(goodDesc, state.Good)
	if state.Last == nil {
		return
	}
	to.Gauge(tookDesc, float64(state.Last.DurationMs)/1000)
	to.Gauge(imagesDesc, float64(state.Last.Images.Seen))
	since := time.Since(state.Ended).Seconds()
	for _, s := range state.Last.Stores {
		lag, oldest := 0.0, 0.0
		if s.Incomplete > 0 {
			lag, oldest = float64(s.LagSeconds)+since, float64(s.OldestSeconds)+since
		}
		to.Gauge(lagDesc, lag, s.Name)
		to.Gauge(oldestDesc, oldest, s.Name)
		to.Gauge(lateDesc, float64(s.Incomplete), s.Name)
		to.Flag(faultDesc, s.Error != "", s.Name)
	}
}

// total returns the sums of all passes, including the running one.
func (l *Loop) total() (now sums, running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now.init()
	now.merge(&l.sums)
	if l.current != nil {
		now.add(l.current.Report())
	}
	return now, l.current != nil
}

func (s *sums) merge(o *sums) {
	addAll(s.errors, o.errors)
	addAll(s.blobs, o.blobs)
	addAll(s.bytes, o.bytes)
	addAll(s.requests, o.requests)
	s.read += o.read
	s.throttled += o.throttled
}

func addAll[K comparable](to, from map[K]int64) {
	for k, n := range from {
		to[k] += n
	}
}
