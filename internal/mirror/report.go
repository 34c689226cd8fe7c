package mirror

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/registry"
	"ociproxy/internal/walk"
)

// Report is what a pass did: the JSON document of oci-proxyctl mirror. Fields are only added.
type Report struct {
	Result     Result        `json:"result"`
	Error      string        `json:"error,omitempty"` // why it failed or was interrupted
	Shard      string        `json:"shard,omitempty"`
	StartedAt  time.Time     `json:"startedAt"`
	DurationMs int64         `json:"durationMs"`
	Source     SourceReport  `json:"source"`
	Images     ImagesReport  `json:"images"`
	Blobs      BlobsReport   `json:"blobs"`
	Stores     []StoreReport `json:"stores"`
	Skipped    []Skipped     `json:"skipped"`  // the first ones, after the first of what is listed and gone
	Vanished   int64         `json:"vanished"` // repositories and tags that only a list names, and that are gone
	Problems   []Problem     `json:"problems"`
	// Errors counts problems by class, all of them.
	Errors map[Class]int64 `json:"errors"`
}

// Result is how a pass ended.
type Result string

// The results.
const (
	Done        Result = "done"        // all that should be there is there
	Partial     Result = "partial"     // something failed; the rest is done
	Failed      Result = "failed"      // nothing could be done
	Interrupted Result = "interrupted" // what was done until then is kept
)

// SourceReport is what was asked of the source.
type SourceReport struct {
	Name         string `json:"name"`
	Registry     string `json:"registry"`
	Repositories int64  `json:"repositories"`
	Requests     int64  `json:"requests"` // lists, logins and repetitions included
	Retries      int64  `json:"retries"`
	Throttled    int64  `json:"throttled"`
	BytesRead    int64  `json:"bytesRead"` // of blobs
}

// ImagesReport counts manifests, those of indexes and their platforms each.
type ImagesReport struct {
	Seen     int64 `json:"seen"`
	Known    int64 `json:"known"`    // complete in every store before this pass
	Complete int64 `json:"complete"` // in every usable store, known ones included
	Failed   int64 `json:"failed"`   // could not be read
	Denied   int64 `json:"denied"`   // have something that the config denies: the rest of them is copied
}

// BlobsReport counts what this pass brought to stores, each store counted.
type BlobsReport struct {
	Copied  int64 `json:"copied"`  // uploaded, or copied between stores
	Present int64 `json:"present"` // found in a store though its inventory did not have it
	Failed  int64 `json:"failed"`
	Skipped int64 `json:"skipped"` // not to be distributed, denied, or of an algorithm that stores do not hold
	Others  int64 `json:"others"`  // left to other shards
}

// StoreReport is one store's part.
type StoreReport struct {
	Name       string `json:"name"`
	Requests   int64  `json:"requests"`
	Uploaded   int64  `json:"blobsUploaded"`
	Copied     int64  `json:"blobsCopied"` // by the cloud, from another store
	Present    int64  `json:"blobsPresent"`
	Failed     int64  `json:"blobsFailed"`
	BytesUp    int64  `json:"bytesUploaded"`
	BytesCopy  int64  `json:"bytesCopied"`
	Incomplete int64  `json:"imagesIncomplete"`
	// LagSeconds is the age of the newest manifest that is not complete, OldestSeconds the age of the oldest; 0 when
	// all are complete. Where the source does not report ages, age counts from when this process first saw a
	// manifest.
	LagSeconds    int64  `json:"lagSeconds"`
	OldestSeconds int64  `json:"oldestSeconds"`
	Error         string `json:"error,omitempty"` // the store as a whole is at fault
}

// Problem is something that failed. The next pass tries it again.
type Problem struct {
	Class      Class  `json:"class"`
	Repository string `json:"repository,omitempty"`
	Reference  string `json:"reference,omitempty"` // a tag or digest
	Store      string `json:"store,omitempty"`
	Error      string `json:"error"`
}

// Skipped is content that is not copied.
type Skipped struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"` // "": the repository, or what Why names of it, is listed and gone
	Why        string `json:"why"`
}

// What a report lists at most.
const (
	maxProblems = 100
	maxSkipped  = 100
	maxVanished = 1000
	maxText     = 500 // bytes of an error's text
)

// notes are what a pass writes down while it runs.
type notes struct {
	mu       sync.Mutex
	problems []Problem
	skipped  []Skipped
	vanished []Skipped
	errors   map[Class]int64
	per      map[Class]int // problems listed

	repositories, complete, failed, denied      atomic.Int64
	copied, present, blobsFailed, skips, others atomic.Int64
	vanishings                                  atomic.Int64
	listed                                      atomic.Int64 // images that the source lists
	toCopy                                      atomic.Int64 // blobs, each store counted
}

func (n *notes) problem(p Problem) {
	p.Error = oneLine(p.Error)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.errors == nil {
		n.errors, n.per = map[Class]int64{}, map[Class]int{}
	}
	n.errors[p.Class]++
	// A thousand of one class must not hide the first of another.
	if n.per[p.Class]++; n.per[p.Class] <= maxProblems/len(Classes()) || len(n.problems) < maxProblems/2 {
		n.problems = append(n.problems, p)
	}
}

// Skipped implements [walk.Visitor].
func (n *notes) Skipped(repo string, b registry.Descriptor, why string) {
	n.skips.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.skipped) < maxSkipped {
		n.skipped = append(n.skipped, Skipped{Repository: repo, Digest: b.Digest.String(), Why: why})
	}
}

// Gone implements [walk.Visitor].
func (n *notes) Gone(repo, ref string) {
	n.vanishings.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.vanished) < maxVanished {
		n.vanished = append(n.vanished, Skipped{Repository: repo, Why: walk.Vanished{Reference: ref}.String()})
	}
}

// count is how many problems there are.
func (n *notes) count() (sum int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.errors {
		sum += c
	}
	return sum
}

// fill copies what was written down.
func (n *notes) fill(r *Report) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r.Problems, r.Skipped, r.Errors = slices.Clone(n.problems), slices.Concat(n.vanished, n.skipped), maps.Clone(n.errors)
	r.Vanished = n.vanishings.Load()
	if r.Problems == nil {
		r.Problems = []Problem{}
	}
	if r.Skipped == nil {
		r.Skipped = []Skipped{}
	}
	if r.Errors == nil {
		r.Errors = map[Class]int64{}
	}
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
