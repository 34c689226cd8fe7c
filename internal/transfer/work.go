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

// errLanded is why the context of a flight ends in the ordinary way.
var errLanded = errors.New("the blob is done")

// job is what a worker needs to know of a leg, so that it can work without the lock.
type job struct {
	ctx     context.Context
	f       *flight
	t       *target
	step    step
	origin  *target
	from    store.Attrs
	version string
	spool   *spool
	crc     *uint32
	pulse   *pulse
}

// outcome is what a worker did.
type outcome struct {
	how     How
	attrs   store.Attrs
	err     error
	bytes   bool   // the leg needs bytes to be sent
	version string // with bytes: of the wrong object that is there
	suspect bool   // the target copied from holds something wrong
}

// begin lets a worker take a leg.
func (e *Engine) begin(l *leg) {
	t := e.targets[l.target]
	j := &job{f: l.f, t: t, step: l.step, from: l.from, version: l.version, spool: l.f.spool, crc: l.f.crc, pulse: l.pulse}
	if l.step == carry {
		j.origin = e.targets[l.origin]
	}
	j.ctx, l.cancel = context.WithCancelCause(l.f.ctx)
	cancel := l.cancel
	e.wg.Go(func() {
		var o outcome
		switch j.step {
		case look:
			o = j.look()
		case carry:
			o = j.carry()
		case send:
			o = j.send()
		}
		if o.err != nil && j.ctx.Err() != nil {
			o.err = context.Cause(j.ctx) // says more than "context canceled"
		}
		cancel(nil)
		e.mu.Lock()
		defer e.unlock()
		t.busy--
		if l.state == running && l.pulse == j.pulse { // it was not given up meanwhile
			delete(t.running, l)
			l.state = waiting
			e.settle(l, j, o)
		}
		e.dispatch(t)
		e.relieveAll()
	})
}

// settle decides how a leg goes on.
func (e *Engine) settle(l *leg, j *job, o outcome) {
	f, t := l.f, j.t
	switch {
	case o.suspect:
		e.tell(Suspect, f.blob, l.origin, 0, o.err)
	case o.err == nil && o.version != "":
		e.tell(Suspect, f.blob, l.target, 0, nil)
	}
	switch {
	case o.err == nil && !o.bytes:
		t.fails, t.vain, t.moved = 0, 0, time.Now()
		e.finish(l, Result{How: o.how, Attrs: o.attrs})
	case o.err == nil && j.step == send: // something wrong is in the way, or what was in the way is gone
		l.version = o.version
		e.again(l, fmt.Errorf("put: %w", ErrUnverified))
	case o.err == nil:
		l.version = o.version
		e.want(l)
	case j.spool != nil && j.spool.failure() != nil: // the source's fault, or the spool's
		e.want(l)
	case j.step == carry:
		if l.tries++; l.tries >= 2 || errors.Is(o.err, store.ErrCannotCopy) || errors.Is(o.err, store.ErrDenied) {
			e.tell(Fallback, f.blob, l.target, 0, o.err)
			l.tries, l.step = 0, look
		}
		e.retry(l)
	default:
		if wide(o.err) {
			e.strike(t, o.err)
		}
		if l.state == ended { // with its target
			return
		}
		if errors.Is(o.err, store.ErrDenied) || errors.Is(o.err, store.ErrUnfit) || errors.Is(o.err, store.ErrHidden) {
			e.finish(l, Result{Err: o.err})
			return
		}
		if t.vain++; t.vain >= e.opt.Trip*e.opt.Tries && !wide(o.err) { // of several blobs then: it is the bucket
			t.fails = e.opt.Trip - 1
			e.strike(t, o.err)
		}
		e.again(l, o.err)
	}
}

// again tries a leg once more, if it has tries left.
func (e *Engine) again(l *leg, cause error) {
	if l.state == ended { // with its target
		return
	}
	if l.tries++; l.tries >= e.opt.Tries {
		e.finish(l, Result{Err: cause})
		return
	}
	e.retry(l)
}

// retry begins the leg's step again after a pause. The worker is free meanwhile.
func (e *Engine) retry(l *leg) {
	f := l.f
	l.state = waiting
	time.AfterFunc(pause(l.tries), func() {
		e.mu.Lock()
		defer e.unlock()
		switch {
		case l.state != waiting || f.landing:
		case l.step == send:
			e.want(l)
		default:
			e.enqueue(l)
		}
	})
}

