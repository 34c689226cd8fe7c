package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/loop"
)

// Loop makes one pass after the other.
type Loop struct {
	*loop.Loop[*Report]

	mu      sync.Mutex
	current *Pass
	sums    sums // of the finished passes
}

// NewLoop makes a loop that starts a pass at the interval every. pass makes one pass: it opens what it needs, calls
// running with the pass, runs it and closes everything. Its error says that there was no pass at all. report receives
// the result of each pass; nil ignores it.
func NewLoop(every time.Duration, pass func(ctx context.Context, running func(*Pass)) (*Report, error), report func(*Report, error)) *Loop {
	l := new(Loop)
	l.Loop = loop.New(loop.Options[*Report]{
		Every: every, Unit: "pass", Report: report, Mark: l.mark, Metrics: l,
		Turn: func(ctx context.Context) (*Report, error) {
			r, err := pass(ctx, l.running)
			l.ended(r, err)
			return r, err
		},
		Judge: func(r *Report) (string, loop.Outcome) {
			switch r.Result {
			case Interrupted:
				return string(r.Result), loop.Cut
			case Done:
				return string(r.Result), loop.Good
			default:
				return string(r.Result), loop.Ended
			}
		},
	})
	return l
}

var _ prometheus.Collector = (*Loop)(nil)

func (l *Loop) running(p *Pass) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = p
}

// ended adds up what a pass did, and forgets the pass at the same time: nothing counts twice.
func (l *Loop) ended(r *Report, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = nil
	if err == nil {
		l.sums.add(r)
	}
}

// mark returns how far the running pass has come.
func (l *Loop) mark() any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		return nil
	}
	p := l.current.Progress()
	return [4]int64{p.Images, p.Blobs, p.Read, p.Requests}
}
