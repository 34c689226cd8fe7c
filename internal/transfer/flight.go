package transfer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

// flight is one blob on its way. Everything in it is under the engine's lock but what is set when it begins.
type flight struct {
	blob   Blob
	key    string
	sha256 string // the digest's hex; "" when it is a sha512
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it has landed

	legs    map[int]*leg // by target, those that ended included
	pending int          // legs that have not ended
	landing bool         // no leg is pending: nobody gets on any more
	given   bool         // a caller gave it up: what was read is kept for later
	have    set.Set      // who holds it, says the caller

	stage    stage
	fetching bool      // a goroutine downloads, or is about to
	failure  error     // why the bytes cannot be had; stage failed
	spool    *spool    // stages filling and whole
	pool     *pool     // where space was taken from; nil: none is taken
	parked   time.Time // since when it waits for nothing but targets; zero: it waits for its source
	crc      *uint32   // of the blob, once it was verified
}

// stage is how far the bytes of a flight are.
type stage uint8

const (
	grounded stage = iota // nobody has needed them yet, or they were given up for space
	coming                // waiting for space and a place to download
	filling               // being downloaded: who wants them may begin
	whole                 // there and verified
	failed                // they cannot be had
)

// leg is the way of a blob to one target.
type leg struct {
	f        *flight
	target   int
	step     step
	state    state
	lead     *leg        // the leg of the same group that must end first; state waiting
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

// step is what a leg does next.
type step uint8

const (
	look  step = iota // is it there already?
	carry             // copy from another target of the group
	send              // upload from the spool
)

// state is whether it does so.
type state uint8

const (
	fresh   state = iota // not planned yet
	waiting              // for bytes, for its lead, or for the next try
	queued               // for a worker of the target
	running
	ended
)

// watcher is one call of Ensure.
type watcher struct {
	results chan Result // has room for all
	left    int
	stop    func() bool
}

// deliver gives one result.
func (w *watcher) deliver(r Result) {
	w.results <- r
	if w.left--; w.left == 0 {
		close(w.results)
		if w.stop != nil {
			w.stop()
		}
	}
}

func (e *Engine) newFlight(b Blob) *flight {
	f := &flight{blob: b, key: store.BlobKey(b.Digest), done: make(chan struct{}), legs: map[int]*leg{}, parked: time.Now()}
	if b.Digest.Algorithm() == "sha256" {
		f.sha256 = b.Digest.Hex()
	}
	f.ctx, f.cancel = context.WithCancelCause(e.ctx)
	e.flights[b.Digest] = f
	e.nearby[f] = true
	return f
}

// join lets a caller wait for the legs it needs, and begins those that are new.
func (e *Engine) join(f *flight, w *watcher, need, have set.Set) {
	f.have.Or(&have)
	var legs []*leg
	need.Each(func(i int) {
		l := f.legs[i]
		switch {
		case i >= len(e.targets):
			w.deliver(Result{Target: i, Err: fmt.Errorf("target %d: there is none", i)})
		case l != nil && l.state == ended:
			w.deliver(l.result)
		case l != nil:
			l.watchers = append(l.watchers, w)
		case e.targets[i].tripped != nil:
			w.deliver(Result{Target: i, Err: e.targets[i].tripped})
		default:
			l = &leg{f: f, target: i, watchers: []*watcher{w}}
			f.legs[i] = l
			f.pending++
			legs = append(legs, l)
		}
	})
	e.plan(legs)
	e.land(f)
}

// abandon ends what one caller waits for.
func (e *Engine) abandon(f *flight, w *watcher, cause error) {
	e.mu.Lock()
	defer e.unlock()
	for _, l := range f.legs {
		i := slices.Index(l.watchers, w)
		if i < 0 {
			continue
		}
		l.watchers = slices.Delete(l.watchers, i, i+1)
		f.given = true
		w.deliver(Result{Target: l.target, Err: cause})
		if len(l.watchers) == 0 {
			e.drop(l, cause)
		}
	}
}

// drop gives a leg up.
func (e *Engine) drop(l *leg, cause error) { e.finish(l, Result{Err: cause}) }

// finish ends a leg, tells who waits for it, and sets off the legs that waited for it.
func (e *Engine) finish(l *leg, r Result) {
	if l.state == ended {
		return
	}
	t := e.targets[l.target]
	switch l.state {
	case queued:
		e.unqueue(l)
	case running:
		l.cancel(r.Err)
		delete(t.running, l)
	default: // nobody works on it
	}
	r.Target, r.Repository = l.target, l.f.blob.Repository
	l.state, l.result, l.lead = ended, r, nil
	t.count(l.f.blob, r)
	if r.Err == nil {
		e.tell(Finished, l.f.blob, l.target, 0, nil)
	} else {
		e.tell(Failed, l.f.blob, l.target, 0, r.Err)
	}
	for _, w := range l.watchers {
		w.deliver(r)
	}
	l.watchers = nil
	l.f.pending--
	e.follow(l)
	e.land(l.f)
}

// land ends a flight whose legs have all ended.
func (e *Engine) land(f *flight) {
	if f.pending > 0 {
		return
	}
	f.landing = true
	f.cancel(errLanded)
	if f.fetching || e.flights[f.blob.Digest] != f {
		return // the download ends first
	}
	e.ground(f, f.given && f.stage == whole)
	delete(e.flights, f.blob.Digest)
	close(f.done)
	e.away(f)
	e.open.put(1)
	e.relieveAll()
}

// ground gives the spool of a flight up and its space back. keep leaves the file to be continued later.
func (e *Engine) ground(f *flight, keep bool) {
	if f.spool != nil {
		f.spool.fail(errLanded)
		f.spool = nil
	}
	switch {
	case f.pool != &e.disk:
	case keep:
		e.disk.used += e.dir.keep(f.blob.Digest, e.opt.small)
	default:
		e.dir.remove(f.blob.Digest)
	}
	if f.stage != failed {
		f.stage = grounded
	}
	if f.pool != nil {
		p := f.pool
		f.pool = nil
		p.put(f.blob.Size)
	}
}
