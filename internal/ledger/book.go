package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// book is the ledger's part for one store.
type book struct {
	index  int
	name   string
	bucket store.Bucket
	writer *write.Writer
	fault  error // set by Open

	turn chan struct{} // has one element while somebody writes

	// Guarded by the ledger's lock.
	pending  []inventory.Record
	writing  int         // notes that were pending and are on their way
	flushing bool        // something in the background will write
	timer    *time.Timer // that starts it; nil: none
	retry    time.Time   // not before this, after a failure
	failed   error       // the failure
	fails    int         // writes in a row that failed
	dropped  uint64      // generation in which images were dropped last, as known here
	swapped  time.Time   // when this ledger wrote the head last; zero: not yet
	written  time.Time   // when the head that Open read was written; zero: there was none

	opened time.Time // what written was at first, at the latest
	newest string    // the segment that the head named last; "": none
}

func (b *book) read(h *inventory.Head) {
	if h != nil {
		b.dropped, b.written, b.opened = h.ImagesDropped, h.WrittenAt, h.WrittenAt.Add(time.Second) // heads leave out what is below
		if n := len(h.Segments); n > 0 {
			b.newest = h.Segments[n-1].SHA256
		}
	}
}

// Told returns when a writer last added to what Open read of store i's inventory, or a moment after that: heads are
// also rewritten without news. Zero: the inventory is empty. Where the head is no newer than since, Told makes no
// request.
func (l *Ledger) Told(ctx context.Context, i int, since time.Time) time.Time {
	b := l.books[i]
	if b.newest == "" || !b.opened.After(since) {
		return b.opened
	}
	a, err := b.bucket.Head(ctx, key(inventory.SegmentPrefix+b.newest))
	if err != nil || a.Modified.IsZero() || a.Modified.After(b.opened) {
		return b.opened
	}
	return a.Modified
}

func (b *book) stopTimer() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

// lock waits until no other goroutine writes for this store.
func (b *book) lock(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *book) unlock() { <-b.turn }

// maxPending bounds the notes of one store that wait, in multiples of FlushRecords.
const maxPending = 32

// maxFails is how many failed writes in a row, each after some tries, put a store aside until [Ledger.Begin].
const maxFails = 2

// ErrAside says that an inventory could not be written. This pass does not try again.
var ErrAside = errors.New("the inventory could not be written, the next pass tries again")

// aside returns why nothing more is written for a store; nil: writing is allowed. The ledger's lock is held.
func (b *book) aside() error {
	if b.fails < maxFails {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrAside, b.failed)
}

// Begin begins a pass: stores that were put aside are tried again.
func (l *Ledger) Begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.books {
		b.fails = 0
		l.schedule(b)
	}
}

