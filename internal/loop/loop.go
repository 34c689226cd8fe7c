package loop

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/wait"
)

// Options of [New].
type Options[R any] struct {
	// Every is the time from the start of one turn to the start of the next. A turn that takes longer is followed at once.
	Every time.Duration
	// Unit is what a turn is called where people read it: "pass".
	Unit string
	// Turn does it once. The error says that there is no report.
	Turn func(ctx context.Context) (R, error)
	// Judge says of a report how its turn ended: in a word of a closed set, for it is a metric's label, and what that means.
	Judge func(R) (result string, o Outcome)
	// Report is told how each turn ended; nil ignores it.
	Report func(R, error)
	// Mark says how far the turn has come that is under way; nil: there is none, or nobody knows. Two marks that differ, by ==,
	// show that something moves, as [Loop.Moved] does. It may be nil itself.
	Mark func() any
	// Metrics are the loop's own, beside those of the Go runtime and of the process.
	Metrics prometheus.Collector
}

// Outcome is what the end of a turn means.
type Outcome int

// The outcomes.
const (
	Failed Outcome = iota // nothing is known
	Cut                   // it was told to stop before its end
	Ended                 // it came to its end
	Good                  // and left nothing to be desired
)

// FailedResult is the result of a turn that has no report.
const FailedResult = "failed"

// State is what is known of a loop's turns.
type State[R any] struct {
	Running bool
	Turns   map[string]int64 // by result
	Last    R                // the report of the last turn that came to its end
	Ended   time.Time        // when it did; zero: none has
	Good    time.Time        // when the last one did that left nothing to be desired
}

// Loop takes turns. Run may be called once; the other methods at any time, from several goroutines.
type Loop[R any] struct {
	opt Options[R]

	mu    sync.Mutex
	state State[R]
	over  time.Time // when a turn came to its end, or the loop was made
	moved time.Time // when something was seen to go on
	mark  any       // of the running turn then
}

// New makes a loop; nothing is done before Run.
func New[R any](opt Options[R]) *Loop[R] {
	now := time.Now()
	return &Loop[R]{opt: opt, state: State[R]{Turns: map[string]int64{}}, over: now, moved: now}
}

// Run takes turns until ctx ends. The turn that is under way then says how it ended only if it still has a report.
func (l *Loop[R]) Run(ctx context.Context) {
	for ctx.Err() == nil {
		start := time.Now()
		l.running()
		r, err := l.opt.Turn(ctx)
		if err != nil && ctx.Err() != nil {
			return // that is why
		}
		l.ended(r, err)
		if l.opt.Report != nil {
			l.opt.Report(r, err)
		}
		if wait.For(ctx, l.opt.Every-time.Since(start)) != nil {
			return
		}
	}
}

// Moved says that something of the running turn was done.
func (l *Loop[R]) Moved() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = time.Now()
}

// State says how turns went so far.
func (l *Loop[R]) State() State[R] {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	s.Turns = maps.Clone(s.Turns)
	return s
}

func (l *Loop[R]) running() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Running = true
}

func (l *Loop[R]) ended(r R, err error) {
	result, outcome := FailedResult, Failed
	if err == nil {
		result, outcome = l.opt.Judge(r)
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Running, l.moved = false, now
	l.state.Turns[result]++
	if outcome == Ended || outcome == Good {
		l.state.Last, l.state.Ended, l.over = r, now, now
	}
	if outcome == Good {
		l.state.Good = now
	}
}

// patience is how many intervals may go by without news.
const patience = 3

// ready reports whether a turn has come to its end within the last intervals.
func (l *Loop[R]) ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.over) <= patience*l.opt.Every
}

// live reports whether anything went on within the last intervals: a turn may take days, and is not to be killed.
func (l *Loop[R]) live() bool {
	var mark any
	if l.opt.Mark != nil {
		mark = l.opt.Mark()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if mark != nil && mark != l.mark {
		l.mark, l.moved = mark, time.Now()
	}
	return time.Since(l.moved) <= patience*l.opt.Every
}
