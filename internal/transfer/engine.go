package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
)

// Engine brings blobs to targets. Several goroutines may call its methods.
type Engine struct {
	opt     Options
	targets []*target
	dir     *folder
	counters

	ctx    context.Context // ends when running work must stop
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	work       map[oci.Digest]*work
	open       pool                // blobs with work
	active     pool                // of these, blobs that wait for more than lagging targets
	slots      *semaphore.Weighted // downloads
	fetching   atomic.Int64        // running downloads
	disk       pool                // bytes of the spool
	memory     pool                // bytes in memory
	events     []Event             // events to report when the lock is released
	activeWork map[*work]bool
	fullTill   time.Time // the spool's disk is assumed full until then
}

// target is a store with the work that waits for it. The engine's lock guards everything except sink and counters.
type target struct {
	Target
	targetCounters
	queue       []*delivery
	running     map[*delivery]bool
	busy        int // workers; more than running if a delivery was given up and its worker has not returned yet
	fails       int // failures in a row that concern the whole bucket
	failedTries int // failed tries in a row
	tripped     error
	moved       time.Time // last success
	idle        time.Time // since when it could work more; zero: it is busy
}

// New makes an engine; [Engine.Close] ends it. The error is about the options or the spool's folder.
func New(opt Options) (*Engine, error) {
	opt.setDefaults()
	switch {
	case opt.Source == nil:
		return nil, errors.New("transfer: no source")
	case opt.Dir == "":
		return nil, errors.New("transfer: no folder for the spool")
	case len(opt.Targets) > set.Max:
		return nil, fmt.Errorf("transfer: %d targets, at most %d are possible", len(opt.Targets), set.Max)
	}
	dir, err := openFolder(opt.Dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{opt: opt, dir: dir, work: map[oci.Digest]*work{}, activeWork: map[*work]bool{}}
	e.ctx, e.cancel = context.WithCancelCause(context.Background()) // outlives every caller: a blob may have several
	for _, t := range opt.Targets {
		e.targets = append(e.targets, &target{Target: t, running: map[*delivery]bool{}, moved: time.Now(), idle: time.Now()})
	}
	e.open.setCap(int64(opt.Open))
	e.active.setCap(int64(min(opt.Open, activePerDownload*opt.Parallel)))
	e.slots = semaphore.NewWeighted(int64(opt.Parallel))
	e.disk.setCap(opt.SpoolBytes)
	e.memory.setCap(opt.MemoryBytes)
	e.disk.used = dir.size()
	e.wg.Go(e.watch)
	return e, nil
}

// activePerDownload is how many blobs may be active for each download that may run. Blobs that only wait for targets
// that lag behind do not count.
const activePerDownload = 16

func (o *Options) setDefaults() {
	fallback(&o.SpoolBytes, 20<<30)
	fallback(&o.MemoryBytes, 64<<20)
	fallback(&o.Parallel, 16)
	fallback(&o.UploadsPerTarget, 8)
	fallback(&o.Open, 16<<10)
	fallback(&o.Stall, time.Minute)
	fallback(&o.Grace, 30*time.Second)
	fallback(&o.Tries, 4)
	fallback(&o.Trip, 5)
	fallback(&o.small, smallBlob)
	o.MemoryBytes = max(o.MemoryBytes, o.small)
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
}

func fallback[T int | int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// unlock releases the lock and reports the events that happened while it was held.
func (e *Engine) unlock() {
	events := e.events
	e.events = nil
	e.mu.Unlock()
	for _, ev := range events {
		e.opt.Observe(ev)
	}
}

// tell records an event; the lock is held.
func (e *Engine) tell(kind EventKind, b Blob, target int, bytes int64, err error) {
	e.events = append(e.events, Event{Kind: kind, Blob: b, Target: target, Bytes: bytes, Err: err})
}

// Ensure brings a blob to the targets of need. The caller asserts that the targets of have hold it: a target of the
// same group may copy it from there, and then the engine does not read the source.
//
// It returns once the blob was admitted. That may have to wait until other blobs are finished, but not for a target
// that lags behind. The channel gives one result for each target of need, as they come, and is closed after the last.
// It has room for all results, so nobody needs to read it. When ctx ends, the missing results are its error. The
// engine does not read a blob again that is already on its way: the call joins it, with the targets that are new.
// That blob's repository may be another one: results say which.
//
// The error is that of ctx, ErrClosed, or about a blob that no store can hold.
func (e *Engine) Ensure(ctx context.Context, b Blob, need, have set.Set) (<-chan Result, error) {
	if !b.Digest.InStores() {
		return nil, fmt.Errorf("ensure %s: stores hold sha256 and sha512 only", b.Digest)
	}
	if b.Size < 0 {
		return nil, fmt.Errorf("ensure %s: the size is not known", b.Digest)
	}
	c := &watcher{results: make(chan Result, need.Len()), left: need.Len()}
	if c.left == 0 {
		close(c.results)
		return c.results, nil
	}
	if err := e.admit(ctx, b, c, need, have); err != nil {
		return nil, fmt.Errorf("ensure %s: %w", b.Digest, err)
	}
	return c.results, nil
}

// admit finds the work on a blob, or a place for new work, and joins it.
func (e *Engine) admit(ctx context.Context, b Blob, c *watcher, need, have set.Set) error {
	admitted := false
	defer func() {
		if admitted {
			e.release(&e.active)
			e.release(&e.open)
		}
	}()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.mu.Lock()
		w := e.work[b.Digest]
		switch {
		case e.closed:
			e.unlock()
			return ErrClosed
		case w != nil && (w.ending || w.blob.Size != b.Size): // it ends soon; or one of the two sizes is wrong
			e.unlock()
			select {
			case <-w.done:
			case <-ctx.Done():
			}
		case w == nil && !admitted:
			e.unlock()
			if err := e.acquire(ctx, &e.open, 1, need); err != nil {
				return err
			}
			if err := e.acquire(ctx, &e.active, 1, need); err != nil {
				e.release(&e.open)
				return err
			}
			admitted = true
		default:
			if w == nil {
				w = e.newWork(b)
				admitted = false // the places belong to the work now
			}
			e.join(w, b, c, need, have)
			if c.left > 0 {
				c.stop = context.AfterFunc(ctx, func() { e.abandon(w, c, context.Cause(ctx)) })
			}
			e.unlock()
			return nil
		}
	}
}

// Reset begins a new pass: it allows targets that were put aside again.
func (e *Engine) Reset() {
	e.mu.Lock()
	defer e.unlock()
	for _, t := range e.targets {
		t.fails, t.failedTries, t.tripped = 0, 0, nil
	}
}

// closing is how long work that was asked to end may take.
const closing = 10 * time.Second

// Close ends the engine. It admits no more blobs. Running work may finish until ctx ends; then it is given up. Partly
// downloaded blobs stay in the spool for the next engine. The error says that some work does not end.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	already := e.closed
	e.closed = true
	var open []*work
	for _, w := range e.work {
		open = append(open, w)
	}
	e.unlock()
	if already {
		return nil
	}
	for _, w := range open {
		select {
		case <-w.done:
		case <-ctx.Done():
		}
	}
	e.cancel(ErrClosed)
	e.mu.Lock()
	for _, w := range e.work {
		w.givenUp = true
		for _, d := range w.deliveries {
			e.drop(d, ErrClosed)
		}
	}
	e.unlock()
	ended := make(chan struct{})
	go func() { e.wg.Wait(); close(ended) }()
	timer := time.NewTimer(closing)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		return errors.New("close transfer: a store does not give up")
	}
	return e.dir.close()
}