// pause is how long to wait before the next try: from a quarter of a second, doubling, half of it by chance.
func pause(tries int) time.Duration {
	return wait.Jitter(wait.Doubled(250*time.Millisecond, tries, 15*time.Second))
}

// wide says whether an error is about the whole bucket rather than one object.
func wide(err error) bool {
	var n net.Error
	return errors.Is(err, store.ErrDenied) || errors.Is(err, store.ErrUnfit) || errors.Is(err, ErrStalled) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n)
}

// strike counts a failure of a whole target, and puts it aside after too many.
func (e *Engine) strike(t *target, err error) {
	if t.fails++; t.fails < e.opt.Trip || t.tripped != nil {
		return
	}
	t.tripped = fmt.Errorf("%w: %s: %d failures in a row, the last: %w", ErrTripped, t.Name, t.fails, err)
	for i, o := range e.targets {
		if o == t {
			e.tell(Tripped, Blob{}, i, 0, t.tripped)
		}
	}
	for _, f := range e.flights {
		for _, l := range f.legs {
			if e.targets[l.target] == t {
				e.drop(l, t.tripped)
			}
		}
	}
}

// look asks whether the blob is there, so that the source is not read for what a process did before it was killed.
func (j *job) look() outcome { return j.existing(AlreadyThere, nil) }

// send uploads the blob.
func (j *job) send() outcome {
	if err := j.spool.enter(); err != nil {
		return outcome{err: err}
	}
	defer j.spool.leave()
	c := &content{ctx: j.ctx, spool: j.spool, sha256: j.f.sha256, pulse: j.pulse}
	j.t.requests.Add(1)
	a, err := store.Replace(j.ctx, j.t.Bucket, j.f.key, c, store.BlobHeader, j.version)
	switch {
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return j.existing(AlreadyThere, nil)
	case err != nil:
		return outcome{err: fmt.Errorf("put %s: %w", j.t.Name, err)}
	case a.Size != j.f.blob.Size || a.SHA256 != "" && j.f.sha256 != "" && a.SHA256 != j.f.sha256:
		return j.existing(Uploaded, nil)
	case j.version != "":
		return j.mended(a)
	}
	return outcome{how: Uploaded, attrs: a}
}

// mended makes sure that strangers get what replaced something that they did not get. What still keeps it from them is not in the
// object: nothing is to be won by writing it once more.
func (j *job) mended(a store.Attrs) outcome {
	if j.t.Look != nil {
		j.t.requests.Add(1)
		if err := j.t.Look(j.ctx, j.f.blob.Digest, a.Size); err != nil {
			return outcome{err: fmt.Errorf("%s, where it was just written anew: %w; a cache in front may have to forget it, or a "+
				"rule of the bucket keeps strangers out", j.t.Name, err)}
		}
	}
	return outcome{how: Repaired, attrs: a}
}

// carry copies the blob from another target of the group.
func (j *job) carry() outcome {
	from := j.from
	if from.Version == "" {
		j.origin.requests.Add(1)
		var err error
		if from, err = j.origin.Bucket.Head(j.ctx, j.f.key); err != nil {
			return outcome{err: fmt.Errorf("head %s: %w", j.origin.Name, err)}
		}
	}
	if from.Size != j.f.blob.Size || from.Altered() != "" || from.SHA256 != "" && j.f.sha256 != "" && from.SHA256 != j.f.sha256 {
		return outcome{err: fmt.Errorf("copy from %s: %w: %w", j.origin.Name, ErrUnverified, store.ErrCannotCopy), suspect: true}
	}
	copier := j.t.Bucket.(store.Copier)
	j.t.requests.Add(1)
	how := Copied
	switch _, err := copier.CopyFrom(j.ctx, j.f.key, j.origin.Bucket, from, store.BlobHeader); {
	case errors.Is(err, store.ErrExists):
		how = AlreadyThere
	case err != nil:
		return outcome{err: fmt.Errorf("copy from %s to %s: %w", j.origin.Name, j.t.Name, err)}
	}
	o := j.existing(how, j.crc)
	if o.suspect = how == Copied && o.err == nil && o.version != ""; o.suspect {
		j.t.requests.Add(1) // we brought it there; nobody shall meet it while the right one is on its way
		if err := j.t.Bucket.Delete(j.ctx, j.f.key, o.version); err == nil {
			o.version = ""
		}
	}
	return o
}
