package registry

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ociproxy/internal/wait"
)

// These are the defaults of a budget.
const (
	DefaultRate     = 50 // requests per second
	DefaultParallel = 16 // requests at once, and separately the same number of blobs
)

// Budget limits the requests to one host for all callers together: their rate, and how many run at once. Requests for
// tokens and lists count, and so do retries.
//
// When the host answers "too many requests", all callers pause for as long as it asks, and the rate is halved. The rate
// then rises slowly to its earlier value, in about half a minute for each halving. A Budget is safe for concurrent use.
type Budget struct {
	most    rate.Limit
	limiter *rate.Limiter
	slots   chan struct{} // requests
	streams chan struct{} // blobs; separate from requests, so that slow readers of blobs never block manifests

	mu      sync.Mutex
	until   time.Time // no caller sends a request before this time
	changed time.Time // when the rate last changed

	requests, retries, throttled atomic.Int64
}

// NewBudget makes a budget of rps requests per second, of which parallel may run at once. Values that are not positive
// become [DefaultRate] and [DefaultParallel].
func NewBudget(rps float64, parallel int) *Budget {
	if !(rps > 0) {
		rps = DefaultRate
	}
	if parallel <= 0 {
		parallel = DefaultParallel
	}
	return &Budget{
		most:    rate.Limit(rps),
		limiter: rate.NewLimiter(rate.Limit(rps), max(1, int(rps/10))),
		slots:   make(chan struct{}, parallel),
		streams: make(chan struct{}, parallel),
	}
}

// Stats returns how many requests were made, how many of them were retries, and how often the host answered "too many
// requests".
func (b *Budget) Stats() (requests, retries, throttled int64) {
	return b.requests.Load(), b.retries.Load(), b.throttled.Load()
}

// Rate returns how many requests per second are allowed now.
func (b *Budget) Rate() float64 { return float64(b.limiter.Limit()) }

// acquire waits for a free slot.
func acquire(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func release(slots chan struct{}) { <-slots }

// wait waits until the caller may make one more request.
func (b *Budget) wait(ctx context.Context) error {
	for {
		if err := wait.For(ctx, b.pause()); err != nil {
			return err
		}
		if err := b.limiter.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: %w", context.DeadlineExceeded, err) // the request would come too late
		}
		// The host may have asked for a pause while this request was queued.
		if b.pause() <= 0 {
			return nil
		}
	}
}

// pause returns how long callers must wait.
func (b *Budget) pause() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.until)
}

// settle is the shortest time between two changes of the rate. Answers to requests that were under way during a change
// must not change the rate again.
const settle = time.Second

// throttle makes all callers pause for d, and halves the rate.
func (b *Budget) throttle(d time.Duration) {
	b.throttled.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if until := now.Add(d); until.After(b.until) {
		b.until = until
	}
	if now.Sub(b.changed) >= settle {
		b.limiter.SetLimit(max(b.limiter.Limit()/2, b.most/64))
		b.changed = now.Add(d) // the rate must not rise during the pause
	}
}

// ease raises the rate slowly after an answer.
func (b *Budget) ease() {
	if b.limiter.Limit() >= b.most {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.changed) >= settle {
		b.limiter.SetLimit(min(b.most, b.limiter.Limit()+b.most/64))
		b.changed = now
	}
}
