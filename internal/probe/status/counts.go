package status

import (
	"errors"
	"slices"
	"time"
)

// Counts are numbers of runs in equal stretches of time, the oldest first.
type Counts struct {
	First  time.Time `json:"first"`  // when the first stretch begins
	Runs   []uint32  `json:"runs"`   // whose state is known
	Failed []uint32  `json:"failed"` // of these: pulls failed
}

// The stretches, and how many of them are kept: 7 days of hours, 90 days.
const (
	hour      = time.Hour
	day       = 24 * time.Hour
	keepHours = 7*24 + 1 // the week up to now begins within an hour
	keepDays  = 90
)

// add counts a run. Its stretch becomes the last one: earlier ones are forgotten when there are more than keep, and later
// ones are of a clock that was wrong.
func (c *Counts) add(at time.Time, unit time.Duration, keep int, failed bool) {
	last := at.UTC().Truncate(unit)
	first := last.Add(-time.Duration(keep-1) * unit)
	if len(c.Runs) == 0 || c.First.After(last) || !c.end(unit).After(first) {
		*c = Counts{First: last}
	}
	if old := int(first.Sub(c.First) / unit); old > 0 {
		c.First, c.Runs, c.Failed = first, slices.Delete(c.Runs, 0, old), slices.Delete(c.Failed, 0, old)
	}
	n := int(last.Sub(c.First)/unit) + 1
	for len(c.Runs) < n {
		c.Runs, c.Failed = append(c.Runs, 0), append(c.Failed, 0)
	}
	c.Runs, c.Failed = c.Runs[:n], c.Failed[:n]
	c.Runs[n-1]++
	if failed {
		c.Failed[n-1]++
	}
}

// at returns the counts of the stretch that begins at a time.
func (c *Counts) at(begin time.Time, unit time.Duration) (runs, failed uint32) {
	if i := int(begin.Sub(c.First) / unit); !begin.Before(c.First) && i < len(c.Runs) {
		return c.Runs[i], c.Failed[i]
	}
	return 0, 0
}

func (c *Counts) end(unit time.Duration) time.Time {
	return c.First.Add(time.Duration(len(c.Runs)) * unit)
}

// share returns which part of the runs since a time, and not after now, could pull; nil: there is none.
func (c *Counts) share(since, now time.Time, unit time.Duration) *float64 {
	var runs, failed uint64
	for i := range c.Runs {
		if begin := c.First.Add(time.Duration(i) * unit); !begin.Before(since) && !begin.After(now) {
			runs, failed = runs+uint64(c.Runs[i]), failed+uint64(c.Failed[i])
		}
	}
	if runs == 0 {
		return nil
	}
	return new(float64(runs-failed) / float64(runs))
}

// check refuses counts that this package did not write.
func (c *Counts) check(unit time.Duration, keep int) error {
	if len(c.Runs) != len(c.Failed) || len(c.Runs) > keep || !c.First.Equal(c.First.Truncate(unit)) {
		return errors.New("counts of another form")
	}
	for i := range c.Runs {
		if c.Failed[i] > c.Runs[i] {
			return errors.New("more runs failed than were made")
		}
	}
	return nil
}
