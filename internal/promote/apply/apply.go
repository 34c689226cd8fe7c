package apply

import (
	"context"
	"sync"
	"time"

	"ociproxy/internal/wait"
)

// maxSettling bounds the images that wait for their tags.
const maxSettling = 4096

// Apply does what the plan says, once. When ctx ends, it gives up the work under way within seconds; the same plan
// may be applied again. The report has all errors. The returned error says that nothing was begun: another run has
// the lease, or no store can be written to.
func (r *Run) Apply(ctx context.Context) (*Report, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop, r.log.stop = stop, stop
	r.tally.begin(r)
	if r.plan.Promotions == 0 {
		return r.report(nil), nil
	}
	r.examine(ctx)
	defer r.lease.Release(ctx) // also if the lease was taken in some places and not in others
	if err := r.takeLease(ctx); err != nil {
		return nil, err
	}
	r.lease.Keep(ctx, stop)
	r.log.add(Entry{Action: Begin}, nil)

	p := &pipeline{run: r, settling: make(chan struct{}, maxSettling), tagging: make(chan struct{}, r.opt.Parallel)}
	err := p.all(ctx)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	report := r.report(err)
	r.log.add(Entry{Action: End, Result: string(report.Result)}, nil)
	return report, nil
}

// pipeline leads images through their steps. It copies several images at once, writes their inventories together, lets
// all wait at the same time, and tags several at once.
type pipeline struct {
	run      *Run
	settling chan struct{} // one token for each image that is copied and not tagged
	tagging  chan struct{} // one token for each image that is being tagged

	mu     sync.Mutex
	copied []*item // images copied since the last write of inventories
	first  time.Time
	work   sync.WaitGroup
}

func (p *pipeline) all(ctx context.Context) error {
	defer p.work.Wait()
	slots := make(chan struct{}, p.run.opt.Parallel)
	var copying sync.WaitGroup
	quit := make(chan struct{})
	var recording sync.WaitGroup
	recording.Go(func() { p.record(ctx, quit) })
	finish := func() {
		copying.Wait()
		close(quit)
		recording.Wait()
	}
	defer finish()
	for one, err := range p.run.plan.All() {
		if err != nil {
			return err
		}
		for _, slot := range []chan struct{}{p.settling, slots} {
			select {
			case slot <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		copying.Go(func() {
			it := p.run.newItem(one)
			ok := it.copy(ctx)
			<-slots
			if ok {
				p.add(it)
				return
			}
			it.end()
			<-p.settling
		})
	}
	return nil
}

// add makes a copied image wait for the next write of the inventories.
func (p *pipeline) add(it *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.copied) == 0 {
		p.first = time.Now()
	}
	p.copied = append(p.copied, it)
	p.run.tally.add(&p.run.tally.waiting, 1)
}

const (
	// together is how long an image may wait for others, so that one write of the inventories serves all of them.
	together = 2 * time.Second
	look     = 50 * time.Millisecond
)

// record repeatedly writes inventories for the images that were copied since the last time. When quit is closed, it
// writes what is left and ends.
func (p *pipeline) record(ctx context.Context, quit <-chan struct{}) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-tick.C:
		case <-quit:
			last = true
		}
		p.mu.Lock()
		var batch []*item
		if last || len(p.copied) > 0 && (time.Since(p.first) >= together || len(p.copied) >= maxSettling/2 || len(p.settling) == len(p.copied)) {
			batch, p.copied = p.copied, nil
		}
		p.mu.Unlock()
		if len(batch) > 0 {
			p.flush(ctx, batch)
		}
		if last {
			return
		}
	}
}

// flush writes the inventories. Then each image of the batch waits until its tags are due.
func (p *pipeline) flush(ctx context.Context, batch []*item) {
	r := p.run
	lost := r.flush(ctx)
	now := time.Now()
	for _, it := range batch {
		due := now.Add(r.settle)
		if !it.fresh {
			due = r.told(ctx).Add(r.settle)
		}
		p.work.Go(func() {
			defer func() { <-p.settling }()
			defer it.end()
			defer r.tally.add(&r.tally.waiting, -1)
			if !it.stored(ctx, lost) || wait.For(ctx, time.Until(due)) != nil {
				return
			}
			select {
			case p.tagging <- struct{}{}:
			case <-ctx.Done():
				return
			}
			defer func() { <-p.tagging }()
			it.tag(ctx)
		})
	}
}

// told returns when the inventories that this run read were last added to, if a run wrote them that died before it had
// waited: proxies may not know these records yet. Zero: no image needs to wait for what others wrote.
func (r *Run) told(ctx context.Context) time.Time {
	r.oldNews.once.Do(func() {
		if r.settle == 0 || !r.lease.TookOver() {
			return
		}
		limit, cancel := context.WithTimeout(ctx, min(examination, r.opt.StoreTimeout))
		defer cancel()
		times := make([]time.Time, len(r.targets.Stores))
		var work sync.WaitGroup
		for i := range times {
			if r.targets.Ledger.Fault(i) == nil {
				work.Go(func() { times[i] = r.targets.Ledger.Told(limit, i, time.Now().Add(-r.settle)) })
			}
		}
		work.Wait()
		for _, at := range times {
			if at.After(r.oldNews.at) {
				r.oldNews.at = at
			}
		}
		if r.oldNews.at.After(r.read) { // that clock is fast
			r.oldNews.at = r.read
		}
	})
	return r.oldNews.at
}

const (
	flushTries = 4
	flushPause = time.Second
)

// flush writes the inventories. It returns which could not be written, and why. Stores have the time of
// [Options.StoreTimeout]. Flush does not wait for stores that get nothing more.
func (r *Run) flush(ctx context.Context) map[int]error {
	limit, cancel := context.WithTimeoutCause(ctx, r.opt.StoreTimeout, errLate)
	defer cancel()
	pause := flushPause
	for try := 1; ; try++ {
		lost := r.flushOnce(limit)
		if len(lost) == 0 || try == flushTries || wait.For(limit, pause) != nil {
			for i, err := range lost {
				r.aside.add(i, err)
			}
			return lost
		}
		pause *= 2
	}
}

func (r *Run) flushOnce(ctx context.Context) map[int]error {
	var mu sync.Mutex
	var work sync.WaitGroup
	lost := map[int]error{}
	for i := range r.targets.Stores {
		if r.targets.Ledger.Fault(i) != nil || r.aside.err(i) != nil {
			continue
		}
		work.Go(func() {
			if err := r.targets.Ledger.FlushStore(ctx, i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				lost[i] = err
			}
		})
	}
	work.Wait()
	return lost
}

// Progress returns how far the run has come. It may be called at any time.
func (r *Run) Progress() Progress {
	t := &r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	p := Progress{
		Promotions: r.plan.Promotions, Begun: t.begun, Copied: t.copied, Settling: t.waiting, Finished: t.ended,
		Failures: int64(len(t.report.Failures)),
	}
	if !t.report.StartedAt.IsZero() {
		p.Elapsed = time.Since(t.report.StartedAt)
	}
	if r.targets != nil {
		s := r.targets.Transfers()
		p.Read = s.SourceBytes
		for _, target := range s.Targets {
			p.Uploaded += target.Uploaded + target.Copied
		}
	}
	return p
}
