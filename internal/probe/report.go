package probe

import (
	"slices"
	"time"

	"ociproxy/internal/check/judge"
)

// Skipped is the result of a check that was not made, because the run reached one of its bounds.
const Skipped judge.Result = "skipped"

// Proof says what a finding proves.
type Proof string

// The proofs. A finding about the name itself, whoever asks, has none.
const (
	Decision Proof = "decision" // where such a client is sent
	Path     Proof = "path"     // that the bytes arrive here
)

// Finding is the result of one check.
type Finding struct {
	Check   string       `json:"check"`
	As      string       `json:"as"`              // the class of client; "self" is the machine of the probe
	Image   string       `json:"image,omitempty"` // as it was asked for
	Host    string       `json:"host,omitempty"`  // that gave the answer
	Result  judge.Result `json:"result"`
	Proof   Proof        `json:"proof,omitempty"`
	Detail  string       `json:"detail"`
	Hint    string       `json:"hint,omitempty"`
	Doc     string       `json:"doc"`
	Seconds float64      `json:"seconds"`         // that the check took
	Bytes   int64        `json:"bytes,omitempty"` // of the body that it read
}

// Cost is what a run takes from the servers, and from the probe's own time.
type Cost struct {
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"` // of bodies
	Seconds  float64 `json:"seconds"`
}

// HostReport is what the probe saw of one host that a pull touches.
type HostReport struct {
	Host      string    `json:"host"`
	Kind      string    `json:"kind"` // "registry", "blob"
	Proto     string    `json:"protocol,omitempty"`
	TLSUntil  time.Time `json:"tlsUntil,omitzero"`
	FirstByte float64   `json:"firstByteSeconds,omitempty"` // the median
	// BytesPerSecond is of the biggest layer that came whole; 0: none came.
	BytesPerSecond float64 `json:"bytesPerSecond,omitempty"`
}

// Report is the outcome of a run. New versions only add fields.
type Report struct {
	Name     string       `json:"name"`
	Vantage  string       `json:"vantage,omitempty"`
	Started  time.Time    `json:"started"`
	Images   []string     `json:"images"`
	Classes  []string     `json:"classes"` // of clients, as which the probe asked
	Limits   Cost         `json:"limits"`
	Cost     Cost         `json:"cost"`
	Hosts    []HostReport `json:"hosts"`
	Findings []Finding    `json:"findings"`
	Errors   int          `json:"errors"`
	Warnings int          `json:"warnings"`
	Skipped  int          `json:"skipped"`
	Passed   int          `json:"passed"`
}

// finish orders findings by check, then class, image and host, and counts them.
func (r *Report) finish() {
	order := map[string]int{}
	for i, c := range Checks() {
		order[c.ID] = i
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return order[a.Check] - order[b.Check]
	})
	for _, f := range r.Findings {
		switch f.Result {
		case judge.Failed:
			r.Errors++
		case judge.Warning:
			r.Warnings++
		case Skipped:
			r.Skipped++
		case judge.OK:
			r.Passed++
		case judge.Info:
		}
	}
}
