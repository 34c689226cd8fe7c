package ledger

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

// RebuildOptions says how to rebuild an inventory.
type RebuildOptions struct {
	// DryRun changes nothing.
	DryRun bool
	// Force begins a new inventory where the old one cannot be read: broken, another store's, a segment missing or damaged.
	Force bool
	// Deny reports which blobs must never be listed although they are there: they are about to be deleted. nil: none.
	Deny func(oci.Digest) bool
	// Look asks as an anonymous client whether it gets a blob of size bytes unchanged ([store.Public.Look]). The
	// rebuild calls it for each blob that the inventory does not list yet. nil: only the bucket's owner reads there.
	Look func(ctx context.Context, d oci.Digest, size int64) error
	// Progress receives the state at intervals, from one goroutine at a time. nil: it is not called.
	Progress func(Rebuilt)
}

// Rebuilt is what a rebuild found and did.
type Rebuilt struct {
	Blobs      int64 `json:"blobs"`      // that the bucket has, for everybody
	Bytes      int64 `json:"bytes"`      // of those
	Added      int64 `json:"added"`      // blobs that the inventory did not list
	Resized    int64 `json:"resized"`    // blobs that it listed with another size
	Removed    int64 `json:"removed"`    // blobs that it listed and the bucket has not, or not for everybody
	Denied     int64 `json:"denied"`     // blobs that the bucket has and that are not to be listed
	Unreadable int64 `json:"unreadable"` // objects that clients would not get as they are or that are wrong, which are not listed
	Unexpected int64 `json:"unexpected"` // objects among the blobs whose name is no digest
	// Hidden are the first of the unreadable objects.
	Hidden []Hidden `json:"unreadableBlobs"`
	// Keys are the first of the unexpected objects.
	Keys []string `json:"unexpectedKeys"`
	// Replaces says that the old inventory could not be read and was replaced.
	Replaces bool `json:"anew"`
}

// Hidden is an object that clients would not get unchanged, or whose content does not match its name.
type Hidden struct {
	Digest oci.Digest `json:"digest"`
	Why    string     `json:"why"`
}

// maxKeys bounds Rebuilt.Keys and Rebuilt.Hidden.
const maxKeys = 100

// Changes returns the number of errors in the inventory.
func (r *Rebuilt) Changes() int64 { return r.Added + r.Resized + r.Removed }

// HeadsAtOnce is how many single blobs a rebuild asks for at once.
const HeadsAtOnce = 32

// Bounds of a rebuild.
const (
	spansAtOnce  = 8
	changesOnce  = 20_000 // records in one change
	progressStep = 1000   // objects
)

// Rebuild makes the inventory of store i list what its bucket has. A listing says what may be there. Where it does
// not agree with the inventory, Rebuild asks the bucket for the object itself, and asks as an anonymous client, too,
// for one that is to be listed. It does not read contents. Blobs that other writers record meanwhile stay recorded:
// Rebuild only removes what the inventory listed at the start, and only after it asked the bucket once more. Removing
// or resizing a blob drops all images of the store, so that the next pass walks them again. A [Ledger] whose store
// had a fault does not see the new inventory: open another one.
func (l *Ledger) Rebuild(ctx context.Context, i int, opt RebuildOptions) (Rebuilt, error) {
	b := l.books[i]
	r := &rebuild{l: l, b: b, opt: opt}
	r.found.Keys, r.found.Hidden = []string{}, []Hidden{}
	r.found.Replaces = b.fault != nil
	if b.fault != nil && !opt.Force {
		return r.found, b.fault
	}
	if b.fault != nil {
		r.table = &inventory.Table{}
	} else {
		if err := l.flush(ctx, b); err != nil {
			return r.found, err
		}
		l.mu.Lock()
		err := l.blobs.fold()
		r.table = l.blobs.table
		l.mu.Unlock()
		if err != nil {
			return r.found, err
		}
	}
	err := r.run(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		return r.found, fmt.Errorf("rebuild the inventory of %s: %w", b.name, err)
	}
	return r.found, nil
}

// rebuild is one run of Rebuild.
type rebuild struct {
	l     *Ledger
	b     *book
	opt   RebuildOptions
	table *inventory.Table // what the inventory said at the start

	mu      sync.Mutex
	found   Rebuilt
	added   []inventory.Record
	removed []oci.Digest
	begun   bool // a new inventory was begun
}

