package wait

import (
	"context"
	"iter"
	"time"
)

// For waits for d. If ctx ends first or has ended already, the error is the cause of that end. So a nil error means
// that ctx was alive. If d is not positive, For does not wait.
func For(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx) // the timer and ctx may end at the same time
}

// Every yields the time after each d, which must be positive, until ctx ends or the caller leaves the loop. The first
// time comes after one d. If the loop's body takes longer than d, it misses some times, as with any ticker.
func Every(ctx context.Context, d time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if ctx.Err() != nil || !yield(now) { // a tick and ctx's end may come at the same time
					return
				}
			}
		}
	}
}

// Until calls done now and then after each d, until it returns true. The error is the cause of ctx's end, so give ctx
// a limit. When ctx ends, Until calls done a last time, and returns nil if it is true.
func Until(ctx context.Context, d time.Duration, done func() bool) error {
	if done() {
		return nil
	}
	for range Every(ctx, d) {
		if done() {
			return nil
		}
	}
	if done() {
		return nil
	}
	return context.Cause(ctx)
}
