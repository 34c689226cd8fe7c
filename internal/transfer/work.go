package transfer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

// work is the work on one blob. The engine's lock guards everything in it except what is set when it begins.
type work struct {
	blob   Blob
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when everything is done

	deliveries map[int]*delivery // by target, with those that have ended
	pending    int               // deliveries that have not ended
	ending     bool              // no delivery is pending: no caller may join
	givenUp    bool              // a caller gave up: keep what was read for later
	have       set.Set           // who holds it, as the caller asserts

	stage     stage
	fetching  bool      // a goroutine downloads, or will soon
	failure   error     // why there are no bytes; stage failed
	spool     *spool    // stages filling and whole
	pool      *pool     // where space was taken; nil: none
	idleSince time.Time // since when it only waits for targets; zero: it waits for its source
	crc       *uint32   // of the verified blob
}

// stage is how far the bytes of a blob are.
type stage uint8

const (
	unread  stage = iota // no delivery has needed them yet, or they were given up for space
	coming               // waiting for space and a place to download
	filling              // being downloaded: uploads may begin
	whole                // complete and verified
	failed               // not available
)

// delivery is what is done for one blob and one target.
type delivery struct {
	w        *work
	target   int
	into     string // where in the sink it belongs
	step     step
	state    state
	first    *delivery   // of the same group, must end before; state waiting
	origin   int         // step toCopy: the target to copy from
	from     store.Attrs // step toCopy: the object there; zero: ask
	version  string      // step toSend: the wrong object to replace
	tries    int
	cancel   context.CancelCauseFunc // state running
	pulse    *pulse                  // state running
	queued   time.Time               // since when it waits for its target
	watchers []*watcher
	result   Result // state ended
}

// step is what a delivery does next.
type step uint8

const (
	toLook step = iota // is it there already?
	toCopy             // copy from another target of the group
	toSend             // upload from the spool
)

// state is how far the current step is.
type state uint8

const (
	fresh   state = iota // not planned yet
	waiting              // for bytes, for the first copy, or for the next try
	queued               // for a worker of the target
	running
	ended
)

// watcher is one call of Ensure that waits for results.
type watcher struct {
	results chan Result // has room for all results
	left    int
	stop    func() bool
}

// deliver sends one result.
func (c *watcher) deliver(r Result) {
	c.results <- r
	if c.left--; c.left == 0 {
		close(c.results)
		if c.stop != nil {
			c.stop()
		}
	}
}

func (e *Engine) newWork(b Blob) *work {
	w := &work{blob: b, done: make(chan struct{}), deliveries: map[int]*delivery{}, idleSince: time.Now()}
	w.ctx, w.cancel = context.WithCancelCause(e.ctx)
	e.work[b.Digest] = w
	e.activeWork[w] = true
	return w
}

// join makes a caller wait for the deliveries it needs, and begins the new ones.
func (e *Engine) join(w *work, b Blob, c *watcher, need, have set.Set) {
	w.have.Or(&have)
	var deliveries []*delivery
	need.Each(func(i int) {
		d := w.deliveries[i]
		switch {
		case i >= len(e.targets):
			c.deliver(Result{Target: i, Err: fmt.Errorf("target %d: there is none", i)})
		case d != nil && d.state == ended:
			c.deliver(d.result)
		case d != nil:
			d.watchers = append(d.watchers, c)
		case e.targets[i].tripped != nil:
			c.deliver(Result{Target: i, Err: e.targets[i].tripped})
		default:
			d = &delivery{w: w, target: i, into: b.Into[i], watchers: []*watcher{c}}
			w.deliveries[i] = d
			w.pending++
			deliveries = append(deliveries, d)
		}
	})
	e.plan(deliveries)
	e.conclude(w)
}

// abandon ends the wait of one caller.
func (e *Engine) abandon(w *work, c *watcher, cause error) {
	e.mu.Lock()
	defer e.unlock()
	for _, d := range w.deliveries {
		i := slices.Index(d.watchers, c)
		if i < 0 {
			continue
		}
		d.watchers = slices.Delete(d.watchers, i, i+1)
		w.givenUp = true
		c.deliver(Result{Target: d.target, Err: cause})
		if len(d.watchers) == 0 {
			e.drop(d, cause)
		}
	}
}

// drop gives up a delivery.
func (e *Engine) drop(d *delivery, cause error) { e.finish(d, Result{Err: cause}) }

// finish ends a delivery, sends the result to its watchers, and begins the deliveries that waited for it.
func (e *Engine) finish(d *delivery, r Result) {
	if d.state == ended {
		return
	}
	t := e.targets[d.target]
	switch d.state {
	case queued:
		e.unqueue(d)
	case running:
		d.cancel(r.Err)
		delete(t.running, d)
	default: // no worker has it
	}
	r.Target, r.Repository = d.target, d.w.blob.Repository
	d.state, d.result, d.first = ended, r, nil
	t.count(d.w.blob, r)
	if r.Err == nil {
		e.tell(Finished, d.w.blob, d.target, 0, nil)
	} else {
		e.tell(Failed, d.w.blob, d.target, 0, r.Err)
	}
	for _, c := range d.watchers {
		c.deliver(r)
	}
	d.watchers = nil
	d.w.pending--
	e.copyOn(d)
	e.conclude(d.w)
}

// conclude ends work when all its deliveries have ended.
func (e *Engine) conclude(w *work) {
	if w.pending > 0 {
		return
	}
	w.ending = true
	w.cancel(errDone)
	if w.fetching || e.work[w.blob.Digest] != w {
		return // the download must end first
	}
	e.dropSpool(w, w.givenUp && w.stage == whole)
	delete(e.work, w.blob.Digest)
	close(w.done)
	e.leaveActive(w)
	e.open.put(1)
	e.makeRoomEverywhere()
}

// dropSpool gives up the spool and its space. With keep, the file stays, so that a later download can continue it.
func (e *Engine) dropSpool(w *work, keep bool) {
	if w.spool != nil {
		w.spool.fail(errDone)
		w.spool = nil
	}
	switch {
	case w.pool != &e.disk:
	case keep:
		e.disk.used += e.dir.keep(w.blob.Digest, e.opt.small)
	default:
		e.dir.remove(w.blob.Digest)
	}
	if w.stage != failed {
		w.stage = unread
	}
	if w.pool != nil {
		p := w.pool
		w.pool = nil
		p.put(w.blob.Size)
	}
}
