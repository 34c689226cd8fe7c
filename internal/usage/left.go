package usage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ociproxy/internal/accesslog"
)

// Reason says why a line counts for nothing, or not for all.
type Reason string

// These are the reasons.
const (
	ForeignBucket Reason = "foreign-bucket" // no store of the config has the bucket, or these keys of it
	ForeignHost   Reason = "foreign-host"   // no store of the config has the host
	NoStore       Reason = "no-store"       // the line says neither bucket nor host
	UnknownStore  Reason = "unknown-store"  // the proxy's log names a candidate that the config does not have
	NotABlob      Reason = "not-a-blob"     // the proxy's log: manifests, tags and other paths
	Refused       Reason = "refused"        // no client was sent to a store, or the provider does not bill the answer
	Probe         Reason = "probe"          // the proxy's log: a request of a probe, which no client made
	NoTime        Reason = "no-time"        // the line does not say when
	NoBytes       Reason = "no-bytes"       // the request counts, but the line does not say its bytes
)

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{ForeignBucket, ForeignHost, NoStore, UnknownStore, NotABlob, Refused, Probe, NoTime, NoBytes}
}

// Why is the reason why a line counts for nothing, and the bucket, host, store or status that it names. The zero Why: it
// counts.
type Why struct {
	Reason Reason `json:"reason"`
	Name   string `json:"name,omitempty"`
}

// Left counts the lines that count for nothing, or not for all. The zero Left is ready to use. It is not safe for
// concurrent use: give each goroutine its own, and merge them.
type Left struct {
	counts map[Why]*Leftover
}

// Leftover is the count of one reason and name.
type Leftover struct {
	Why
	Lines   int64   `json:"lines"`
	Bytes   float64 `json:"bytes"`   // that were sent, where the lines say so, weighted
	Example string  `json:"example"` // file:line of the first
}

// maxNames is how many reasons with names are kept: hosts are what strangers write. others is the name for the rest, of
// each reason.
const (
	maxNames = 500
	others   = "(others)"
)

// Add counts a record that [Classifier.Classify] gave a reason for.
func (l *Left) Add(why Why, rec *accesslog.Record) {
	l.add(Leftover{
		Why: why, Lines: 1, Bytes: rec.Weight * float64(max(rec.Sent, 0)),
	}, func() string { return fmt.Sprintf("%s:%d", rec.File, rec.Line) })
}

func (l *Left) add(more Leftover, example func() string) {
	if l.counts == nil {
		l.counts = map[Why]*Leftover{}
	}
	at := l.counts[more.Why]
	if at == nil && len(l.counts) >= maxNames {
		more.Name = others
		at = l.counts[more.Why]
	}
	if at == nil {
		more.Name = strings.Clone(more.Name)
		at = &Leftover{Why: more.Why, Example: example()}
		l.counts[more.Why] = at
	}
	at.Lines += more.Lines
	at.Bytes += more.Bytes
}

// Merge adds the counts of o.
func (l *Left) Merge(o *Left) {
	for _, more := range o.List() {
		l.add(more, func() string { return more.Example })
	}
}

// List returns the counts, the most lines first.
func (l *Left) List() []Leftover {
	var out []Leftover
	for _, at := range slices.Collect(maps.Values(l.counts)) {
		out = append(out, *at)
	}
	slices.SortFunc(out, func(a, b Leftover) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Name, b.Name))
	})
	return out
}
