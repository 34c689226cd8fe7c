package targets

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/inventory"
	"ociproxy/internal/ledger"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
	"ociproxy/internal/transfer"
)

// Store is one store that is written to.
type Store struct {
	Config config.Store
	Bucket store.Bucket

	group       string
	where       func() string // its place in the config, for messages
	meter       *meter
	examination examination
}

// Name is the store's name in the config.
func (s *Store) Name() string { return s.Config.Name }

// located adds the place in the config to an error about the store's bucket. Errors of the ledger already have it.
func (s *Store) located(err error) error {
	if at := s.where(); at != "" && !errors.Is(err, ledger.ErrUnusable) {
		return fmt.Errorf("%w (%s)", err, at)
	}
	return err
}

// Group names the stores that may copy from each other.
func (s *Store) Group() string { return s.group }

// Requests returns how many HTTP requests were sent to the bucket; each repetition counts. A directory of files has
// none.
func (s *Store) Requests() int64 { return s.meter.requests.Load() }

// Options of [Open].
type Options struct {
	// Only names the stores to open; empty opens all that are written to.
	Only []string
	// Resting also opens stores that have a bucket and are draining or off: a blob that must be removed must be
	// removed there, too.
	Resting bool
	// Source is where blobs come from; nil when no blobs are copied.
	Source transfer.Source
	// More are places that take blobs as stores do but are not stores: no inventory records what they hold, and the
	// The set does not examine them. Their indices in sets and results follow those of the stores. With them a config
	// without stores is no error.
	More []transfer.Target
	// Wrap wraps each store's bucket, to watch it or to make it fail; nil does not.
	Wrap func(store.Bucket) store.Bucket
	// Observe receives the engine's events; nil ignores them. It is called from several goroutines and must not
	// block.
	Observe func(transfer.Event)
	// Fit is what this process already knows of stores from earlier sets; nil starts without knowledge.
	Fit    *Fit
	Logger *slog.Logger
	// Getenv reads the environment; nil is os.Getenv.
	Getenv func(string) string
}

// Set is the stores that a config names for writing. Several goroutines may call its methods.
type Set struct {
	Stores []*Store // the index of a store is that of the ledger and of every set
	Ledger *ledger.Ledger

	engine *transfer.Engine
	fit    *Fit
	log    *slog.Logger
	anon   anonymous
}

// Errors of [Open] and [Set.Ensure].
var (
	// ErrNoStores: the config has no store that is written to.
	ErrNoStores = errors.New("no store has a bucket that is written")
	// ErrUnknownStore: a name of Options.Only is not that of such a store.
	ErrUnknownStore = errors.New("no such store with a bucket that is written")
	// ErrRecord: the blob is in the store, but could not be recorded in its inventory. The next pass finds it there.
	ErrRecord = errors.New("the blob could not be recorded")
)

// Written reports whether tools write to a store: it has a bucket, and is active or being filled. A draining store is
// about to be removed and gets nothing more; a store that is off is ignored.
func Written(s *config.Store) bool {
	return s.Bucket != "" && (s.State == config.Active || s.State == config.Filling)
}

// Open opens the stores that are written to and reads their inventories. A store that cannot be opened, or whose
// inventory cannot be read, is no error: it has a fault in the ledger, which lists nothing as missing there and
// accepts nothing for it. Open does not examine buckets; the set does that before it first writes to them.
func Open(ctx context.Context, cfg *config.Config, opt Options) (*Set, error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	m := cfg.Mirror
	if !m.Enabled() {
		config.Fill(&m)
	}
	f := &Set{log: opt.Logger, fit: opt.Fit, anon: newAnonymous()}
	if f.fit == nil {
		f.fit = new(Fit)
	}
	dir, err := makeDir(cfg)
	if err != nil {
		return nil, err
	}
	if err := f.open(ctx, cfg, opt, dir); err != nil {
		return nil, err
	}
	var stores []ledger.Store
	var targets []transfer.Target
	for _, s := range f.Stores {
		stores = append(stores, ledger.Store{Name: s.Name(), Bucket: s.Bucket, Where: s.where})
		targets = append(targets, transfer.Target{
			Name: s.Name(), Group: s.group, Sink: transfer.ToBucket(s.Name(), s.Bucket, f.fit.hidden.look(s, f.Public(s))),
		})
	}
	targets = append(targets, opt.More...)
	if f.Ledger, err = ledger.Open(ctx, stores, ledger.Options{Dir: filepath.Join(dir, "inventory"), Logger: opt.Logger}); err != nil {
		return nil, err
	}
	if opt.Source != nil {
		f.engine, err = transfer.New(transfer.Options{
			Source: opt.Source, Targets: targets, Dir: filepath.Join(dir, "blobs"), SpoolBytes: int64(m.Spool.Bytes),
			Parallel: m.Parallel, CopyWithinGroup: m.Copy == config.CopyAuto, Observe: opt.Observe,
		})
	}
	if err != nil {
		return nil, errors.Join(err, f.Ledger.Close())
	}
	return f, nil
}

