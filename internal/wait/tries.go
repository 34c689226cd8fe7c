package wait

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Within calls f with a context that ends after d. If f fails because of that, the error says so and adds the error
// of the last attempt, if it was recorded with [Failed]. So the error says not only that the time was up, but also
// why the attempts failed.
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

// Failed records, for callers that wait under ctx with [Within] or [Noting], why an attempt failed that may be
// repeated. err nil means that the attempt did not fail; it clears the recorded error. The end of ctx is not
// recorded.
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

// Noting returns a context under which attempts are recorded, and a function why. If an error says only that the time
// was up or that the caller gave up, why replaces it by one with the last attempt's error. [errors.Is] finds both.
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

// CutShort is the error of something that was repeated until its time was up.
type CutShort struct {
	Last error // of the last attempt that finished
	Err  error // why there was no further attempt
}

// Error implements error. It contains only the last attempt's error: the caller that waited adds the time.
func (e *CutShort) Error() string { return "the last attempt: " + e.Last.Error() }

// Unwrap returns both errors.
func (e *CutShort) Unwrap() []error { return []error{e.Last, e.Err} }

type noteKey struct{}

// note holds the last attempt's error.
type note struct {
	above *note // of the next outer wait
	mu    sync.Mutex
	last  error
}

// ended reports whether err says that a context ended.
func ended(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
