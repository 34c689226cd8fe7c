package prove

import (
	"context"
	"sync/atomic"
	"time"

	"ociproxy/internal/loop"
)

// Loop compares production with its manifests repeatedly, until it is stopped.
type Loop struct {
	*loop.Loop[*Report]

	asked atomic.Int64 // requests of finished looks
}

// NewLoop makes a loop that starts a comparison at the interval every. look reads the manifests again and compares;
// its error says that there is no result. report receives how each comparison ended; nil ignores it.
func NewLoop(every time.Duration, look func(ctx context.Context, progress func(done, of int64)) (*Report, error), report func(*Report, error)) *Loop {
	l := new(Loop)
	l.Loop = loop.New(loop.Options[*Report]{
		Every: every, Unit: "look", Report: report, Metrics: l, Judge: judge,
		Turn: func(ctx context.Context) (*Report, error) {
			r, err := look(ctx, func(int64, int64) { l.Moved() })
			if err == nil {
				for _, n := range r.Asked {
					l.asked.Add(n)
				}
			}
			return r, err
		},
	})
	return l
}

// Result is how a comparison ended. The set is closed, because it is a metric's label.
type Result string

// The results.
const (
	Clean  Result = "clean"  // production is what the manifests say
	Faulty Result = "faulty" // there are findings
	Failed Result = "failed" // no result
)

func judge(r *Report) (string, loop.Outcome) {
	if r.Clean() {
		return string(Clean), loop.Good
	}
	return string(Faulty), loop.Ended
}
