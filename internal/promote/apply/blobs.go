package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
	"ociproxy/internal/set"
	"ociproxy/internal/targets"
	"ociproxy/internal/transfer"
)

// parallelBlobs bounds the blobs of one image in work at once. The engine has its own bound for all images.
const parallelBlobs = 16

// blobs brings the blobs of an image to stores and destinations.
func (it *item) blobs(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(parallelBlobs)
	for _, d := range it.closure.Blobs {
		g.Go(func() error {
			if ctx.Err() == nil && it.alive() {
				it.blob(ctx, d)
			}
			return nil
		})
	}
	_ = g.Wait() // each site keeps its own error
	for _, d := range it.closure.Blobs {
		it.fresh = it.fresh || it.run.news.has(d.Digest)
	}
}

// blob brings one blob wherever it is missing. It goes to one repository of each host, and from there to the others.
func (it *item) blob(ctx context.Context, d registry.Descriptor) {
	r := it.run
	done, err := r.turns.take(ctx, d.Digest.String())
	if err != nil {
		return
	}
	defer done()
	b := transfer.Blob{Digest: d.Digest, Size: d.Size, Repository: it.From}
	if b.Size < 0 {
		if b.Size, err = r.size(ctx, b); err != nil {
			it.failAll(ctx, it.classOf(err), it.From, err)
			return
		}
	}
	all := it.carriers(b)
	for _, c := range all {
		if c.mount(ctx); c.home != "" && c.host.full(c.home) != it.From {
			c.relay(ctx) // so that the source is not read again
		}
	}
	var stores set.Set
	if b.Digest.InStores() {
		stores = r.targets.Ledger.Lacking(b.Digest)
		aside := r.aside.stores()
		stores.AndNot(&aside)
	}
	for first := true; ctx.Err() == nil; first = false {
		need := set.Set{}
		if first {
			need = stores
		}
		b.Into = map[int]string{}
		for _, c := range all {
			if c.begin() {
				i := r.index[c.host.name]
				need.Add(i)
				b.Into[i] = c.now.repo
			}
		}
		if need.Empty() {
			return
		}
		came := r.ensure(ctx, b, need)
		for _, c := range all {
			if err, ok := came[r.index[c.host.name]]; ok {
				c.end(ctx, err)
			}
			c.spread(ctx)
		}
	}
}

// size asks the source for the size of a blob that no manifest states.
func (r *Run) size(ctx context.Context, b transfer.Blob) (int64, error) {
	reg, repo, err := r.opt.Registries.At(b.Repository)
	if err != nil {
		return 0, err
	}
	return reg.StatBlob(ctx, repo, b.Digest)
}

// ensure brings a blob to stores and hosts. It returns when the blob is there or cannot be brought, with the result for
// each host. Stores have a time limit. Hosts have as much time as the engine gives them.
func (r *Run) ensure(ctx context.Context, b transfer.Blob, need set.Set) map[int]error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var expired, waived atomic.Bool // the stores' time is over; no host needs to be waited for
	waived.Store(len(b.Into) == 0)
	late := time.AfterFunc(r.opt.StoreTimeout, func() {
		if expired.Store(true); waived.Load() {
			cancel(errLate)
		}
	})
	defer late.Stop()
	hosts := map[int]error{}
	for res := range r.targets.Ensure(ctx, b, need) {
		if res.Target < len(r.targets.Stores) {
			r.kept(ctx, b, res, expired.Load())
			continue
		}
		hosts[res.Target] = res.Err
		if waived.Store(len(hosts) == len(b.Into)); waived.Load() && expired.Load() {
			cancel(errLate)
		}
	}
	return hosts
}

// kept handles the result of a blob in a store.
func (r *Run) kept(ctx context.Context, b transfer.Blob, res targets.Result, expired bool) {
	name := r.targets.Stores[res.Target].Name()
	late := errors.Is(res.Err, errLate)
	if ctx.Err() != nil && !late && res.Err != nil {
		return
	}
	e := Entry{Action: Stored, Store: name, Digest: b.Digest, From: b.Repository}
	if res.Err == nil {
		e.Result = res.How.String()
		r.news.add(b.Digest)
		r.tally.mu.Lock()
		r.tally.stored[res.Target]++
		r.tally.bytes[res.Target] += b.Size
		r.tally.mu.Unlock()
	}
	r.log.add(e, res.Err)
	switch {
	case res.Err == nil:
	case late && expired:
		r.aside.add(res.Target, fmt.Errorf("blob %s: %w: more than %s", b.Digest, errLate, r.opt.StoreTimeout))
	case errors.Is(res.Err, targets.ErrUnready), errors.Is(res.Err, transfer.ErrTripped):
		r.aside.add(res.Target, res.Err)
	default:
		r.tally.notice(fmt.Sprintf("store %s: %v", name, res.Err))
	}
}

