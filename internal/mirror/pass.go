package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/ledger"
	"ociproxy/internal/shard"
	"ociproxy/internal/targets"
	"ociproxy/internal/walk"
)

// Options of a [Pass].
type Options struct {
	Shard shard.Shard
	// Full walks every image, including complete ones.
	Full bool
	// Interval is the usual time between passes; 0 is a day.
	Interval time.Duration
	// Seen remembers the age of manifests from pass to pass; nil remembers nothing.
	Seen *Seen
}

// Pass is one walk of a source that fills the stores of a config.
type Pass struct {
	src     *walk.Source
	targets *targets.Set
	opt     Options
	filler  *filler
	walker  *walk.Walker
	start   time.Time
	before  [3]int64    // requests, retries and refusals of the source's budget
	walked  atomic.Bool // everything was read
}

// NewPass makes a pass. The targets must have src as their source of blobs.
func NewPass(src *walk.Source, f *targets.Set, opt Options) *Pass {
	if opt.Interval <= 0 {
		opt.Interval = 24 * time.Hour
	}
	p := &Pass{src: src, targets: f, opt: opt, filler: newFiller(src, f, opt), start: time.Now()}
	p.walker = walk.New(src, p.filler)
	p.filler.walker = p.walker
	p.before[0], p.before[1], p.before[2] = src.Registry.Budget().Stats()
	return p
}

// ErrNoUsable says that no store can be written to.
var ErrNoUsable = errors.New("no store can be written to")

// ending bounds the writing of inventories after an interruption.
const ending = 10 * time.Second

// finishing bounds it otherwise: a store that has stopped answering must not delay the next pass.
const finishing = 10 * time.Minute

// Run makes the pass, once. When ctx ends, it gives up the transfers under way within seconds, and records everything
// that is durable. The report has all errors.
func (p *Pass) Run(ctx context.Context) *Report {
	p.filler.ctx = ctx
	p.targets.Begin()
	for i, s := range p.targets.Stores {
		if err := p.targets.Ledger.Fault(i); err != nil {
			p.filler.stores[i].blame(err)
			p.filler.notes.problem(storeFault(s.Name(), err))
		}
	}
	var err error
	if usable := p.targets.Ledger.Usable(); usable.Empty() {
		err = ErrNoUsable
	} else {
		work, stop := context.WithCancelCause(ctx) // until the last blob has arrived
		var kept sync.WaitGroup
		kept.Go(func() { p.targets.Ledger.Keep(work) })
		err = p.walker.Walk(work, stop)
		p.walked.Store(true)
		p.walker.Wait()
		p.filler.awaited.Wait()
		stop(nil)
		kept.Wait()
	}
	// These two have a problem for each repository, or each store.
	if err != nil && ctx.Err() == nil && !errors.Is(err, walk.ErrSource) && !errors.Is(err, ErrNoUsable) {
		p.filler.notes.problem(Problem{Class: classOf(err, SourceFailed), Error: err.Error()})
	}
	p.close(ctx)
	r := p.Report()
	p.judge(ctx, r, err)
	return r
}

// storeFault is the problem of a store whose inventory cannot be used.
func storeFault(name string, err error) Problem {
	return Problem{Class: classOf(err, StoreInventory), Store: name, Error: err.Error()}
}

// close writes what the inventories do not list yet, and their time.
func (p *Pass) close(ctx context.Context) {
	finish := p.targets.Ledger.Finish
	if ctx.Err() != nil {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
		defer cancel()
		ctx, finish = short, p.targets.Ledger.Flush // the time of an unfinished pass tells nothing
	}
	ctx, cancel := context.WithTimeout(ctx, finishing)
	defer cancel()
	for i, err := range finish(ctx) {
		if err != nil && p.targets.Ledger.Fault(i) == nil && (p.filler.leave(i, err) || !errors.Is(err, ledger.ErrAside)) {
			p.filler.notes.problem(Problem{Class: StoreInventory, Store: p.targets.Stores[i].Name(), Error: fmt.Sprintf("write the inventory: %v", err)})
		}
	}
}

// Report returns what was done so far; its result is only known at the end. It may be called at any time.
func (p *Pass) Report() *Report {
	f, now := p.filler, time.Now()
	requests, retries, throttled := p.src.Registry.Budget().Stats()
	r := &Report{
		StartedAt: p.start.UTC().Truncate(time.Millisecond), DurationMs: now.Sub(p.start).Milliseconds(),
		Source: SourceReport{
			Name: p.src.Name, Registry: p.src.Registry.String(), Repositories: f.repositories.Load(),
			Requests: requests - p.before[0], Retries: retries - p.before[1], Throttled: throttled - p.before[2],
			BytesRead: p.targets.Transfers().SourceBytes,
		},
		Images: f.images(p.walker),
		Blobs: BlobsReport{
			Copied: f.copied.Load(), Present: f.present.Load(), Failed: f.blobsFailed.Load(), Skipped: f.skips.Load(), Others: f.others.Load(),
		},
		Stores: []StoreReport{},
	}
	if !p.opt.Shard.Whole() {
		r.Shard = p.opt.Shard.String()
	}
	for i, s := range p.targets.Stores {
		sr := f.stores[i].report(now)
		sr.Name, sr.Requests = s.Name(), s.Requests()
		r.Stores = append(r.Stores, sr)
	}
	f.fill(r)
	return r
}

// judge says how the pass ended.
func (p *Pass) judge(ctx context.Context, r *Report, err error) {
	switch {
	case ctx.Err() != nil:
		r.Result, r.Error = Interrupted, "interrupted"
	case len(r.Errors) == 0:
		r.Result = Done
	case p.didSome(r):
		r.Result = Partial
	default:
		r.Result = Failed
	}
	if r.Error == "" && err != nil {
		r.Error = oneLine(err.Error())
	}
}

// didSome reports whether a pass with errors did a part of its work, or found a part done: it copied something to a
// store, an image is complete in a store, other shards have what it met, or the source has no images.
func (p *Pass) didSome(r *Report) bool {
	if usable := p.targets.Ledger.Usable(); usable.Empty() {
		return false
	}
	whole := slices.ContainsFunc(r.Stores, func(s StoreReport) bool { return s.Error == "" && s.Incomplete < r.Images.Seen })
	return whole || r.Blobs.Copied+r.Blobs.Present+r.Blobs.Others > 0 || r.Source.Repositories > 0 && p.filler.listed.Load() == 0
}

func (p *filler) images(w *walk.Walker) ImagesReport {
	seen, known := w.Counts()
	return ImagesReport{
		Seen: seen, Known: known, Complete: p.complete.Load() + known, Failed: p.failed.Load() + w.Nameless(),
		Denied: p.denied.Load(),
	}
}

func (t *tally) report(now time.Time) StoreReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := StoreReport{
		Uploaded: t.uploaded.Load(), Copied: t.copied.Load(), Present: t.present.Load(), Failed: t.failed.Load(),
		BytesUp: t.bytesUp.Load(), BytesCopy: t.bytesCopied.Load(), Incomplete: t.incomplete,
	}
	if t.incomplete > 0 {
		r.LagSeconds, r.OldestSeconds = int64(now.Sub(t.newest).Seconds()), int64(now.Sub(t.oldest).Seconds())
	}
	if t.fault != nil {
		r.Error = oneLine(t.fault.Error())
	}
	return r
}
