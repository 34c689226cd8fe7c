package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ociproxy/internal/store"
)

// Errors of leases.
var (
	// ErrHeld: another run has the lease.
	ErrHeld = errors.New("another run is at work")
	// ErrLost: the lease could not be kept. Nothing may be written any more, for another run may have begun.
	ErrLost = errors.New("the lease was lost")
)

// Options of a lease. The texts are for people who find it; only Prefix and Name decide which runs exclude each other.
type Options struct {
	Prefix string // of its objects' keys, ending in "/"
	Name   string // runs with the same name exclude each other
	Who    string // takes it; "" is nobody by name
	Plan   string // is carried out under it; "" is none
	// TTL is how long a lease keeps others away after its holder died.
	TTL time.Duration
	// Logger gets what goes wrong in single buckets; nil logs nothing.
	Logger *slog.Logger
}

// buckets is in how many the lease lies: with one, two runs of which only one reaches that bucket would not meet.
const buckets = 3

// Lease is one lease in several buckets. It holds while it holds in one, and nobody took it anywhere. Check may be called from
// several goroutines, the other methods from one.
type Lease struct {
	opt    Options
	all    []*object
	dead   bool // somebody had it who is dead
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// New makes a lease that is in no bucket yet. It makes no request.
func New(opt Options) *Lease {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lease{opt: opt}
}

// Take acquires the lease in the first three of the buckets, wherever it can be, at least in one. A dead run is waited for in all of
// them at once, and nothing is written before it is over: what was taken early would have expired. What was taken has to be
// released also after an error, which is [ErrHeld] when another run lives.
func (l *Lease) Take(ctx context.Context, in ...store.Bucket) error {
	var each []*object
	for _, b := range in[:min(len(in), buckets)] {
		each = append(each, newObject(b, l.opt))
	}
	return l.take(ctx, each)
}

func (l *Lease) take(ctx context.Context, each []*object) error {
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
			l.dead = l.dead || free[i] != ""
		case errors.Is(err, ErrHeld), ctx.Err() != nil:
			return err
		default:
			l.opt.Logger.Warn("no lease", "bucket", one.bucket.String(), "error", err)
		}
	}
	if len(l.all) == 0 {
		return fmt.Errorf("take the lease: %w", errors.Join(errs...))
	}
	return nil
}

// TookOver says that the lease was had by a run that died: what it was at may be half done.
func (l *Lease) TookOver() bool { return l.dead }

// Keep renews in the background, until [Lease.Release]. lost is told when it does not hold any more.
func (l *Lease) Keep(ctx context.Context, lost context.CancelCauseFunc) {
	ctx, l.cancel = context.WithCancel(ctx)
	for _, one := range l.all {
		l.work.Go(func() {
			one.keep(ctx, func(error) {
				if err := l.Check(); err != nil {
					lost(err)
				}
			})
		})
	}
}

// Check says why nothing may be written any more: the error wraps [ErrLost]. It costs no request.
func (l *Lease) Check() error {
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

// releasing bounds what is done for a lease after the end.
const releasing = 5 * time.Second

// Release gives everything back, even when ctx has ended. What cannot be given back expires.
func (l *Lease) Release(ctx context.Context) {
	if l.cancel != nil {
		l.cancel()
	}
	l.work.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releasing)
	defer cancel()
	for _, one := range l.all {
		if err := one.release(ctx); err != nil {
			l.opt.Logger.Warn("the lease stays until it expires", "bucket", one.bucket.String(), "error", err)
		}
	}
	l.all = nil
}