func (f *Set) open(ctx context.Context, cfg *config.Config, opt Options, dir string) error {
	missing := slices.Clone(opt.Only)
	for i := range cfg.Stores {
		c := &cfg.Stores[i]
		if !Written(c) && !(opt.Resting && c.Bucket != "") || len(opt.Only) > 0 && !slices.Contains(opt.Only, c.Name) {
			continue
		}
		missing = slices.DeleteFunc(missing, func(n string) bool { return n == c.Name })
		s := &Store{Config: *c, group: groupOf(cfg, c), meter: newMeter(), examination: newExamination()}
		s.where = func() string { return cfg.Where(fmt.Sprintf("stores[%d].bucket", i)) }
		b, err := store.Open(ctx, c.Bucket, store.Options{
			Owner: c.Owner, Region: RegionOf(c), Getenv: opt.Getenv, Transport: s.meter, TempDir: dir,
			Logger: f.log.With("store", c.Name), Learned: f.fit.learned(s),
		})
		if err != nil { // of this store alone: its profile, its credentials, its authorities
			b = store.Unusable(c.Bucket, fmt.Errorf("%w: %w", store.ErrUnfit, err))
		}
		if s.Bucket = b; opt.Wrap != nil {
			s.Bucket = opt.Wrap(b)
		}
		f.Stores = append(f.Stores, s)
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("store %s: %w", missing[0], ErrUnknownStore)
	case len(f.Stores) == 0 && len(opt.More) == 0:
		return ErrNoStores
	}
	return nil
}

// Public returns the store's URL as anonymous clients read it.
func (f *Set) Public(s *Store) *store.Public {
	return &store.Public{URL: s.Config.URL, Client: f.anon.client}
}

// Index returns the index of a store by its name, -1 when it is not open.
func (f *Set) Index(name string) int {
	return slices.IndexFunc(f.Stores, func(s *Store) bool { return s.Name() == name })
}

// Result is the outcome for a blob in one store.
type Result = transfer.Result

// Ensure copies a blob into the stores of need, which do not have it, and records it in the inventory of each store
// that then certainly has it. It returns as soon as the blob is on its way; it waits while there is no room for one
// more. The caller ranges over the returned sequence, once and to its end: one result for each store of need, as they
// come. ctx also ends the transfer.
//
// A store that this process has not written to yet is examined first ([Set.Preflight]).
func (f *Set) Ensure(ctx context.Context, b transfer.Blob, need set.Set) iter.Seq[Result] {
	fit, unfit := f.fitFor(ctx, need)
	var results <-chan Result
	if !fit.Empty() {
		var err error
		if results, err = f.engine.Ensure(ctx, b, fit, f.holders(b)); err != nil {
			unfit = append(unfit, failed(fit, err)...)
		}
	}
	return func(yield func(Result) bool) { f.await(ctx, b, unfit, results, yield) }
}

// failed are the results of stores that failed alike.
func failed(stores set.Set, err error) (all []Result) {
	stores.Each(func(i int) { all = append(all, Result{Target: i, Err: err}) })
	return all
}

// await passes on the results that are known, and those that come for a blob. When this call joined another caller's
// download and that caller's repository failed, it tries again with its own repository.
func (f *Set) await(ctx context.Context, b transfer.Blob, known []Result, results <-chan Result, yield func(Result) bool) {
	for {
		for _, r := range known {
			if !yield(r) {
				return
			}
		}
		if results == nil {
			return
		}
		var again set.Set
		for r := range results {
			switch {
			case r.Err == nil && r.Target < len(f.Stores):
				r.Err = f.record(ctx, r.Target, b)
			case r.Err != nil && r.Repository != b.Repository && transfer.OfSource(r.Err) && ctx.Err() == nil:
				again.Add(r.Target)
				continue
			}
			if !yield(r) {
				return
			}
		}
		known, results = nil, nil
		if !again.Empty() {
			var err error
			if results, err = f.engine.Ensure(ctx, b, again, f.holders(b)); err != nil {
				known = failed(again, err)
			}
		}
	}
}

// record records a durable blob.
func (f *Set) record(ctx context.Context, i int, b transfer.Blob) error {
	err := f.Ledger.Add(ctx, i, inventory.Record{Digest: b.Digest, Size: b.Size, Kind: inventory.Blob})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return nil
}

// holders returns the stores that already have a blob.
func (f *Set) holders(b transfer.Blob) (have set.Set) {
	for i := range f.Stores {
		if _, ok := f.Ledger.Holds(i, b.Digest); ok {
			have.Add(i)
		}
	}
	return have
}

// Begin begins a pass: stores that were put aside, or found unfit, are tried again.
func (f *Set) Begin() {
	for _, s := range f.Stores {
		s.examination.again()
	}
	f.Ledger.Begin()
	if f.engine != nil {
		f.engine.Reset()
	}
}

// Transfers returns what the engine has done; the zero value when there is no engine.
func (f *Set) Transfers() transfer.Stats {
	if f.engine == nil {
		return transfer.Stats{}
	}
	return f.engine.Stats()
}

// closing bounds what is still written after the end was asked for.
const closing = 10 * time.Second

// Close ends the transfers under way, writes what is not yet recorded, even when ctx has ended, and closes
// everything. Before that, callers must have ranged over the results of Ensure to their end. Records that cannot be
// written in ten seconds are lost. The blobs are not lost: the next pass finds them in their stores.
func (f *Set) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	var errs []error
	if f.engine != nil {
		errs = append(errs, f.engine.Close(ctx))
	}
	for i, err := range f.Ledger.Flush(ctx) {
		if err != nil && f.Ledger.Fault(i) == nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, f.Ledger.Close())
	for _, s := range f.Stores {
		s.meter.close()
	}
	f.anon.close()
	return errors.Join(errs...)
}
