package inspect

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"ociproxy/internal/fetch"
	"ociproxy/internal/inventory"
)

// Result is what a finding means.
type Result string

// The results.
const (
	OK       Result = "ok"
	Fault    Result = "fault"     // readers do not believe the inventory, or it is wrong
	Unknown  Result = "unknown"   // no conclusive answer: the network, an overload
	NotAsked Result = "not asked" // an earlier check failed
)

// Finding is the result of one check. Names of checks are stable.
type Finding struct {
	Check  string `json:"check"` // "head", "store", "age", "segment", "contents", "blobs", "blob"
	Result Result `json:"result"`
	Object string `json:"object,omitempty"` // hash of the segment or digest of the blob
	Detail string `json:"detail"`
}

// Report is the outcome of [Verify].
type Report struct {
	URL        string     `json:"url"`
	Store      string     `json:"store,omitempty"` // from the head
	Generation uint64     `json:"generation,omitempty"`
	WrittenAt  *time.Time `json:"writtenAt,omitempty"`
	Held       *Totals    `json:"held,omitempty"` // if all segments are good
	Findings   []Finding  `json:"findings"`
	Faults     int        `json:"faults"`
	Unknown    int        `json:"unknown"`
}

func (r *Report) add(check string, result Result, object, format string, args ...any) {
	switch result {
	case Fault:
		r.Faults++
	case Unknown:
		r.Unknown++
	case OK, NotAsked:
	}
	r.Findings = append(r.Findings, Finding{Check: check, Result: result, Object: object, Detail: fmt.Sprintf(format, args...)})
}

// OK reports whether all requested checks were made and found nothing wrong.
func (r *Report) OK() bool { return r.Faults == 0 && r.Unknown == 0 }

// judge decides whether an error is about what the store has, or about the way there.
func judge(err error) Result {
	if errors.Is(err, inventory.ErrHead) || errors.Is(err, inventory.ErrSegment) || errors.Is(err, inventory.ErrForeign) ||
		errors.Is(err, fetch.ErrTooLarge) || errors.Is(err, fetch.ErrHTML) || errors.Is(err, fetch.ErrEmpty) ||
		errors.Is(err, fetch.ErrRedirect) || errors.Is(err, fetch.ErrEncoding) {
		return Fault
	}
	if s, ok := errors.AsType[*fetch.StatusError](err); ok {
		return judgeStatus(s.Code)
	}
	return Unknown
}

// judgeStatus decides that for a status that is not 200.
func judgeStatus(code int) Result {
	if code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500 {
		return Unknown
	}
	return Fault
}
