package usage

import (
	"ociproxy/internal/accesslog"
)

// Reason says why a line counts for nothing.
type Reason string

// These are the reasons.
const (
	ForeignBucket Reason = "foreign-bucket" // no store of the config has the bucket
	ForeignHost   Reason = "foreign-host"   // no store of the config has the host
	NoStore       Reason = "no-store"       // the line says neither bucket nor host
	UnknownStore  Reason = "unknown-store"  // the proxy's log names a candidate that the config does not have
	NotABlob      Reason = "not-a-blob"     // the proxy's log: manifests, tags and other paths
	Refused       Reason = "refused"        // nobody was sent to a store, or the store does not bill the answer
	Probe         Reason = "probe"          // the proxy's log: a request of a probe, which no client made
	NoTime        Reason = "no-time"        // the line does not say when
	NoBytes       Reason = "no-bytes"       // the line does not say how many bytes a download had
)

// Why is the reason why a line counts for nothing, and the bucket, host or store that it names. The zero Why: it counts.
type Why struct {
	Reason Reason
	Name   string
}

// Left counts the lines that count for nothing. The zero Left is ready to use. It is not safe for concurrent use: give
// each goroutine its own, and merge them.
type Left struct {
	counts map[Why]*Leftover
}

// Leftover is the count of one reason and name.
type Leftover struct {
	Why
	Lines   int64
	Bytes   float64 // that were sent, where the lines say so
	Example string  // file:line of the first
}

// Add counts a record that [Classifier.Classify] gave a reason for.
func (l *Left) Add(why Why, rec *accesslog.Record) {}

// Merge adds the counts of o.
func (l *Left) Merge(o *Left) {}

// List returns the counts, the most lines first.
func (l *Left) List() []Leftover { return nil }
