package wait

import (
	"context"
	"iter"
	"time"
)

// For waits for d. The error is the cause of ctx's end, when that comes first or has come already; so a nil error says
// that ctx was alive. A d that is not positive takes no time.
func For(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx) // both may have come at once
}

// Every yields the time after each d, which must be positive, until ctx ends or the loop is left. The first comes after
// one d. A loop whose body takes longer than d misses some, like any ticker's.
func Every(ctx context.Context, d time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if ctx.Err() != nil || !yield(now) { // both may have come at once
					return
				}
			}
		}
	}
}

// Until asks now and then after each d whether it is done, until it is. The error is the cause of ctx's end: bound it.
// What is done when ctx has just ended is done: done has the last word.
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
