// Package view is what the console shows, as data: which candidates are in and out and since when, where the bytes
// flow and what that costs, how old everything is, and what happened in the last hour. One instance makes it from its
// own counters, a fleet's console from Prometheus.
//
// It must not know where the figures come from, HTML, HTTP.
package view

import (
	"context"
	"time"
)

// Bounds of a view. A source keeps the largest entries and says in Gaps that there are more.
const (
	MaxFlows  = 500 // busiest first
	MaxEvents = 200 // youngest first
	// Points is how many points a series of the last hour has at most, oldest first, Step apart.
	Points = 120
	Step   = 30 * time.Second
)

// Source makes views. Several goroutines may use it.
type Source interface {
	// View returns what is so now. The caller does not change it, and the source does not change it any more. An error says
	// that nothing is known; what is known in part is a view with Gaps.
	View(ctx context.Context) (*View, error)
}

// Explainer explains where a client is sent. Several goroutines may use it.
type Explainer interface {
	// Explain answers for a client's address and, if they are not empty, a Host and a path below /v2/. Errors are for the
	// person who asked.
	Explain(ctx context.Context, q Question) (*Explanation, error)
}

// View is what the console shows. It is never changed once it is made.
type View struct {
	At time.Time
	// Name says whose view it is: a host, or a fleet.
	Name string
	// Fleet says that it is about many instances.
	Fleet bool
	// Every is how often there is a new one.
	Every time.Duration

	Serving    Serving
	Problems   []Problem   // worst first
	Candidates []Candidate // those that are out first, then by bytes
	Flows      []Flow      // by bytes
	Money      Money
	Feeds      []Feed
	Config     Config
	Events     []Event // youngest first
	Totals     Series  // of all candidates

	// Gaps says what is not known, and why, in a sentence each.
	Gaps []string
	// Docs is the address of the project's docs/ directory, with a slash at its end; "": links name the file only.
	Docs string
}

// Level says how bad something is.
type Level uint8

// Levels, from good to bad. Unknown is worse than a warning: nobody knows.
const (
	OK Level = iota
	Warning
	Unknown
	Bad
)

// String returns the level as the page and tests name it.
func (l Level) String() string { return [...]string{"ok", "warning", "unknown", "bad"}[l] }

// Serving says whether clients are served.
type Serving struct {
	Level Level
	// Text says it in a few words: "serving", "draining", "3 of 5 instances are ready".
	Text string
	// Ready of Instances want traffic.
	Ready, Instances int
	// Requests and Errors (answers with 5xx) a second, over the last minute; probes and refused requests do not count.
	Requests, Errors float64
	// Connections of MaxConnections are open; zero: not known.
	Connections, MaxConnections int
	Version                     string
	// Started is when the process started, or the youngest of a fleet.
	Started time.Time
}

// Problem is one thing that needs a person.
type Problem struct {
	Level Level // Warning or worse
	// Text is a sentence. Since is when it began; zero: not known.
	Text  string
	Since time.Time
	// Runbook is a section, relative to docs/: "runbook.md#a-candidate-is-ejected".
	Runbook string
	// Out is the candidate whose being out of service is the problem; "": it is something else.
	Out string
}

// State is the state of a candidate.
type State string

// States of candidates.
const (
	In        State = "in service"
	Out       State = "out"       // ejected by health
	Joining   State = "joining"   // not yet seen to work
	Drained   State = "drained"   // taken out by an override or by active: false
	Returning State = "returning" // comes back step by step after an override
	NotKnown  State = "unknown"   // a fleet's instances say nothing of it
)

