package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ociproxy/internal/gate"
	"ociproxy/internal/lease"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// run is one process's work on a rollout.
type run struct {
	*Options
	lease *lease.Lease
	state *State
	judge Judge
	heads *publish.State

	id        string    // of the rollout; "" while this process has neither begun nor continued one
	published time.Time // when the present step was published; if by this process, on a clock that does not jump
	condemned string    // why it goes back; "" if it does not. It is remembered here while the bucket is away
	saved     bool      // the state was saved since the bucket was away last
}

// leasePrefix is where the lease lies in the bucket.
const leasePrefix = "lease/"

// under calls f with the lease, the heads and the state. It ends f when the lease is lost. While the bucket is away, it
// tries again for as long as a step may wait for a verdict: then nobody watches the step, or it still has to go back.
func (o *Options) under(ctx context.Context, f func(context.Context, *run) (End, error)) (End, error) {
	r := &run{Options: o}
	var away time.Time // since when
	for {
		end, err := r.once(ctx, f)
		if err == nil {
			return end, nil
		}
		if r.saved || away.IsZero() {
			away, r.saved = time.Now(), false
		}
		if r.id == "" || final(err) || ctx.Err() != nil || time.Since(away) >= o.Gates.Limit {
			return "", r.stuck(err)
		}
		r.tell(ctx, "trouble", err.Error())
		if wait.For(ctx, o.Gates.Every) != nil {
			return "", r.stuck(err)
		}
	}
}

// final reports whether another try would be of no use.
func final(err error) bool {
	for _, one := range []error{ErrForeign, ErrOther, ErrNothing, ErrState, ErrClock, lease.ErrHeld, publish.ErrNoRing, publish.ErrNothing, store.ErrDenied, store.ErrUnfit} {
		if errors.Is(err, one) {
			return true
		}
	}
	_, fault := errors.AsType[*publication.Error](err)
	return fault
}

// stuck marks the error of a rollout that has to go back.
func (r *run) stuck(err error) error {
	if r.condemned == "" {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrStuck, r.condemned, err)
}

func (r *run) once(ctx context.Context, f func(context.Context, *run) (End, error)) (end End, err error) {
	ttl := r.TTL
	if ttl == 0 {
		ttl = 30 * time.Second
	}
	r.lease = lease.New(lease.Options{Prefix: leasePrefix, Name: "rollout", Who: r.By, TTL: ttl})
	defer r.lease.Release(ctx)
	if err := r.lease.Take(ctx, r.Site.Bucket); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.lease.Keep(ctx, cancel)
	defer func() {
		if r.judge != nil {
			r.judge.Close()
		}
		r.judge = nil
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	if err := r.read(ctx); err != nil {
		return "", err
	}
	state, err := ReadState(ctx, r.Site.Bucket, r.Site.Trust)
	if err != nil {
		return "", err
	}
	if r.id != "" && (state == nil || state.ID != r.id) {
		return "", fmt.Errorf("%w: this one was replaced while the bucket was away", ErrOther)
	}
	r.state = state
	if r.id != "" && state.Ended() { // it was written, although the bucket did not say so
		return r.end(ctx, map[Phase]End{Done: EndDone, Undone: EndUndone}[state.Phase], state.Reason)
	}
	return f(ctx, r)
}

// read reads the heads.
func (r *run) read(ctx context.Context) (err error) {
	r.heads, err = r.Site.Read(ctx)
	return err
}

// believed returns why a head cannot be believed.
func (r *run) believed() error {
	for name, fault := range r.heads.Faults {
		if name != publication.OverridesName {
			return fmt.Errorf("what is published cannot be believed: %s: %w", name, fault)
		}
	}
	return nil
}

// writing limits what one write may take, with the signature. It does not end with the run: half a change is worse.
const writing = 2 * time.Minute

// durably calls f, which writes, even while the run is being ended, but not without the lease.
func (r *run) durably(ctx context.Context, f func(context.Context) error) error {
	if err := r.lease.Check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writing)
	defer cancel()
	return f(ctx)
}

func (r *run) save(ctx context.Context) error {
	err := r.durably(ctx, func(ctx context.Context) error { return r.state.write(ctx, r.Site.Bucket, r.Sign) })
	r.saved = r.saved || err == nil
	return err
}

// at is what the judge judges.
func (r *run) at() gate.At {
	at := gate.At{New: r.state.New, Want: map[string]uint64{}, Published: r.published}
	for name, ring := range r.state.Rings {
		if ring.Generation > 0 {
			at.Want[name] = ring.Generation
		}
	}
	return at
}
