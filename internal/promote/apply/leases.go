package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// maxLeases is in how many stores the lease lies: with one, two runs of which only one reaches that store would not meet.
const maxLeases = 3

// leases is one lease in several places. It holds while it holds in one, and nobody took it anywhere.
type leases struct {
	all    []*lease
	log    *slog.Logger
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// take acquires the lease wherever it can be, at least in one place. A dead run is waited for in all places at once, and nothing is
// written before it is over: what was taken early would have expired. What was taken has to be released also after an error.
func (l *leases) take(ctx context.Context, each []*lease) error {
	free, errs := make([]string, len(each)), make([]error, len(each))
	var watch sync.WaitGroup
	for i, one := range each {
		watch.Go(func() { free[i], errs[i] = one.await(ctx) })
	}
	watch.Wait()
	for _, err := range errs {
		if errors.Is(err, ErrHeld) || ctx.Err() != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
	}
	for i, one := range each {
		if errs[i] == nil {
			errs[i] = one.claim(ctx, free[i])
		}
		switch err := errs[i]; {
		case err == nil:
			l.all = append(l.all, one)
		case errors.Is(err, ErrHeld), ctx.Err() != nil:
			return err
		default:
			l.log.Warn("no lease", "bucket", one.bucket.String(), "error", err)
		}
	}
	if len(l.all) == 0 {
		return fmt.Errorf("take the lease: %w", errors.Join(errs...))
	}
	return nil
}

// keep renews in the background, until release.
func (l *leases) keep(ctx context.Context, lost context.CancelCauseFunc) {
	ctx, l.cancel = context.WithCancel(ctx)
	for _, one := range l.all {
		l.work.Go(func() {
			one.keep(ctx, func(error) {
				if err := l.check(); err != nil {
					lost(err)
				}
			})
		})
	}
}

// check says why nothing may be written any more.
func (l *leases) check() error {
	var last error
	holds := false
	for _, one := range l.all {
		err := one.check()
		switch {
		case err == nil:
			holds = true
		case one.taken():
			return err
		default:
			last = err
		}
	}
	if holds || len(l.all) == 0 {
		return nil
	}
	return last
}

// taken says that somebody else has it.
func (l *lease) taken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost != nil
}

// releasing bounds what is done for a lease after the end.
const releasing = 5 * time.Second

// release gives everything back, even when ctx has ended.
func (l *leases) release(ctx context.Context) {
	if l.cancel != nil {
		l.cancel()
	}
	l.work.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releasing)
	defer cancel()
	for _, one := range l.all {
		if err := one.release(ctx); err != nil {
			l.log.Warn("the lease stays until it expires", "bucket", one.bucket.String(), "error", err)
		}
	}
	l.all = nil
}
