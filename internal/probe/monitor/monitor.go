package monitor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/loop"
	"ociproxy/internal/probe"
	"ociproxy/internal/wait"
)

// Options of [New].
type Options struct {
	// Name is the registry's name and Vantage is where the probe runs. Both are labels of all metrics.
	Name, Vantage string
	// Every is the time from the start of one run to the start of the next.
	Every time.Duration
	// PathEvery is the time between runs that read whole layers. 0: no run does.
	PathEvery time.Duration
	// DayBytes is how many bytes the runs of any 24 hours may read.
	DayBytes int64
	// Run makes one run, which reads at most the given number of bytes, and whole layers only if whole is true. It calls
	// moved whenever it gets on. An error says that there is no report.
	Run func(ctx context.Context, whole bool, bytes int64, moved func()) (*probe.Report, error)
	// Report is called with the result of each run; nil: not called.
	Report func(*probe.Report, error)
	// More are metrics of what else follows from runs; nil: none.
	More prometheus.Collector
}

// Monitor makes one run after the other, never two at a time.
type Monitor struct {
	*loop.Loop[*probe.Report]
	opt Options

	mu     sync.Mutex
	turns  int
	day    day
	wholeT time.Time // when the last run that reads whole layers ended
	counts counts
	last   *series // of the last run, without its paths
	paths  *series // of the last run that read whole layers
}

var _ prometheus.Collector = (*Monitor)(nil)

// New makes a monitor. It starts nothing; Run does.
func New(opt Options) *Monitor {
	m := &Monitor{opt: opt, counts: newCounts(), last: &series{}, paths: &series{}}
	m.Loop = loop.New(loop.Options[*probe.Report]{
		Every: opt.Every, Unit: "run", Turn: m.turn, Report: opt.Report, Metrics: m,
		Judge: func(r *probe.Report) (string, loop.Outcome) {
			switch {
			case r.Errors > 0:
				return resultErrors, loop.Ended
			case r.Warnings > 0 || r.Skipped > 0:
				return resultWarnings, loop.Good
			default:
				return resultPassed, loop.Good
			}
		},
	})
	return m
}

// These are the results of runs, besides [loop.FailedResult].
const (
	resultPassed   = "passed"
	resultWarnings = "warnings"
	resultErrors   = "errors"
)

// turn makes one run. Monitors that were started together drift apart: each run begins up to a tenth of the interval
// late, except for the first.
func (m *Monitor) turn(ctx context.Context) (*probe.Report, error) {
	m.mu.Lock()
	first := m.turns == 0
	m.turns++
	m.mu.Unlock()
	if !first {
		if err := wait.For(ctx, rand.N(m.opt.Every/10+1)); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	m.mu.Lock()
	left := m.opt.DayBytes - m.day.sum(now)
	whole := m.opt.PathEvery > 0 && (m.wholeT.IsZero() || now.Sub(m.wholeT) >= m.opt.PathEvery)
	m.mu.Unlock()
	if left <= 0 {
		return nil, fmt.Errorf("%w; the next run is possible at %s", ErrSpent, m.free(now).UTC().Format(time.DateTime))
	}
	r, err := m.opt.Run(ctx, whole, left, m.Moved)
	if err != nil {
		return nil, err
	}
	m.ended(r, whole)
	return r, nil
}

// ErrSpent says that the runs of the last 24 hours have read as many bytes as they may.
var ErrSpent = errors.New("the bytes of a day are spent")

// free returns when bytes are free again.
func (m *Monitor) free(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.day.free(now)
}

// ended adds what a run saw to the metrics.
func (m *Monitor) ended(r *probe.Report, whole bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day.add(now, r.Cost.Bytes)
	m.counts.add(r)
	m.last = newSeries(r, func(f *probe.Finding) bool { return f.Proof != probe.Path })
	if whole {
		m.wholeT = now
		m.paths = newSeries(r, func(f *probe.Finding) bool { return f.Proof == probe.Path })
	}
}

// day remembers what was read in the last 24 hours, by minute.
type day struct{ spent []spent }

type spent struct {
	minute time.Time
	bytes  int64
}

const dayLong = 24 * time.Hour

func (d *day) add(now time.Time, bytes int64) {
	minute := now.Truncate(time.Minute)
	if n := len(d.spent); n > 0 && d.spent[n-1].minute.Equal(minute) {
		d.spent[n-1].bytes += bytes
		return
	}
	d.spent = append(d.spent, spent{minute, bytes})
}

// sum returns what was read in the 24 hours before now. A minute counts until its end is that old.
func (d *day) sum(now time.Time) (bytes int64) {
	old := 0
	for _, s := range d.spent {
		if !s.minute.Add(time.Minute + dayLong).After(now) {
			old++
			continue
		}
		bytes += s.bytes
	}
	d.spent = d.spent[old:]
	return bytes
}

// free returns when the oldest bytes do not count any more.
func (d *day) free(now time.Time) time.Time {
	if len(d.spent) == 0 {
		return now
	}
	return d.spent[0].minute.Add(time.Minute + dayLong)
}
