package delivered

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// Correction applies factors to lines of the proxy's log, and sums up what that changes. It is safe for concurrent use.
type Correction struct {
	factors *Factors
	mu      sync.Mutex
	flows   map[flow]*Corrected
}

// flow is what has a ratio of its own: which programs pull differs between clouds.
type flow struct {
	store, cloud string
	day          traffic.Day
}

// Corrected is what the proxy's log says of a store, and what of it was sent by the factors.
type Corrected struct {
	Store       string
	First, Last traffic.Day
	Days        int
	Asked, Sent float64 // bytes
	// Error is how far Sent may be off because the factors differ from day to day, in bytes with 95 % confidence. It is
	// NaN if the factors were learned on one day, which does not tell.
	Error float64
}

// NewCorrection makes a correction by factors.
func NewCorrection(f *Factors) *Correction {
	return &Correction{factors: f, flows: map[flow]*Corrected{}}
}

// confidence is how many standard deviations of a normal distribution have 95 % of it.
const confidence = 1.96

// Each corrects a line. It leaves lines of the days alone from which was learned: they have the stores' logs. There is
// never an error; gather.Options.Each wants one.
func (c *Correction) Each(use *usage.Use, rec *accesslog.Record) error {
	asked := use.Bytes
	of, ok, err := c.factors.apply(use, rec)
	if own := new(OwnDayError); errors.As(err, &own) || !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := flow{use.Store, use.Client.Cloud, use.Day}
	sum := c.flows[at]
	if sum == nil {
		sum = &Corrected{}
		c.flows[at] = sum
	}
	sum.Asked += asked
	sum.Sent += use.Bytes
	// The days' differences are the same for all lines of a class, so that errors add up and do not cancel.
	sum.Error += confidence * asked * of.Error
	return nil
}

// Ratio is which part of what clients in a cloud asked of a store on a day was sent; 1 if the proxy's log does not tell.
func (c *Correction) Ratio(store, cloud string, day traffic.Day) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.flows[flow{store, cloud, day}]; s != nil && s.Asked > 0 {
		return s.Sent / s.Asked
	}
	return 1
}

// List returns what was corrected, by store.
func (c *Correction) List() []Corrected {
	c.mu.Lock()
	defer c.mu.Unlock()
	byStore, days := map[string]*Corrected{}, map[flow]bool{}
	for at, s := range c.flows {
		sum := byStore[at.store]
		if sum == nil {
			sum = &Corrected{Store: at.store, First: at.day, Last: at.day}
			byStore[at.store] = sum
		}
		at.cloud = ""
		if !days[at] {
			days[at] = true
			sum.Days++
		}
		sum.First, sum.Last = min(sum.First, at.day), max(sum.Last, at.day)
		sum.Asked += s.Asked
		sum.Sent += s.Sent
		sum.Error += s.Error
	}
	out := make([]Corrected, 0, len(byStore))
	for _, s := range byStore {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Corrected) int {
		return cmp.Or(cmp.Compare(b.Asked, a.Asked), strings.Compare(a.Store, b.Store))
	})
	return out
}

// Share returns which part of what was asked for was sent, and how far that may be off; NaN: not known.
func (c *Corrected) Share() (share, off float64) {
	if c.Asked == 0 {
		return 1, math.NaN()
	}
	return c.Sent / c.Asked, c.Error / c.Asked
}