// carrier brings one blob to the repositories of one host that an image goes to.
type carrier struct {
	it   *item
	blob transfer.Blob
	host *host
	home string  // a repository of the host that has the blob; "": none is known
	todo []*site // sites that do not have it, or may not
	now  *site   // the site to which the engine brings it
}

// carriers returns a carrier for each host that needs the blob.
func (it *item) carriers(b transfer.Blob) (out []*carrier) {
	from, repo, _ := promote.SplitRepository(it.From)
	for _, s := range it.living() {
		if !s.Copy {
			continue
		}
		if _, ok := it.run.held.GetIfPresent(s.Repository + "@" + b.Digest.String()); ok {
			continue
		}
		i := slices.IndexFunc(out, func(c *carrier) bool { return c.host == s.host })
		if i < 0 {
			c := &carrier{it: it, blob: b, host: s.host}
			c.home, _ = it.run.homes.GetIfPresent(s.host.name + "@" + b.Digest.String())
			if c.home == "" && from == s.host.name {
				c.home = repo
			}
			i, out = len(out), append(out, c)
		}
		out[i].todo = append(out[i].todo, s)
	}
	return out
}

// mount mounts the blob wherever that works.
func (c *carrier) mount(ctx context.Context) {
	if c.home == "" || len(c.todo) == 0 {
		return
	}
	var mu sync.Mutex
	var rest []*site
	var g errgroup.Group
	g.SetLimit(parallelSites)
	for _, s := range c.todo {
		g.Go(func() error {
			if s.repo == c.home {
				c.holds(s)
				return nil
			}
			if err := c.host.answers.err(); err != nil {
				c.it.fail(ctx, s, promote.Registry, err)
				return nil
			}
			// A failed mount is no reason to give up: without permission to read the one repository, we may still write
			// the other.
			if ok, err := c.host.mount(ctx, s.repo, c.blob.Digest, c.home); ok && err == nil {
				c.holds(s)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			rest = append(rest, s)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	slices.SortFunc(rest, func(a, b *site) int { return slices.Index(c.todo, a) - slices.Index(c.todo, b) })
	c.todo = rest
}

// holds records that a site has the blob.
func (c *carrier) holds(s *site) {
	d := c.blob.Digest.String()
	c.it.run.held.Set(s.Repository+"@"+d, struct{}{})
	c.it.run.homes.Set(c.host.name+"@"+d, s.repo)
}

// begin chooses the site to which the engine brings the blob next. It reports whether there is one.
func (c *carrier) begin() bool {
	c.now = nil
	for len(c.todo) > 0 && c.now == nil {
		s := c.todo[0]
		if c.todo = c.todo[1:]; s.failed() == nil {
			c.now = s
		}
	}
	return c.now != nil
}

// end handles the engine's result.
func (c *carrier) end(ctx context.Context, err error) {
	s := c.now
	if err == nil {
		c.home = s.repo
		c.holds(s)
		return
	}
	c.it.fail(ctx, s, c.it.classOf(err), fmt.Errorf("blob %s: %w", c.blob.Digest, err))
}

// spread brings the blob from the repository that just got it to the others: without bytes, or with bytes that the host
// itself has.
func (c *carrier) spread(ctx context.Context) {
	if c.now == nil || c.now.failed() != nil {
		return // the next site is tried
	}
	c.mount(ctx)
	c.relay(ctx)
	for _, s := range c.todo { // the blob was there just now, but cannot be read back
		c.it.fail(ctx, s, promote.Registry, fmt.Errorf("blob %s: it cannot be read from %s", c.blob.Digest, c.host.full(c.home)))
	}
	c.todo = nil
}

// relay sends the blob, read from the host itself, where it could not be mounted. If the blob cannot be read, nothing
// changes.
func (c *carrier) relay(ctx context.Context) {
	if len(c.todo) == 0 {
		return
	}
	errs, err := c.it.run.relay(ctx, c.host, c.blob, c.home, c.todo)
	if err != nil {
		c.it.run.opt.Logger.Warn("a blob cannot be read back", "repository", c.host.full(c.home), "digest", c.blob.Digest.String(), "error", err)
		return
	}
	for i, s := range c.todo {
		if errs[i] != nil {
			c.it.fail(ctx, s, promote.Registry, errs[i])
		} else {
			c.holds(s)
		}
	}
	c.todo = nil
}

// classOf returns the class of an error of a transfer. A 404 from a destination says nothing about the source.
func (it *item) classOf(err error) promote.Class {
	_, there := errors.AsType[*transfer.PlaceError](err)
	if !there && (errors.Is(err, transfer.ErrGone) || errors.Is(err, registry.ErrNotFound)) {
		return promote.SourceGone
	}
	return promote.Registry
}