// Candidate is a store or an upstream.
type Candidate struct {
	Name string
	Kind string // store, canonical or replica
	// Place is cloud/region, or the name of the CDN.
	Place string
	Spot  Spot
	State State
	// Since is when State began; zero: not known. If the source saw only that it began before its history, Before is set.
	Since  time.Time
	Before bool
	// Why says what ended its service: the last error of health, or who drained it.
	Why string
	// Out of Of instances have it out. For one instance Of is 1.
	Out, Of int
	Rate    Rate
	// Cents is what a GiB from it costs on average at present, in US cents; negative: it sends nothing, or nobody knows.
	Cents float64
	// Inventory is nil for candidates without.
	Inventory *Inventory
	// Moved says where the traffic goes that it had before it went out. Empty while it is in service.
	Moved []Moved
	// Series is its rate of bytes in the last hour.
	Series  Series
	Runbook string // see Problem
}

// Spot is a point on the map, in degrees.
type Spot struct {
	Lat, Lon float64
	Known    bool
}

// Rate is how much flows, over the last minute. If a candidate left or came back since, a source that can does not count
// the time before that.
type Rate struct {
	Redirects float64 // a second
	Bytes     float64 // a second; blobs whose size is known
	Dollars   float64 // an hour
}

// Moved is one part of the traffic of a candidate that is out.
type Moved struct {
	To string
	// Rate is what To carries now of it. Extra is by how many dollars an hour this costs more than before; negative: less.
	Rate  Rate
	Extra float64
}

// Inventory is what is known of a store's inventory.
type Inventory struct {
	Level Level
	State string // current, loading, stale, gone, doubted
	// Age is the time since its mirror wrote it; negative: never read.
	Age time.Duration
	// Held digests of All that any store holds: the difference is how far the store lags behind.
	Held, All int
	// Error is why the last refresh failed; "": it did not.
	Error string
}

// Flow is the traffic of the clients of one place to one candidate.
type Flow struct {
	From string // cloud/region; "unknown" for clients that nothing locates
	Spot Spot   // of From
	To   string // a candidate, or "other" for flows without counters of their own
	Rate Rate
	// Cents is the price of a GiB on this way, in US cents; negative: not known.
	Cents float64
}

// Money says what the traffic costs. It is of egress as the price tables say, over the last minutes.
type Money struct {
	Hour float64 // dollars an hour at present
	// Saved is by how many dollars an hour the canonical upstream alone would cost more. SavedKnown says that every price
	// that it needs is known.
	Saved      float64
	SavedKnown bool
	// LastHour is what was spent in the last hour, or since the start if that was later.
	LastHour float64
}

// Feed is a list of address ranges.
type Feed struct {
	Name  string
	Level Level
	// Age is the time since its data were last confirmed; negative: never read.
	Age      time.Duration
	Prefixes int
	Error    string
}

// Config says which configuration is in use.
type Config struct {
	Level Level
	Hash  string // the first digits of its SHA-256; of a fleet: of the most instances
	// Hashes is how many different ones instances use.
	Hashes int
	// Loaded is when the last reload worked, Refused why a later one did not.
	Loaded  time.Time
	Refused string
	// From says where it comes from: a file, a publication's ring and generation, a fallback.
	From string
}

// Event is a transition.
type Event struct {
	At      time.Time
	Level   Level
	Subject string // a candidate, a feed, "config"
	Text    string // "went out of service: 503 for 3 probes"
}

// Series has values at equal distances, oldest first; the last is of End. NaN: not known.
type Series struct {
	End    time.Time
	Step   time.Duration
	Values []float64
}

// Question is what a person asks the box.
type Question struct{ Address, Host, Path string }

// Explanation says where a client is sent, and why.
type Explanation struct {
	Question
	Place  string // "" when nothing is known
	By     string // a sentence: which prefix of which feed located the address
	Rows   []Row
	Notes  []string
	Answer string // "307 aws-us-east-1 (nearest)", or an error
	// Location is where a redirect leads; "" without a path.
	Location string
}

// Row is one candidate of a ranking.
type Row struct {
	Taken             bool
	Name, Kind, Place string
	RTT, Cents, Score float64 // ms, US cents a GiB, RTT + weight × cents
	Verdict           string
}
