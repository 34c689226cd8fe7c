package admission

import (
	"slices"
	"time"

	"ociproxy/internal/check"
	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
)

// These identify the form of a [Record].
const (
	Kind    = "admission"
	Version = 1
)

// Verdict is the answer of a record.
type Verdict string

// These are the verdicts. A store with warnings passes.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
)

// Record says whether a store may serve clients, and why. It has nothing secret in it. New versions of this program
// only add fields.
type Record struct {
	Kind     string    `json:"kind"`
	Version  int       `json:"version"`
	Made     time.Time `json:"made"`
	By       Tool      `json:"by"`
	Subject  Subject   `json:"subject"`
	Verdict  Verdict   `json:"verdict"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
	Figures  Figures   `json:"figures"`
	Limits   Cost      `json:"limits"`
	Cost     Cost      `json:"cost"`
}

// Tool is the program that made a record.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Subject is what a record is about.
type Subject struct {
	Store  string `json:"store"`
	URL    string `json:"url"`
	Stanza string `json:"stanza"` // see [config.Store.Hash]
	Config string `json:"config"` // the SHA-256 of the config file
}

// Finding is the result of one check.
type Finding struct {
	Check  string       `json:"check"`
	Result judge.Result `json:"result"`
	Object string       `json:"object,omitempty"` // the digest of the blob, or the image
	Detail string       `json:"detail"`
	Hint   string       `json:"hint,omitempty"`
	Doc    string       `json:"doc"`
}

// Figures are what was measured.
type Figures struct {
	Inventory *check.Inventory `json:"inventory,omitempty"`
	Sample    Sample           `json:"sample"`
	Speed     []Speed          `json:"speed,omitempty"` // the store first
	Pulls     []Pull           `json:"pulls,omitempty"`
}

// Sample is what was read of the store's objects.
type Sample struct {
	Objects int   `json:"objects"`
	Whole   int   `json:"whole"` // of them, read completely
	Bytes   int64 `json:"bytes"` // of the objects that were read completely
	// Needed is how many blobs the images need, and Unlisted how many of them the inventory does not list.
	Needed   int `json:"needed"`
	Unlisted int `json:"unlisted"`
}

// Speed is how fast one server sent a blob. Each figure is the best of several tries.
type Speed struct {
	Name           string  `json:"name"`
	Kind           string  `json:"kind"` // "store" or "upstream"
	Blob           string  `json:"blob"`
	Bytes          int64   `json:"bytes"`
	FirstByte      float64 `json:"firstByteSeconds"`
	BytesPerSecond float64 `json:"bytesPerSecond,omitempty"` // 0: the blob is too small to tell
}

// Pull is one pull of an image through the private proxy.
type Pull struct {
	Client    string  `json:"client"`
	Image     string  `json:"image"`
	Blobs     int     `json:"blobs"`
	FromStore int     `json:"fromStore"` // blobs that the proxy sent the client to this store for
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
}

func newRecord(cfg *config.Config, s *config.Store, plan Plan, version string, now time.Time) *Record {
	return &Record{
		Kind: Kind, Version: Version, Made: now.UTC().Truncate(time.Second), By: Tool{"oci-proxyctl", version},
		Subject:  Subject{Store: s.Name, URL: s.URL, Stanza: s.Hash(), Config: cfg.Hash},
		Findings: []Finding{}, Limits: plan.Most,
	}
}

// finish sorts the findings by check, and reaches the verdict.
func (r *Record) finish(cost Cost) {
	order := map[string]int{}
	for i, c := range Checks() {
		order[c.ID] = i
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return order[checkOf(a.Check).ID] - order[checkOf(b.Check).ID] })
	r.Verdict, r.Cost = Pass, cost
	for _, f := range r.Findings {
		switch f.Result {
		case judge.Failed:
			r.Errors++
			r.Verdict = Fail
		case judge.Warning:
			r.Warnings++
		case judge.OK, judge.Info:
		}
	}
}