func (r *rebuild) run(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	questions := make(chan struct{}, HeadsAtOnce)
	later := func(ask func(context.Context) error) error {
		select {
		case <-gctx.Done():
			return gctx.Err()
		case questions <- struct{}{}:
		}
		group.Go(func() error {
			defer func() { <-questions }()
			return ask(gctx)
		})
		return nil
	}
	listings := make(chan struct{}, spansAtOnce)
	for _, s := range spans() {
		group.Go(func() error {
			listings <- struct{}{}
			defer func() { <-listings }()
			return r.span(gctx, s, later)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finish(ctx)
}

// span compares a listing with what the inventory said, digest by digest. later does what asks the bucket for single objects.
func (r *rebuild) span(ctx context.Context, s span, later func(func(context.Context) error) error) error {
	missing := func(d oci.Digest) error {
		return later(func(ctx context.Context) error { return r.ask(ctx, d) })
	}
	recorded := r.recorded(s)
	next, stop := iter.Pull2(recorded)
	defer stop()
	d, size, more := next()
	for o, err := range s.list(ctx, r.b.bucket) {
		if err != nil {
			return err
		}
		if o.digest.IsZero() {
			r.unexpected(o.Key)
			continue
		}
		for ; more && d.String() < o.digest.String(); d, size, more = next() {
			if err := missing(d); err != nil {
				return err
			}
		}
		was := int64(-1)
		if more && d == o.digest {
			was = size
			d, size, more = next()
		}
		if err := r.there(ctx, o, was, later); err != nil {
			return err
		}
	}
	for ; more; d, _, more = next() {
		if err := missing(d); err != nil {
			return err
		}
	}
	return nil
}

// recorded is what the inventory said about a span.
func (r *rebuild) recorded(s span) iter.Seq2[oci.Digest, int64] {
	return func(yield func(oci.Digest, int64) bool) {
		if s.prefix == "" {
			return
		}
		for d, e := range r.table.Prefix(s.prefix) {
			if e.Stores.Has(r.b.index) && !yield(d, e.Size) {
				return
			}
		}
	}
}

// full writes when enough has come together. The lock is held.
func (r *rebuild) full(ctx context.Context) error {
	if len(r.added)+len(r.removed) < changesOnce {
		return nil
	}
	return r.write(ctx)
}

// finish writes what is left. The lock is held.
func (r *rebuild) finish(ctx context.Context) error {
	if err := r.write(ctx); err != nil || r.opt.DryRun {
		return err
	}
	switch {
	case r.b.fault != nil && !r.begun: // an empty bucket
		_, err := r.b.writer.Restart(ctx)
		return err
	case r.b.fault != nil:
		return nil
	case r.found.Resized > 0 && r.found.Removed == 0:
		return r.l.Remove(ctx, r.b.index)
	}
	if err := r.b.lock(ctx); err != nil {
		return err
	}
	defer r.b.unlock()
	return r.l.write(ctx, r.b, true)
}

// write changes the inventory. The lock is held.
func (r *rebuild) write(ctx context.Context) (err error) {
	added, removed := r.added, r.removed
	r.added, r.removed = nil, nil
	if r.opt.DryRun {
		return nil
	}
	if len(removed) > 0 && r.b.fault == nil {
		if err := r.l.Remove(ctx, r.b.index, removed...); err != nil {
			return err
		}
	}
	switch {
	case len(added) == 0:
		return nil
	case r.b.fault == nil:
		return r.l.record(ctx, r.b, added)
	case !r.begun:
		_, err = r.b.writer.Restart(ctx, added...)
		r.begun = err == nil
	default:
		_, err = r.b.writer.Apply(ctx, added...)
	}
	return err
}

// record writes blobs at once, without waiting for others.
func (l *Ledger) record(ctx context.Context, b *book, records []inventory.Record) error {
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.unlock()
	h, err := b.writer.Apply(ctx, records...)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.blobs.add(b.index, r.Digest, r.Size)
	}
	l.lost(b, h)
	l.blobs.relieve(l.log)
	return nil
}
