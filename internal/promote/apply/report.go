package apply

import (
	"slices"
	"sync"
	"time"

	"ociproxy/internal/manifest"
	"ociproxy/internal/promote"
)

// Result is how a run ended.
type Result string

// The results.
const (
	Nothing     Result = "nothing to do"    // the plan is empty, or everything was in place
	Done        Result = "done"             // everything in the plan is done
	Partial     Result = "partial"          // something failed; the rest is done
	Failed      Result = "nothing was done" // everything failed
	Interrupted Result = "interrupted"      // what was done before is kept; the same plan may be applied again
)

// Report is what a run did. Fields are only added.
type Report struct {
	Result     Result    `json:"result"`
	Error      string    `json:"error,omitempty"` // why the run was interrupted
	Plan       string    `json:"plan"`            // SHA-256 of its file
	Manifests  string    `json:"manifests"`       // the path from which they were read
	StartedAt  time.Time `json:"startedAt"`
	DurationMs int64     `json:"durationMs"`
	SettleMs   int64     `json:"settleMs"` // how long a tag waits after an inventory lists its layers

	Promotions int64 `json:"promotions"` // digests in the plan
	Edges      int64 `json:"edges"`      // tags, and digests without one, in the plan
	Done       int64 `json:"done"`       // edges that this run brought about
	InPlace    int64 `json:"inPlace"`    // edges that were in place already
	Failed     int64 `json:"failed"`     // edges that failed

	Read    int64         `json:"bytesRead"` // bytes of blobs, from sources
	Stores  []StoreReport `json:"stores"`
	Hosts   []HostReport  `json:"registries"`
	Notices []string      `json:"notices"` // the first 100
	// Held is what the plan left out because its manifests are faulty.
	Held []*manifest.Held `json:"held,omitempty"`
	// Failures are the failed items; Classes counts them.
	Failures []*promote.Failure      `json:"failures"`
	Classes  map[promote.Class]int64 `json:"classes"`
}

// StoreReport is the part of [Report] for one store.
type StoreReport struct {
	Name   string `json:"name"`
	Blobs  int64  `json:"blobs"` // brought to the store
	Bytes  int64  `json:"bytes"`
	Behind int64  `json:"behind"` // images promoted without it: the next mirror pass copies them
	Error  string `json:"error,omitempty"`
}

// HostReport is the part of [Report] for one registry.
type HostReport struct {
	Name      string `json:"name"`
	Requests  int64  `json:"requests"`
	Throttled int64  `json:"throttled"`
	Pushed    int64  `json:"pushed"` // blobs
	Bytes     int64  `json:"bytes"`  // of these blobs
	Mounted   int64  `json:"mounted"`
	Manifests int64  `json:"manifests"`
	Tags      int64  `json:"tags"` // set or merged, with those of signatures
	Error     string `json:"error,omitempty"`
}

// Code returns the exit code of the run together with that of its plan, which may be nil. The rule is that of
// [promote.Summary.Code]: 0 if nothing failed and nothing is held back. Otherwise it has the bits of the classes that
// occurred, 128 if projects are held back, and 32 if something else was done or was in place, or 64 if nothing was.
func (r *Report) Code(plan *promote.Summary) int {
	failures := r.Failures
	if plan != nil {
		failures = slices.Concat(plan.Failures, r.Failures)
	}
	return promote.ExitCode(failures, len(r.Held) > 0, r.Done+r.InPlace > 0)
}

// Progress is how far a run has come.
type Progress struct {
	Elapsed    time.Duration
	Promotions int64 // in the plan
	Begun      int64
	Copied     int64 // in their stores and destinations
	Settling   int64 // waiting until their tags are due
	Finished   int64 // tagged, or failed
	Failures   int64
	Read       int64 // bytes
	Uploaded   int64 // bytes, to stores and registries
}

// tally adds up what happens.
type tally struct {
	mu      sync.Mutex
	report  Report
	begun   int64
	copied  int64
	waiting int64
	ended   int64
	behind  []int64 // images, by store
	stored  []int64 // blobs, by store
	bytes   []int64
}

// maxNotices bounds the notices of a report.
const maxNotices = 100

func (t *tally) notice(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.report.Notices) < maxNotices && !slices.Contains(t.report.Notices, text) {
		t.report.Notices = append(t.report.Notices, text)
	}
}

func (t *tally) fail(f *promote.Failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Failures = append(t.report.Failures, f)
	t.report.Failed += f.Edges
	t.report.Classes[f.Class]++
}

func (t *tally) done(edges int64)    { t.add(&t.report.Done, edges) }
func (t *tally) inPlace(edges int64) { t.add(&t.report.InPlace, edges) }

func (t *tally) add(n *int64, by int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n += by
}

// result sets how the run ended.
func (t *tally) result(cause error) {
	r := &t.report
	switch {
	case cause != nil:
		r.Result, r.Error = Interrupted, cause.Error()
	case len(r.Failures) > 0 && r.Done+r.InPlace == 0:
		r.Result = Failed
	case len(r.Failures) > 0:
		r.Result = Partial
	case r.Done == 0:
		r.Result = Nothing
	default:
		r.Result = Done
	}
}

// begin starts the report.
func (t *tally) begin(r *Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report = Report{
		Plan: r.plan.Hash, Manifests: r.plan.Manifests, StartedAt: time.Now().UTC(), SettleMs: r.settle.Milliseconds(),
		Promotions: r.plan.Promotions, Edges: r.plan.Edges, Held: r.plan.Summary.Held,
		Stores: []StoreReport{}, Hosts: []HostReport{}, Notices: []string{}, Failures: []*promote.Failure{}, Classes: map[promote.Class]int64{},
	}
}

// report returns what was done so far; cause is why it ends early.
func (r *Run) report(cause error) *Report {
	t := &r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result(cause)
	out := t.report
	out.DurationMs = time.Since(out.StartedAt).Milliseconds()
	if r.targets != nil {
		out.Read = r.targets.Transfers().SourceBytes
		for i, s := range r.targets.Stores {
			one := StoreReport{Name: s.Name(), Blobs: t.stored[i], Bytes: t.bytes[i], Behind: t.behind[i]}
			if err := r.storeError(i); err != nil {
				one.Error = err.Error()
			}
			out.Stores = append(out.Stores, one)
		}
	}
	for _, name := range r.plan.Hosts {
		h := r.hosts[name]
		one := HostReport{
			Name: name, Pushed: h.pushed.Load(), Bytes: h.bytes.Load(), Mounted: h.mounted.Load(), Manifests: h.manifests.Load(), Tags: h.tags.Load(),
		}
		one.Requests, _, one.Throttled = h.reg.Budget().Stats()
		if err := h.answers.err(); err != nil {
			one.Error = err.Error()
		}
		out.Hosts = append(out.Hosts, one)
	}
	return &out
}
