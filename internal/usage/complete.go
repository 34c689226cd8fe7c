package usage

import "ociproxy/internal/traffic"

// Enough is the share of the billed or measured quantity that the log of a store must have. Below it, a report warns.
const Enough = 0.98

// Total is what a store sent in a day, by its log, a bill or the provider's metrics.
type Total struct {
	Store    string
	Day      traffic.Day
	Requests float64
	Bytes    float64
}

// Completeness compares the log of a store and day with another source.
type Completeness struct {
	Store     string
	Day       traffic.Day
	Log       Total
	Reference Total // zero when the reference has nothing of the day
}

// Totals sums the rows that come from logs of stores, by store and day: all classes, as bills do.
func Totals(rows []traffic.Row) []Total { return nil }

// Compare joins two lists of totals, sorted by store and day. Nothing is scaled.
func Compare(log, reference []Total) []Completeness { return nil }

// Requests returns the share of the reference's requests that the log has; false when the reference says nothing.
func (c *Completeness) Requests() (share float64, known bool) { return 0, false }

// Bytes returns the share of the reference's bytes that the log has; false when the reference says nothing.
func (c *Completeness) Bytes() (share float64, known bool) { return 0, false }

// Short reports whether the log lacks more than [Enough] allows, of requests or of bytes.
func (c *Completeness) Short() bool { return false }
