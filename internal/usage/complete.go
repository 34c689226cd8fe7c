package usage

import (
	"cmp"
	"maps"
	"slices"

	"ociproxy/internal/traffic"
)

// Enough is the share of the billed or measured quantity that the log of a store must have. Below it, a report warns.
const Enough = 0.98

// Total is what a store sent in a day, by its log, a bill or the provider's metrics.
type Total struct {
	Store    string      `json:"store"`
	Day      traffic.Day `json:"-"`
	Requests float64     `json:"requests"` // 0: not known
	Bytes    float64     `json:"bytes"`    // 0: not known
}

// Completeness compares the log of a store and day with another source. The providers deliver logs as well as they can,
// and not every line.
type Completeness struct {
	Store     string
	Day       traffic.Day
	Log       Total // zero when the log has nothing of the day
	Reference Total // zero when the reference has nothing of the day
}

// key is what totals are joined by.
type key struct {
	store string
	day   traffic.Day
}

// Totals sums the rows that come from logs of stores, by store and day: all classes, as bills do. It is sorted by store
// and day.
func Totals(rows []traffic.Row) []Total {
	sums := map[key]*Total{}
	for i := range rows {
		r := &rows[i]
		if r.Source != traffic.FromStore {
			continue
		}
		k := key{r.Store, r.Day}
		if sums[k] == nil {
			sums[k] = &Total{Store: r.Store, Day: r.Day}
		}
		sums[k].Requests += r.Requests
		sums[k].Bytes += r.Bytes
	}
	var out []Total
	for _, k := range sorted(maps.Keys(sums)) {
		out = append(out, *sums[k])
	}
	return out
}

// Compare joins two lists of totals by store and day, in that order. Nothing is scaled.
func Compare(log, reference []Total) []Completeness {
	all := map[key]*Completeness{}
	at := func(t *Total) *Completeness {
		k := key{t.Store, t.Day}
		if all[k] == nil {
			all[k] = &Completeness{Store: t.Store, Day: t.Day}
		}
		return all[k]
	}
	for i := range log {
		at(&log[i]).Log.add(&log[i])
	}
	for i := range reference {
		at(&reference[i]).Reference.add(&reference[i])
	}
	var out []Completeness
	for _, k := range sorted(maps.Keys(all)) {
		out = append(out, *all[k])
	}
	return out
}

func (t *Total) add(o *Total) {
	t.Store, t.Day = o.Store, o.Day
	t.Requests += o.Requests
	t.Bytes += o.Bytes
}

func sorted(keys func(func(key) bool)) []key {
	return slices.SortedFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.store, b.store), cmp.Compare(a.day, b.day))
	})
}

// Requests returns the share of the reference's requests that the log has; false when the reference says nothing. It is
// above 1 when the log has more, for example twice delivered lines.
func (c *Completeness) Requests() (share float64, known bool) {
	return ratio(c.Log.Requests, c.Reference.Requests)
}

// Bytes returns the share of the reference's bytes that the log has; false when the reference says nothing.
func (c *Completeness) Bytes() (share float64, known bool) {
	return ratio(c.Log.Bytes, c.Reference.Bytes)
}

func ratio(a, b float64) (float64, bool) {
	if b <= 0 {
		return 0, false
	}
	return a / b, true
}

// Short reports whether the log lacks more than [Enough] allows, of requests or of bytes.
func (c *Completeness) Short() bool {
	for _, share := range []func() (float64, bool){c.Requests, c.Bytes} {
		if s, known := share(); known && s < Enough {
			return true
		}
	}
	return false
}

// Excess reports whether the log has more than the reference by as much as [Enough] allows it to lack: lines count twice,
// or another unit was meant.
func (c *Completeness) Excess() bool {
	for _, share := range []func() (float64, bool){c.Requests, c.Bytes} {
		if s, known := share(); known && s > 2-Enough {
			return true
		}
	}
	return false
}
