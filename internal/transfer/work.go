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
	done   chan struct{} // closed when all is done

	deliveries map[int]*delivery // by target, those that ended included
	pending    int               // deliveries that have not ended
	ending     bool              // no delivery is pending: no caller may join any more
	givenUp    bool              // a caller gave up: what was read is kept for later
	have       set.Set           // who holds it, says the caller

	stage     stage
	fetching  bool      // a goroutine downloads, or is about to
	failure   error     // why the bytes cannot be had; stage failed
	spool     *spool    // stages filling and whole
	pool      *pool     // where space was taken from; nil: none is taken
	idleSince time.Time // since when it waits for nothing but targets; zero: it waits for its source
	crc       *uint32   // of the blob, once it was verified
}

// stage is how far the bytes of a blob are.
type stage uint8

const (
	unread  stage = iota // nobody has needed them yet, or they were given up for space
	coming               // waiting for space and a place to download
	filling              // being downloaded: who wants them may begin
	whole                // there and verified
	failed               // they cannot be had
)

// delivery is what is done for one blob and one target.
type delivery struct {
	w        *work
	target   int
	into     string // where in the sink
	step     step
	state    state
	first    *delivery   // of the same group, which must end before; state waiting
	origin   int         // step copy: from which target
	from     store.Attrs // step copy: the object there; zero when it must be asked
	version  string      // step send: of the wrong object to replace
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

// state is whether it does that.
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
	results chan Result // has room for all
	left    int
	stop    func() bool
}

// deliver gives one result.
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

// join lets a caller wait for the deliveries it needs, and begins those that are new.
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

// abandon ends what one caller waits for.
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

// drop gives a delivery up.
func (e *Engine) drop(d *delivery, cause error) { e.finish(d, Result{Err: cause}) }

// finish ends a delivery, tells those who wait for it, and begins the deliveries that waited for it.
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
	default: // nobody works on it
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

// conclude ends work whose deliveries have all ended.
func (e *Engine) conclude(w *work) {
	if w.pending > 0 {
		return
	}
	w.ending = true
	w.cancel(errDone)
	if w.fetching || e.work[w.blob.Digest] != w {
		return // the download ends first
	}
	e.dropSpool(w, w.givenUp && w.stage == whole)
	delete(e.work, w.blob.Digest)
	close(w.done)
	e.leaveActive(w)
	e.open.put(1)
	e.makeRoomEverywhere()
}

// dropSpool gives up the spool and its space. keep leaves the file, so that the download can be continued later.
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
