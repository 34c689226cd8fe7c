package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// errDone is the cause when the context of work ends normally.
var errDone = errors.New("the blob is done")

// begin lets a worker take a delivery.
func (e *Engine) begin(d *delivery) {
	t, pulse, step, spool := e.targets[d.target], d.pulse, d.step, d.w.spool
	it := Item{
		Digest: d.w.blob.Digest, Size: d.w.blob.Size, Into: d.into, CRC32C: d.w.crc, Over: d.version,
		note: func(n int64) { t.readBack.Add(n); pulse.sent(0) },
	}
	from, at := e.targets[d.origin].Sink, d.from
	ctx, cancel := context.WithCancelCause(d.w.ctx)
	d.cancel = cancel
	e.wg.Go(func() {
		var found Found
		var err error
		switch step {
		case toLook:
			found, err = t.Sink.Look(ctx, it)
		case toCopy:
			found, err = t.Sink.(Copier).CopyFrom(ctx, it, from, at)
		case toSend:
			found, err = put(ctx, t.Sink, it, spool, pulse)
		}
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // more precise than "context canceled"
		}
		cancel(nil)
		e.mu.Lock()
		defer e.unlock()
		t.busy--
		if d.state == running && d.pulse == pulse { // it was not given up meanwhile
			delete(t.running, d)
			d.state = waiting
			e.settle(d, step, spool, found, err)
		}
		e.dispatch(t)
		e.makeRoomEverywhere()
	})
}

// put sends the blob from the spool.
func put(ctx context.Context, s Sink, it Item, from *spool, p *pulse) (Found, error) {
	if err := from.enter(); err != nil {
		return Found{}, err
	}
	defer from.leave()
	c := &content{ctx: ctx, spool: from, pulse: p}
	if it.Digest.Algorithm() == "sha256" {
		c.sha256 = it.Digest.Hex()
	}
	return s.Put(ctx, it, c)
}

// settle decides how a delivery continues.
func (e *Engine) settle(d *delivery, step step, spool *spool, found Found, err error) {
	w, t := d.w, e.targets[d.target]
	switch {
	case found.FromWrong:
		e.tell(Suspect, w.blob, d.origin, 0, err)
	case err == nil && found.Wrong != "":
		e.tell(Suspect, w.blob, d.target, 0, nil)
	}
	switch {
	case err == nil && found.How != 0:
		t.fails, t.failedTries, t.moved = 0, 0, time.Now()
		e.finish(d, Result{How: found.How, Attrs: found.Attrs})
	case err == nil && step == toSend: // a wrong object is in the way, or the object in the way is gone
		d.version = found.Wrong
		e.again(d, fmt.Errorf("put: %w", ErrUnverified))
	case err == nil:
		d.version = found.Wrong
		e.want(d)
	case spool != nil && spool.failure() != nil: // a fault of the source or the spool
		e.want(d)
	case step == toCopy:
		if d.tries++; d.tries >= 2 || errors.Is(err, store.ErrCannotCopy) || errors.Is(err, store.ErrDenied) {
			e.tell(Fallback, w.blob, d.target, 0, err)
			d.tries, d.step = 0, toLook
		}
		e.retry(d)
	case ofPlace(err): // the rest of the target may work
		e.finish(d, Result{Err: err})
	default:
		if wide(err) {
			e.countFailure(t, err)
		}
		if d.state == ended { // its target was put aside
			return
		}
		if errors.Is(err, store.ErrDenied) || errors.Is(err, store.ErrUnfit) || errors.Is(err, store.ErrHidden) {
			e.finish(d, Result{Err: err})
			return
		}
		if t.failedTries++; t.failedTries >= e.opt.Trip*e.opt.Tries && !wide(err) { // several blobs: it is the bucket
			t.fails = e.opt.Trip - 1
			e.countFailure(t, err)
		}
		e.again(d, err)
	}
}

// again tries a delivery once more, if it has tries left.
func (e *Engine) again(d *delivery, cause error) {
	if d.state == ended { // its target was put aside
		return
	}
	if d.tries++; d.tries >= e.opt.Tries {
		e.finish(d, Result{Err: cause})
		return
	}
	e.retry(d)
}

// retry begins the step again after a pause. The worker is free during the pause.
func (e *Engine) retry(d *delivery) {
	w := d.w
	d.state = waiting
	time.AfterFunc(pause(d.tries), func() {
		e.mu.Lock()
		defer e.unlock()
		switch {
		case d.state != waiting || w.ending:
		case d.step == toSend:
			e.want(d)
		default:
			e.enqueue(d)
		}
	})
}

// pause returns how long to wait before the next try. It begins with a quarter of a second and doubles; half of it is
// random.
func pause(tries int) time.Duration {
	return wait.Jitter(wait.Doubled(250*time.Millisecond, tries, 15*time.Second))
}

// ofPlace reports whether an error is about one of several places in a target.
func ofPlace(err error) bool {
	_, ok := errors.AsType[*PlaceError](err)
	return ok
}

// wide reports whether an error is about the whole bucket rather than one object.
func wide(err error) bool {
	var n net.Error
	return errors.Is(err, store.ErrDenied) || errors.Is(err, store.ErrUnfit) || errors.Is(err, ErrStalled) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n)
}

// countFailure counts a failure of a whole target. After too many, it puts the target aside.
func (e *Engine) countFailure(t *target, err error) {
	if t.fails++; t.fails < e.opt.Trip || t.tripped != nil {
		return
	}
	t.tripped = fmt.Errorf("%w: %s: %d failures in a row, the last: %w", ErrTripped, t.Name, t.fails, err)
	for i, o := range e.targets {
		if o == t {
			e.tell(Tripped, Blob{}, i, 0, t.tripped)
		}
	}
	for _, w := range e.work {
		for _, d := range w.deliveries {
			if e.targets[d.target] == t {
				e.drop(d, t.tripped)
			}
		}
	}
}
