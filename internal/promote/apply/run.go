package apply

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"ociproxy/internal/inventory/write"
	"ociproxy/internal/lease"
	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
	"ociproxy/internal/targets"
	"ociproxy/internal/transfer"
	"ociproxy/internal/walk"
)

// Run is one application of a plan.
type Run struct {
	opt     Options
	plan    *Plan
	targets *targets.Set
	hosts   map[string]*host
	index   map[string]int // of hosts, in the engine's list of targets
	read    time.Time      // everything in the inventories was written before this
	settle  time.Duration
	log     *journal
	lease   *lease.Lease
	stop    context.CancelCauseFunc
	tally   tally

	aside asides // stores that get nothing more
	turns turns  // blobs in work
	news  news   // blobs that stores got in this run

	oldNews struct {
		once sync.Once
		at   time.Time
	}

	homes *otter.Cache[string, string]   // host@digest: a repository that has it
	held  *otter.Cache[string, struct{}] // repository@digest: the repository has it

	mu      sync.Mutex
	closers map[string]*walk.Closer // by host of the source
	tags    map[string]*listing     // tags about digests, by repository of the source
}

// remembered bounds what a run remembers about where blobs are. It asks again for what it forgot.
const remembered = 200_000

// Open opens the stores and the registries that a plan is about. Close ends it.
func Open(ctx context.Context, p *Plan, opt Options) (*Run, error) {
	opt.setDefaults()
	r := &Run{
		opt: opt, plan: p, hosts: map[string]*host{}, index: map[string]int{},
		closers: map[string]*walk.Closer{}, tags: map[string]*listing{},
	}
	r.lease = lease.New(lease.Options{
		Prefix: leasePrefix, Name: opt.Lease, Who: opt.Who, Plan: p.Hash, TTL: opt.TTL, Logger: opt.Logger,
	})
	r.settle = DefaultSettle(opt.Config)
	if opt.Settle != nil {
		r.settle = *opt.Settle
	}
	r.log = &journal{run: rand.Text()[:12], who: opt.Who, plan: p.Hash, w: opt.Audit}
	var err error
	if r.homes, err = otter.New(&otter.Options[string, string]{MaximumSize: remembered}); err == nil {
		r.held, err = otter.New(&otter.Options[string, struct{}]{MaximumSize: remembered})
	}
	if err != nil {
		return nil, err
	}
	var more []transfer.Target
	for _, name := range p.Hosts {
		reg, _, err := opt.Registries.At(name + "/x")
		if err != nil {
			return nil, err
		}
		h := &host{name: name, reg: reg, log: r.log, may: r.may}
		r.hosts[name] = h
		more = append(more, transfer.Target{Name: h.name, Sink: h})
	}
	r.targets, err = targets.Open(write.WithPatience(ctx, opt.StoreTimeout), opt.Config, targets.Options{
		Source: walk.Blobs(opt.Registries.At), More: more, Wrap: opt.Wrap, Logger: opt.Logger, Getenv: opt.Getenv,
	})
	if errors.Is(err, targets.ErrNoStores) {
		return r, nil // there are no destinations either: the plan is empty
	}
	if err != nil {
		return nil, err
	}
	r.read = time.Now()
	for i, name := range p.Hosts {
		r.index[name] = len(r.targets.Stores) + i
	}
	n := len(r.targets.Stores)
	r.tally.behind, r.tally.stored, r.tally.bytes = make([]int64, n), make([]int64, n), make([]int64, n)
	return r, nil
}

// Close ends running work, and writes what is not recorded yet.
func (r *Run) Close(ctx context.Context) error {
	if r.targets == nil {
		return nil
	}
	return r.targets.Close(ctx)
}

// may returns why nothing may be written: the run ends, or its lease is in doubt.
func (r *Run) may(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.lease.Check(); err != nil {
		r.stop(err)
		return err
	}
	return nil
}

// asides are the stores that get nothing, or nothing more, in a run, and why.
type asides struct {
	mu  sync.Mutex
	out set.Set
	why map[int]error
}

func (a *asides) add(i int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.out.Add(i); a.why == nil {
		a.why = map[int]error{}
	}
	if a.why[i] == nil {
		a.why[i] = err
	}
}

func (a *asides) stores() set.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out
}

func (a *asides) err(i int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.why[i]
}

// news are the blobs that some store got in this run. Proxies may not know them yet.
type news struct {
	mu    sync.Mutex
	blobs map[oci.Digest]struct{}
}

func (n *news) add(d oci.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.blobs == nil {
		n.blobs = map[oci.Digest]struct{}{}
	}
	n.blobs[d] = struct{}{}
}

func (n *news) has(d oci.Digest) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.blobs[d]
	return ok
}

// examination limits how long a store may take to show that it can be written.
const examination = 2 * time.Minute

// examine finds out which stores can be written, all at once.
func (r *Run) examine(ctx context.Context) {
	var work sync.WaitGroup
	for i := range r.targets.Stores {
		work.Go(func() {
			ctx, cancel := context.WithTimeoutCause(ctx, min(examination, r.opt.StoreTimeout), errLate)
			defer cancel()
			if err := r.targets.Preflight(ctx, i); err != nil {
				r.aside.add(i, err)
			}
		})
	}
	work.Wait()
}

// errLate says that the run waited long enough for a store.
var errLate = errors.New("it took too long")

// leasePrefix is the prefix of leases in a store, next to the inventory.
const leasePrefix = "promote/"

// takeLease keeps other runs away: by objects in the first stores, or, if there are no stores, by a file on this
// machine. The file only separates runs on the same machine.
func (r *Run) takeLease(ctx context.Context) error {
	var all []store.Bucket
	for i, s := range r.targets.Stores {
		if r.aside.err(i) == nil {
			all = append(all, s.Bucket)
		}
	}
	if len(r.targets.Stores) == 0 {
		dir, err := filepath.Abs(filepath.Join(targets.Dir(r.opt.Config), "lease"))
		if err == nil {
			err = os.MkdirAll(dir, 0o700)
		}
		if err != nil {
			return fmt.Errorf("take the lease: %w", err)
		}
		b, err := store.Open(ctx, "file://"+filepath.ToSlash(dir), store.Options{})
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return fmt.Errorf("take the lease: %w", r.aside.err(0))
	}
	return r.lease.Take(ctx, all...)
}
