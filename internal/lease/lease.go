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
	// ErrLost: the lease could not be kept. Its holder must not write any more, because another run may have begun.
	ErrLost = errors.New("the lease was lost")
)

// Options of a lease. The texts are for people who find the lease; only Prefix and Name decide which runs exclude each
// other.
type Options struct {
	Prefix string // prefix of its objects' keys; ends in "/"
	Name   string // runs with the same name exclude each other
	Who    string // who takes it; "" if there is no name
	Plan   string // what is carried out under it; "" if nothing
	// TTL is how long a lease keeps other runs away after its holder died.
	TTL time.Duration
	// Logger receives problems with single buckets; nil logs nothing.
	Logger *slog.Logger
}

// buckets is how many buckets have the lease. With only one, two runs would not notice each other if one of them could
// not reach that bucket.
const buckets = 3

// Lease is one lease in several buckets. It holds as long as it holds in one bucket and no other run took it in any
// bucket. Several goroutines may call Check. Only one may call the other methods.
type Lease struct {
	opt    Options
	all    []*object
	dead   bool // its last holder died
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

// Take acquires the lease in the first three buckets: in all of them that work, and at least in one. If a run died,
// Take waits until its lease expires, in all buckets at once. It writes nothing before that, because a lease taken
// early would expire during the wait. The caller has to call Release also after an error. The error is [ErrHeld] if
// another run is alive.
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

// TookOver reports whether the last holder of the lease died. Its work may be half done.
func (l *Lease) TookOver() bool { return l.dead }

// Keep renews the lease in the background until [Lease.Release]. It calls lost when the lease does not hold any more.
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

// Check returns why the holder must not write any more; the error wraps [ErrLost]. Check makes no request.
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

// releasing limits how long Release may take.
const releasing = 5 * time.Second

// Release gives the lease back in all buckets, even if ctx has ended. Where that fails, the lease expires.
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