// Add notes that store i holds blobs, and has complete images. The notes count at once. They are durable after the
// next flush, which happens automatically by count and by time. Notes that could not be written wait for the next
// flush. When too many wait, Add waits too, unless the last try has just failed. A store for which that happened
// twice in a row takes no more notes in this pass: the error wraps [ErrAside]. An error says that these records were
// not taken.
//
// A blob must be durable in the store before it is noted, and all blobs of an image before the image is noted.
func (l *Ledger) Add(ctx context.Context, i int, records ...inventory.Record) error {
	b := l.books[i]
	if b.fault != nil {
		return b.fault
	}
	for _, r := range records {
		if r.Kind != inventory.Blob && r.Kind != inventory.Image {
			return fmt.Errorf("store %s: add a %v: only blobs and images are added", b.name, r.Kind)
		}
		if err := r.Check(); err != nil {
			return fmt.Errorf("store %s: %w", b.name, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := b.aside(); err != nil {
		return err
	}
	for len(b.pending)+b.writing >= maxPending*l.opt.FlushRecords {
		if time.Now().Before(b.retry) { // who waits here for one store, keeps others from theirs
			return fmt.Errorf("too many notes wait to be written: %w", b.failed)
		}
		l.mu.Unlock()
		err := l.flush(ctx, b)
		l.mu.Lock()
		if err != nil {
			return fmt.Errorf("too many notes wait to be written: %w", err)
		}
	}
	if l.closed {
		return ErrClosed
	}
	for _, r := range records {
		x := l.class(r.Kind)
		if stores, size := x.get(r.Digest); stores.Has(i) && size == r.Size {
			continue // noted already
		}
		x.add(i, r.Digest, r.Size)
		b.pending = append(b.pending, r)
		x.relieve(l.log)
	}
	l.schedule(b)
	return nil
}

func (l *Ledger) class(k inventory.Kind) *index {
	if k == inventory.Image {
		return l.images
	}
	return l.blobs
}

// schedule makes sure that pending notes get written. The lock is held.
func (l *Ledger) schedule(b *book) {
	switch {
	case l.closed || b.flushing || len(b.pending) == 0 || b.fails >= maxFails:
	case len(b.pending) >= l.opt.FlushRecords && !time.Now().Before(b.retry):
		l.start(b)
	case b.timer == nil:
		b.timer = time.AfterFunc(l.opt.FlushEvery, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if b.timer = nil; !l.closed && !b.flushing {
				l.start(b)
			}
		})
	}
}

// start writes in the background. The lock is held.
func (l *Ledger) start(b *book) {
	b.stopTimer()
	b.flushing = true
	l.background.Go(func() {
		err := l.flush(l.ctx, b)
		l.mu.Lock()
		defer l.mu.Unlock()
		b.flushing = false
		if err != nil && l.ctx.Err() == nil {
			l.log.Warn("notes about a store could not be written, they wait", "store", b.name, "records", len(b.pending), "error", err.Error())
		}
		l.schedule(b)
	})
}

// Flush makes everything durable that was added before. The errors are by store, nil for a store with nothing left to
// write. Notes that could not be written stay; they are tried again once, and in the next pass. For a store with a
// fault, the error is that fault.
func (l *Ledger) Flush(ctx context.Context) []error {
	return l.forAll(func(b *book) error { return l.flush(ctx, b) })
}

// FlushStore is [Ledger.Flush] for store i alone. It waits for no other store.
func (l *Ledger) FlushStore(ctx context.Context, i int) error {
	b := l.books[i]
	if b.fault != nil {
		return b.fault
	}
	return l.flush(ctx, b)
}

// forAll does f for all usable stores at once.
func (l *Ledger) forAll(f func(*book) error) []error {
	errs := make([]error, len(l.books))
	var wg sync.WaitGroup
	for i, b := range l.books {
		if errs[i] = b.fault; b.fault == nil {
			wg.Go(func() { errs[i] = f(b) })
		}
	}
	wg.Wait()
	return errs
}

// flush writes what is pending, if anything is.
func (l *Ledger) flush(ctx context.Context, b *book) error {
	if err := b.lock(ctx); err != nil {
		return fmt.Errorf("store %s: %w", b.name, err)
	}
	defer b.unlock()
	return l.write(ctx, b, false)
}

// write writes what is pending; with rewrite, also when nothing is. It is the caller's turn.
func (l *Ledger) write(ctx context.Context, b *book, rewrite bool) error {
	l.mu.Lock()
	if err := b.aside(); err != nil {
		l.mu.Unlock()
		return err
	}
	batch := b.pending
	b.pending, b.writing = nil, len(batch)
	l.mu.Unlock()
	if len(batch) == 0 && !rewrite {
		return nil
	}
	h, err := b.writer.Apply(ctx, batch...)
	l.mu.Lock()
	defer l.mu.Unlock()
	b.writing = 0
	if err != nil {
		if ctx.Err() == nil { // else it says nothing about the store
			b.fails++
		}
		b.pending = append(batch, b.pending...)
		b.retry, b.failed = time.Now().Add(l.opt.FlushEvery), fmt.Errorf("store %s: %w", b.name, err)
		l.schedule(b)
		return b.failed
	}
	b.retry, b.failed, b.fails, b.swapped = time.Time{}, nil, 0, time.Now()
	l.lost(b, h)
	return nil
}

// lost notices that another writer has removed something: then images do not count. The lock is held.
func (l *Ledger) lost(b *book, h *inventory.Head) {
	if h.ImagesDropped != b.dropped { // lower: the inventory was begun again
		b.dropped = h.ImagesDropped
		l.images.drop(b.index)
		l.log.Info("another writer has removed blobs from a store: its images are looked at again in the next pass", "store", b.name)
	}
}

// Finish ends a pass. It flushes, and rewrites the time of every usable store's inventory, so that readers keep
// believing it. Where nothing was added, that is one request. Where there is no inventory, it is none: perhaps it was
// never checked that the bucket is ours. The first pass of a day (UTC) also removes old segments. Errors are as those
// of [Ledger.Flush].
func (l *Ledger) Finish(ctx context.Context) []error {
	return l.forAll(func(b *book) error {
		if err := b.lock(ctx); err != nil {
			return fmt.Errorf("store %s: %w", b.name, err)
		}
		defer b.unlock()
		l.mu.RLock()
		there := !b.written.IsZero() || !b.swapped.IsZero()
		l.mu.RUnlock()
		if err := l.write(ctx, b, there); err != nil {
			return err
		}
		l.mu.Lock()
		if b.swapped.IsZero() {
			l.mu.Unlock()
			return nil
		}
		now := l.opt.Now().UTC()
		due := !b.written.IsZero() && b.written.UTC().Truncate(day).Before(now.Truncate(day))
		b.written = now
		l.mu.Unlock()
		if due {
			if _, err := b.writer.Clean(ctx); err != nil { // the next day's first pass tries again
				l.log.Warn("old segments could not be removed", "store", b.name, "error", err.Error())
			}
		}
		return nil
	})
}

const day = 24 * time.Hour

// keepEvery is how old Keep lets the time of an inventory become: far below the age at which servers consider it
// stale.
const keepEvery = 15 * time.Minute

// Keep rewrites the time of existing inventories until ctx ends. A pass may take days, and readers stop believing an
// inventory that is not rewritten. An inventory that gets notes is rewritten with them.
func (l *Ledger) Keep(ctx context.Context) {
	for range wait.Every(ctx, keepEvery) {
		l.forAll(func(b *book) error {
			if err := l.keep(ctx, b); err != nil && ctx.Err() == nil {
				l.log.Warn("the time of an inventory could not be rewritten", "store", b.name, "error", err.Error())
			}
			return nil
		})
	}
}

func (l *Ledger) keep(ctx context.Context, b *book) error {
	l.mu.RLock()
	due := !b.written.IsZero() && time.Since(b.swapped) >= keepEvery
	l.mu.RUnlock()
	if !due {
		return nil
	}
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.unlock()
	return l.write(ctx, b, true)
}

// Remove removes blobs from the inventory of store i. It is durable on return. Then wait until every reader has seen
// it, and delete the blobs. It is not known which images miss one of them, so no image counts as complete in this
// store until a pass has walked it again. After an error it is not known whether the inventory still lists the blobs:
// call Remove again.
func (l *Ledger) Remove(ctx context.Context, i int, digests ...oci.Digest) error {
	b := l.books[i]
	if b.fault != nil {
		return b.fault
	}
	if err := b.lock(ctx); err != nil {
		return fmt.Errorf("store %s: %w", b.name, err)
	}
	defer b.unlock()
	l.forget(b, digests)
	h, err := b.writer.Remove(ctx, digests...)
	if err != nil {
		return fmt.Errorf("store %s: %w", b.name, err)
	}
	l.forget(b, digests) // also what was noted meanwhile
	l.mu.Lock()
	defer l.mu.Unlock()
	b.dropped = h.ImagesDropped
	return nil
}

// forget drops what is known and noted of some blobs and of all images of a store.
func (l *Ledger) forget(b *book, digests []oci.Digest) {
	gone := make(map[oci.Digest]bool, len(digests))
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range digests {
		gone[d] = true
		l.blobs.remove(b.index, d)
	}
	l.images.drop(b.index)
	b.pending = slices.DeleteFunc(b.pending, func(r inventory.Record) bool { return r.Kind == inventory.Image || gone[r.Digest] })
}
