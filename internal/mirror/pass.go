package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ociproxy/internal/fleet"
)

// Options of a [Pass].
type Options struct {
	Shard Shard
	// Full walks every image, the complete ones too.
	Full bool
	// Interval is the usual time between passes; 0 is a day.
	Interval time.Duration
	// Seen remembers the age of manifests from pass to pass; nil does not.
	Seen *Seen
}

// Pass is one walk of a source that fills the stores of a fleet.
type Pass struct {
	src    *Source
	fleet  *fleet.Fleet
	opt    Options
	filler *filler
	walker *walker
	start  time.Time
}

// NewPass makes a pass. Fleets must have src as their source of blobs.
func NewPass(src *Source, f *fleet.Fleet, opt Options) *Pass {
	if opt.Interval <= 0 {
		opt.Interval = 24 * time.Hour
	}
	p := &Pass{src: src, fleet: f, opt: opt, filler: newFiller(src, f, opt), start: time.Now()}
	p.walker = newWalker(src, p.filler)
	p.filler.graph = p.walker.graph
	return p
}

// ErrNoUsable says that no store can be written to.
var ErrNoUsable = errors.New("no store can be written to")

// ending bounds the writing of inventories after an interruption.
const ending = 10 * time.Second

// Run does it, once. When ctx ends, what is on its way is given up within seconds, and all that is durable is recorded. Everything that
// went wrong is in the report.
func (p *Pass) Run(ctx context.Context) *Report {
	p.start, p.filler.ctx = time.Now(), ctx
	requests, retries, throttled := p.src.Registry.Budget().Stats()
	p.fleet.Begin()
	for i, s := range p.fleet.Stores {
		if err := p.fleet.Ledger.Fault(i); err != nil {
			p.filler.stores[i].blame(err)
			p.filler.notes.problem(Problem{Class: classOf(err, StoreInventory), Store: s.Name(), Error: err.Error()})
		}
	}
	var err error
	if usable := p.fleet.Ledger.Usable(); usable.Empty() {
		err = ErrNoUsable
	} else {
		work, stop := context.WithCancelCause(ctx) // until the last blob has landed
		err = p.walker.walk(work, stop)
		p.fleet.Wait()
		stop(nil)
	}
	if err != nil && ctx.Err() == nil {
		p.filler.notes.problem(Problem{Class: classOf(err, SourceFailed), Error: err.Error()})
	}
	p.close(ctx)
	r := p.report(ctx, err)
	r.Source.Requests, r.Source.Retries, r.Source.Throttled = p.src.Registry.Budget().Stats()
	r.Source.Requests -= requests
	r.Source.Retries -= retries
	r.Source.Throttled -= throttled
	return r
}

// close writes what the inventories lack, and their time.
func (p *Pass) close(ctx context.Context) {
	finish := p.fleet.Ledger.Finish
	if ctx.Err() != nil {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
		defer cancel()
		ctx, finish = short, p.fleet.Ledger.Flush
	}
	for i, err := range finish(ctx) {
		if err != nil && p.fleet.Ledger.Fault(i) == nil {
			p.filler.stores[i].blame(err)
			p.filler.notes.problem(Problem{Class: StoreInventory, Store: p.fleet.Stores[i].Name(), Error: fmt.Sprintf("write the inventory: %v", err)})
		}
	}
}

func (p *Pass) report(ctx context.Context, err error) *Report {
	f, now := p.filler, time.Now()
	r := &Report{
		Result: Done, StartedAt: p.start.UTC().Truncate(time.Millisecond), DurationMs: now.Sub(p.start).Milliseconds(),
		Source: SourceReport{
			Name: p.src.Name, Registry: p.src.Registry.String(), Repositories: f.repositories.Load(),
			BytesRead: p.fleet.Transfers().SourceBytes,
		},
		Images: f.images(p.walker.graph),
		Blobs: BlobsReport{
			Copied: f.copied.Load(), Present: f.present.Load(), Failed: f.blobsFailed.Load(), Skipped: f.skips.Load(), Others: f.others.Load(),
		},
		Stores: []StoreReport{},
	}
	if !p.opt.Shard.Whole() {
		r.Shard = p.opt.Shard.String()
	}
	down := 0
	for i, s := range p.fleet.Stores {
		sr := f.stores[i].report(now)
		sr.Name, sr.Requests = s.Name(), s.Requests()
		if sr.Error != "" {
			down++
		}
		r.Stores = append(r.Stores, sr)
	}
	f.fill(r)
	switch {
	case ctx.Err() != nil:
		r.Result, r.Error = Interrupted, "interrupted"
	case err != nil && r.Images.Seen == 0, down == len(r.Stores):
		r.Result = Failed
		if err != nil {
			r.Error = oneLine(err.Error())
		}
	case len(r.Errors) > 0:
		r.Result = Partial
	}
	return r
}

func (p *filler) images(g *graph) ImagesReport {
	seen, known := g.counts()
	return ImagesReport{Seen: seen, Known: known, Complete: p.complete.Load() + known, Failed: p.failed.Load(), Denied: p.denied.Load()}
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
