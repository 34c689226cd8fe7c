package status

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/strictjson"
)

// Document is status.json: what the page shows, and the history that the next writer continues. Releases only add
// fields.
type Document struct {
	Version int `json:"version"` // 1
	// Revision grows with every write. It is at least the time of the write in Unix milliseconds.
	Revision int64     `json:"revision"`
	Written  time.Time `json:"written"`
	// StaleSeconds is for how long after Written the document counts. Later the state is unknown.
	StaleSeconds int64  `json:"staleSeconds"`
	Names        []Name `json:"names"` // in the order of their names
}

// Name is a registry's name.
type Name struct {
	Name     string    `json:"name"`
	State    State     `json:"state"` // when the document was written
	Vantages []Vantage `json:"vantages"`
}

// Vantage is what one probe saw of a name.
type Vantage struct {
	Vantage      string    `json:"vantage"`
	State        State     `json:"state"`        // when the document was written: unknown, if the last run was too long ago
	Last         State     `json:"last"`         // of the last run
	Since        time.Time `json:"since"`        // when the first of the runs ended that have the state Last
	Checked      time.Time `json:"checked"`      // when the last run ended
	StaleSeconds int64     `json:"staleSeconds"` // for how long a run counts
	Available    Available `json:"available"`
	Hours        Counts    `json:"hours"`
	Days         Counts    `json:"days"`
}

// Available is which part of the runs could pull, from 0 to 1, up to the time of writing. Absent: there was no run.
type Available struct {
	Day     *float64 `json:"24h,omitempty"`
	Week    *float64 `json:"7d,omitempty"`
	Quarter *float64 `json:"90d,omitempty"`
}

// Run is the result of one run.
type Run struct {
	Ended time.Time
	State State
}

const (
	maxDocument = 1 << 20 // bytes; maxVantages take less than half of it
	maxVantages = 64      // of all names
	maxAhead    = 10 * time.Minute
)

// ErrDocument says that the bucket has a document that this release cannot continue.
var ErrDocument = errors.New("the public status in the bucket is not of a form that this release can continue")

var (
	hostForm    = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]{1,255}$`)
	vantageForm = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._,()/-]{0,39}$`)
)

// CheckVantage returns why a name of a vantage cannot be published; nil: it can.
func CheckVantage(name string) error {
	if !vantageForm.MatchString(name) {
		return fmt.Errorf("vantage %.60q: want 1 to 40 letters, digits, blanks and . _ , ( ) / -, beginning with a letter or digit", name)
	}
	return nil
}

// parse reads a document that may be anybody's.
func parse(text []byte) (*Document, error) {
	d := new(Document)
	if err := strictjson.Unmarshal(text, d, strictjson.Bounds{Bytes: maxDocument, Depth: 8}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if d.Version != 1 {
		return nil, fmt.Errorf("%w: version %d", ErrDocument, d.Version)
	}
	n := 0
	for i := range d.Names {
		name := &d.Names[i]
		if !hostForm.MatchString(name.Name) {
			return nil, fmt.Errorf("%w: a name that is none", ErrDocument)
		}
		for j := range name.Vantages {
			v := &name.Vantages[j]
			err := errors.Join(CheckVantage(v.Vantage), v.Hours.check(hour, keepHours), v.Days.check(day, keepDays))
			if err != nil || !slices.Contains([]State{Up, Degraded, Down, Unknown}, v.Last) || v.StaleSeconds < 0 || v.StaleSeconds > 1<<31 {
				return nil, fmt.Errorf("%w: the vantage %.40q of %s: %w", ErrDocument, v.Vantage, name.Name, cmp.Or(err, errors.New("no such state")))
			}
			n++
		}
	}
	if n > maxVantages {
		return nil, fmt.Errorf("%w: %d vantages, more than %d", ErrDocument, n, maxVantages)
	}
	return d, nil
}

// vantage returns the entry of a vantage of a name, and makes it if there is none.
func (d *Document) vantage(name, vantage string) (*Vantage, error) {
	at, ok := slices.BinarySearchFunc(d.Names, name, func(n Name, to string) int { return strings.Compare(n.Name, to) })
	if !ok {
		d.Names = slices.Insert(d.Names, at, Name{Name: name})
	}
	n := &d.Names[at]
	i, ok := slices.BinarySearchFunc(n.Vantages, vantage, func(v Vantage, to string) int { return strings.Compare(v.Vantage, to) })
	if ok {
		return &n.Vantages[i], nil
	}
	count := 0
	for i := range d.Names {
		count += len(d.Names[i].Vantages)
	}
	if count >= maxVantages {
		return nil, fmt.Errorf("the public status has %d vantages, and may have no more: remove %s for a new history", count, DocumentKey)
	}
	n.Vantages = slices.Insert(n.Vantages, i, Vantage{Vantage: vantage})
	return &n.Vantages[i], nil
}

// add adds the runs that the entry does not have yet: those that ended after its last one.
func (v *Vantage) add(runs []Run, now time.Time, stale time.Duration) {
	if v.Checked.After(now.Add(maxAhead)) { // of a clock that was wrong
		v.Checked, v.Since = time.Time{}, time.Time{}
	}
	v.StaleSeconds = int64(stale / time.Second)
	for _, r := range runs {
		ended := r.Ended.UTC().Truncate(time.Millisecond)
		if !ended.After(v.Checked) {
			continue
		}
		if r.State != v.Last || v.Since.IsZero() {
			v.Last, v.Since = r.State, ended
		}
		v.Checked = ended
		if r.State != Unknown {
			v.Hours.add(ended, hour, keepHours, r.State == Down)
			v.Days.add(ended, day, keepDays, r.State == Down)
		}
	}
}

// finish computes everything that depends on the time. It changes no history: the clock of one probe must not destroy what
// others have seen.
func (d *Document) finish(now time.Time) {
	now = now.UTC().Truncate(time.Millisecond)
	d.Version, d.Written, d.StaleSeconds = 1, now, 0
	if ahead := now.Add(maxAhead).UnixMilli(); d.Revision > ahead { // of a clock that was wrong
		d.Revision = 0
	}
	d.Revision = max(d.Revision+1, now.UnixMilli())
	for i := range d.Names {
		n := &d.Names[i]
		states := make([]State, 0, len(n.Vantages))
		for j := range n.Vantages {
			v := &n.Vantages[j]
			v.finish(now)
			states = append(states, v.State)
			if v.fresh(now) {
				d.StaleSeconds = max(d.StaleSeconds, v.StaleSeconds)
			}
		}
		n.State = together(states)
	}
}

func (v *Vantage) finish(now time.Time) {
	v.Available = Available{
		Day:     v.Hours.share(now.Add(-day).Truncate(hour), now, hour),
		Week:    v.Hours.share(now.Add(-7*day).Truncate(hour), now, hour),
		Quarter: v.Days.share(now.Add(-keepDays*day), now, day),
	}
	v.State = v.Last
	if !v.fresh(now) {
		v.State = Unknown
	}
}

// fresh reports whether the last run still counts. One of the future is of a clock that is wrong.
func (v *Vantage) fresh(now time.Time) bool {
	return !v.Checked.Before(now.Add(-time.Duration(v.StaleSeconds)*time.Second)) && !v.Checked.After(now.Add(maxAhead))
}

// text returns the document as it is written.
func (d *Document) text() ([]byte, error) {
	text, err := json.Marshal(d)
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("%d bytes, more than %d", len(text), maxDocument)
	}
	return append(text, '\n'), err
}
