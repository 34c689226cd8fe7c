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
	// Every is the time from the start of one turn to the start of the next. If a turn takes longer, the next one
	// follows at once.
	Every time.Duration
	// Unit is the name of a turn in texts for people: "pass".
	Unit string
	// Turn runs one turn. If it returns an error, there is no report.
	Turn func(ctx context.Context) (R, error)
	// Judge says how the turn of a report ended. result is a word from a closed set, because it is a metric's label;
	// o is the meaning of that word.
	Judge func(R) (result string, o Outcome)
	// Report is called at the end of each turn, with its result; nil: not called.
	Report func(R, error)
	// Mark returns the progress of the running turn; nil if there is no turn or the progress is unknown. If two marks
	// differ, by ==, the turn is moving, as with [Loop.Moved]. Mark itself may be nil.
	Mark func() any
	// Metrics are the loop's own metrics. The handler adds those of the Go runtime and of the process.
	Metrics prometheus.Collector
}

// Outcome is what the end of a turn means.
type Outcome int

// The outcomes.
const (
	Failed Outcome = iota // there is no report
	Cut                   // the turn was stopped before its end
	Ended                 // the turn finished
	Good                  // the turn finished without any problem
)

// FailedResult is the result of a turn that has no report.
const FailedResult = "failed"

// State is what is known about a loop's turns.
type State[R any] struct {
	Running bool
	Turns   map[string]int64 // by result
	Last    R                // the report of the last turn that finished
	Ended   time.Time        // when it finished; zero: none has
	Good    time.Time        // when the last turn with outcome Good finished
}

// Loop runs turns. Run may be called once. The other methods may be called at any time, from several goroutines.
type Loop[R any] struct {
	opt Options[R]

	mu    sync.Mutex
	state State[R]
	over  time.Time // when the last turn finished, or the loop was made
	moved time.Time // when progress was last seen
	mark  any       // the mark of the running turn at that time
}

// New makes a loop. It starts nothing; Run does.
func New[R any](opt Options[R]) *Loop[R] {
	now := time.Now()
	return &Loop[R]{opt: opt, state: State[R]{Turns: map[string]int64{}}, over: now, moved: now}
}

// Run runs turns until ctx ends. A turn that is interrupted by this is recorded only if it still has a report.
func (l *Loop[R]) Run(ctx context.Context) {
	for ctx.Err() == nil {
		start := time.Now()
		l.running()
		r, err := l.opt.Turn(ctx)
		if err != nil && ctx.Err() != nil {
			return // interrupted by ctx
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

// Moved records that the running turn made progress.
func (l *Loop[R]) Moved() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = time.Now()
}

// State returns the state of the loop's turns so far.
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

// patience is how many intervals may pass without progress.
const patience = 3

// ready reports whether a turn finished within the last patience intervals.
func (l *Loop[R]) ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.over) <= patience*l.opt.Every
}

// live reports whether there was any progress within the last patience intervals. A turn may take days and must not
// be killed while it makes progress.
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
