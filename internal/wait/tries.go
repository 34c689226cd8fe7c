package wait

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Within calls f under a context that ends after d. When f fails because of that, the error says so, and what the last attempt
// came to that [Failed] was told of: not that time was up, but why it was not used well.
func Within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	noting, why := Noting(ctx)
	short, cancel := context.WithTimeout(noting, d)
	defer cancel()
	err := f(short)
	if err == nil || short.Err() == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("no answer within %v: %w", d, why(err))
}

// Failed notes, for whoever waits under ctx by [Within] or [Noting], why an attempt has failed that may be made again; nil: it did
// not, and what was noted before is no reason any more. That ctx ended is no reason.
func Failed(ctx context.Context, err error) {
	if ctx.Err() != nil && ended(err) {
		return
	}
	for n, _ := ctx.Value(noteKey{}).(*note); n != nil; n = n.above {
		n.mu.Lock()
		n.last = err
		n.mu.Unlock()
	}
}

// Noting returns a context under which attempts are noted, and a function that puts the last one's error in the place of one that
// says no more than that the time was up, or that the caller gave up. Both stay to be found by [errors.Is].
func Noting(ctx context.Context) (noting context.Context, why func(error) error) {
	n := &note{}
	n.above, _ = ctx.Value(noteKey{}).(*note)
	noting = context.WithValue(ctx, noteKey{}, n)
	return noting, func(err error) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		cause := context.Cause(noting)
		over := ended(err) || cause != nil && errors.Is(err, cause)
		if _, told := errors.AsType[*CutShort](err); told || n.last == nil || !over {
			return err
		}
		return &CutShort{Last: n.last, Err: err}
	}
}

// CutShort is the error of something that was tried again until its time was up.
type CutShort struct {
	Last error // of the last attempt that came to an end
	Err  error // why there was no further one
}

// Error implements error. It tells the last attempt's error alone: who waited says for how long.
func (e *CutShort) Error() string { return "the last attempt: " + e.Last.Error() }

// Unwrap returns both errors.
func (e *CutShort) Unwrap() []error { return []error{e.Last, e.Err} }

type noteKey struct{}

// note is the last attempt's error.
type note struct {
	above *note // of whoever waits for more than this
	mu    sync.Mutex
	last  error
}

// ended reports whether err says that a context ended.
func ended(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
