package against

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/probe"
)

// Kind is a class of differences.
type Kind string

// The kinds.
const (
	RepositoryHere  Kind = "repository-only-here"
	RepositoryThere Kind = "repository-only-there"
	TagHere         Kind = "tag-only-here"
	TagThere        Kind = "tag-only-there"
	Digest          Kind = "digest"    // a tag leads to another digest
	Platforms       Kind = "platforms" // a tag leads to images for other platforms
	Content         Kind = "content"   // a manifest or its bytes are only at one of them
	Blob            Kind = "blob"      // a blob is only at one of them, or has another size
	Referrers       Kind = "referrers" // something else refers to an image: signatures, attestations
	Answer          Kind = "answer"    // another status
	Header          Kind = "header"    // another Content-Type, Docker-Content-Digest or Content-Length
	Error           Kind = "error"     // another answer for what does not exist
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{
		RepositoryHere, RepositoryThere, TagHere, TagThere, Digest, Platforms, Content, Blob, Referrers, Answer, Header, Error,
	}
}

// Difference is one thing that is not the same. Here is what the first name says, There what the other one says.
type Difference struct {
	Kind       Kind   `json:"kind"`
	Repository string `json:"repository,omitempty"`
	Reference  string `json:"reference,omitempty"` // tag or digest
	Here       string `json:"here,omitempty"`
	There      string `json:"there,omitempty"`
}

// Failure is something that could not be compared.
type Failure struct {
	Repository string `json:"repository,omitempty"`
	Reference  string `json:"reference,omitempty"`
	Error      string `json:"error"`
}

// Report is the outcome. New versions only add fields.
type Report struct {
	Here         string         `json:"here"`
	There        string         `json:"there"`
	Repositories int64          `json:"repositories"` // compared
	Tags         int64          `json:"tags"`         // of both names together, each once
	Compared     int64          `json:"compared"`     // tags whose content was compared
	Manifests    int64          `json:"manifests"`
	Blobs        int64          `json:"blobs"`
	Differences  []Difference   `json:"differences"`
	Counts       map[Kind]int64 `json:"counts"`        // of all differences
	Failures     []Failure      `json:"failures"`      // the first ones
	Failed       int64          `json:"failed"`        // how many there are
	Cut          bool           `json:"cut,omitempty"` // the bounds were reached: the rest was not compared
	Limits       probe.Cost     `json:"limits"`
	Cost         probe.Cost     `json:"cost"`
}

// Found returns the number of differences.
func (r *Report) Found() (n int64) {
	for _, k := range r.Counts {
		n += k
	}
	return n
}

// These bound a report. What is beyond is counted.
const (
	maxDifferences = 10_000
	maxFailures    = 100
)

// tally collects a report. Safe for concurrent use.
type tally struct {
	mu sync.Mutex
	r  Report
}

func (t *tally) differ(d Difference) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Counts[d.Kind]++
	if len(t.r.Differences) < maxDifferences {
		t.r.Differences = append(t.r.Differences, d)
	}
}

func (t *tally) fail(f Failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Failed++
	if len(t.r.Failures) < maxFailures {
		t.r.Failures = append(t.r.Failures, f)
	}
}

func (t *tally) count(to *int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*to++
}

func (t *tally) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Cut = true
}

// finish orders what goroutines found in any order.
func (t *tally) finish() *Report {
	slices.SortFunc(t.r.Differences, func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Repository, b.Repository), strings.Compare(a.Reference, b.Reference), strings.Compare(string(a.Kind), string(b.Kind)),
			strings.Compare(a.Here, b.Here))
	})
	slices.SortFunc(t.r.Failures, func(a, b Failure) int {
		return cmp.Or(strings.Compare(a.Repository, b.Repository), strings.Compare(a.Reference, b.Reference))
	})
	return &t.r
}
