package write

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

// Writer changes the inventory in one bucket. Any number of writers, in any number of processes, may work on the same
// bucket at once. Each change is a new immutable segment, then one compare-and-swap of the head. Whatever fails in
// between, the head names only segments that are there, and no acknowledged change is lost.
type Writer struct {
	bucket Bucket
	opt    Options

	mu    sync.Mutex
	known known
	since *uint64 // generation of the head that the caller has seen; nil: none
}

// Options configure a [Writer].
type Options struct {
	Store string // id of the store whose inventory this is; required
	// TempDir is for segments on their way; "" is the system's.
	TempDir string
	// Attempts bounds how often a change is tried when other writers interfere; default 10. A bucket that fails three
	// times in a row ends it earlier: the bucket has already tried each request several times itself.
	Attempts int
	// Now returns the time; default [time.Now].
	Now func() time.Time
}

// New makes a writer. It does not access the bucket: the first change makes the head where there is none.
func New(bucket Bucket, opt Options) *Writer {
	if opt.Attempts <= 0 {
		opt.Attempts = 10
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Writer{bucket: bucket, opt: opt}
}

// Apply writes records, tombstones included, over everything that was written before. Of several records of one
// digest the last counts; an image and a blob of one digest do not affect each other. Without records it only
// rewrites the head's time. Every pass of a mirror should do that: readers stop believing a head that is not
// rewritten.
//
// Write a blob to the store before its record, and a tombstone before the blob is deleted. Apply leaves out images
// when [Writer.Remove] was called, by any writer, since this writer's last [Writer.Head]: what was learned before may
// be wrong. After an error it is not known whether the records are written: call Apply again.
func (w *Writer) Apply(ctx context.Context, records ...inventory.Record) (*inventory.Head, error) {
	return w.write(ctx, &appending{w: w}, records)
}

// Remove writes tombstones and removes all images, because it is not known which of them miss a blob now. Without
// digests it only removes the images.
func (w *Writer) Remove(ctx context.Context, digests ...oci.Digest) (*inventory.Head, error) {
	records := make([]inventory.Record, len(digests))
	for i, d := range digests {
		records[i] = inventory.Record{Digest: d, Kind: inventory.Tombstone}
	}
	h, err := w.write(ctx, &appending{w: w, drop: true}, records)
	if err == nil {
		w.learnt(h)
	}
	return h, err
}

// Restart writes records in place of whatever is there: a head that cannot be read, another store's head, or a head
// whose segments are damaged.
func (w *Writer) Restart(ctx context.Context, records ...inventory.Record) (*inventory.Head, error) {
	h, err := w.write(ctx, &appending{w: w, drop: true, all: true}, records)
	if err == nil {
		w.learnt(h)
	}
	return h, err
}

func (w *Writer) write(ctx context.Context, a *appending, records []inventory.Record) (*inventory.Head, error) {
	spools, err := spoolRecords(w.opt.TempDir, records)
	if err != nil {
		return nil, err
	}
	defer closeSpools(spools)
	for _, s := range spools {
		if err := s.seal(0); err != nil {
			return nil, err
		}
	}
	a.spools, a.began = spools, w.opt.Now().UTC().Truncate(time.Second)
	h, err := w.change(ctx, a)
	if errors.Is(err, errFull) {
		if _, err := w.Compact(ctx); err != nil {
			return nil, err
		}
		h, err = w.change(ctx, a)
	}
	if err == nil && len(h.Segments) > compactAbove {
		if c, err := w.Compact(ctx); err == nil { // on an error, a later change tries again, before the head is full
			h = c
		}
	}
	if err == nil {
		a.retire(ctx, h)
	}
	return h, err
}

var errFull = errors.New("the head is full")

// Head reads the current head. The error is ErrNotFound when there is none, ErrForeign when it is another store's.
// The first change after it does not read it again.
func (w *Writer) Head(ctx context.Context) (*inventory.Head, error) {
	h, _, err := w.read(ctx)
	switch {
	case err == nil:
		w.learnt(h)
	case errors.Is(err, ErrNotFound):
		w.learnt(&inventory.Head{})
	}
	return h, err
}

// edit is a change of the head.
type edit interface {
	// done reports whether h, read after an attempt whose outcome is unknown, has the change; tried is what
	// the attempt started from.
	done(tried, h *inventory.Head) bool
	// next sets the segments of the head that follows h, and uploads what is missing. The rest of next is already
	// copied from h. errNothing: there is nothing to do.
	next(ctx context.Context, h, next *inventory.Head) error
	// replaces reports whether a head that is broken or another store's may be written over.
	replaces() bool
}

var errNothing = errors.New("nothing to do")

// changeTime limits one change. A segment that is in no head is removed after days; by then its writer has given up.
const changeTime = 12 * time.Hour

// maxFailures is how many failures in a row, not caused by other writers, end a change.
const maxFailures = 3

// change applies e to the head, and repeats that until its own swap succeeds.
func (w *Writer) change(ctx context.Context, e edit) (*inventory.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	var tried *inventory.Head // the head of the last attempt, whose outcome is unknown
	var last error
	attempts, failures := 0, 0
	for attempts < w.opt.Attempts && failures < maxFailures {
		if attempts > 0 {
			if err := pause(ctx, attempts); err != nil {
				return nil, errors.Join(err, last)
			}
		}
		attempts++
		h, version, err := w.current(ctx, e.replaces(), failures == maxFailures-1)
		if err != nil {
			if errors.Is(err, inventory.ErrForeign) || errors.Is(err, inventory.ErrHead) {
				return nil, err // another try would not help
			}
			last = err
			failures++
			continue
		}
		if tried != nil && e.done(tried, h) {
			return h, nil
		}
		next, err := w.attempt(ctx, e, h, version)
		switch {
		case err == nil:
			return next, nil
		case errors.Is(err, errNothing):
			return h, nil
		case errors.Is(err, inventory.ErrSegment) || errors.Is(err, inventory.ErrHead) || errors.Is(err, errFull):
			return nil, err
		}
		// Even a conflict may be with an earlier try of ours, repeated below the bucket's interface.
		tried, last = h, err
		if failures++; errors.Is(err, ErrConflict) || errors.Is(err, ErrExists) {
			failures = 0
		}
	}
	return nil, fmt.Errorf("write inventory of %s: gave up after %d attempts: %w", w.opt.Store, attempts, last)
}

// attempt swaps the head once.
func (w *Writer) attempt(ctx context.Context, e edit, h *inventory.Head, version string) (*inventory.Head, error) {
	now := w.opt.Now().UTC().Truncate(time.Second)
	generation := h.NextGeneration(now)
	next := &inventory.Head{
		Version: inventory.HeadVersion, Store: w.opt.Store, Generation: generation,
		WrittenAt: now, Segments: []inventory.SegmentRef{},
		Merged: slices.Clone(h.Merged), ImagesDropped: min(h.ImagesDropped, generation),
	}
	w.forget()
	if err := e.next(ctx, h, next); err != nil {
		return nil, err
	}
	body, err := next.Encode()
	if err != nil {
		return nil, err
	}
	written, err := w.bucket.Put(ctx, inventory.HeadName, Object{
		Body: bytes.NewReader(body), Size: int64(len(body)), ContentType: "application/json", CacheControl: "no-cache",
	}, version)
	if err != nil {
		return nil, fmt.Errorf("put %s: %w", inventory.HeadName, err)
	}
	w.remember(next, written)
	return next, nil
}

// known is the head as this writer saw it last. Its next change may begin there, since a swap of anything older
// fails.
type known struct {
	head    *inventory.Head // nil: nothing is known
	version string
}

func (w *Writer) remember(h *inventory.Head, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = known{h, version}
}

func (w *Writer) forget() { w.remember(nil, "") }

// learnt records that the caller's knowledge about images is from h or a later head.
func (w *Writer) learnt(h *inventory.Head) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = &h.Generation
}

// outdated reports whether what the caller knows about images is older than their last removal, or belongs to an
// inventory that was begun again since.
func (w *Writer) outdated(h *inventory.Head) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since != nil && (h.ImagesDropped > *w.since || h.Generation < *w.since)
}

// errUnread says that there is a head that cannot be read to its end: the store's own checksum may contradict it.
var errUnread = errors.New("it is there and cannot be read")

// current returns the head to start from: the known one, or one read again. Where there is none, or one that may be
// replaced, it returns an empty head. Generations start at the time in seconds, so a new inventory is above an
// earlier one. A head that cannot be read may be replaced after enough tries; last says so.
func (w *Writer) current(ctx context.Context, replaces, last bool) (*inventory.Head, string, error) {
	w.mu.Lock()
	k := w.known
	w.mu.Unlock()
	if k.head != nil {
		return k.head, k.version, nil
	}
	h, version, err := w.read(ctx)
	broken := errors.Is(err, inventory.ErrForeign) || errors.Is(err, inventory.ErrHead) ||
		last && errors.Is(err, errUnread)
	if errors.Is(err, ErrNotFound) || replaces && broken {
		return &inventory.Head{Generation: uint64(w.opt.Now().Unix())}, version, nil
	}
	return h, version, err
}

// read also returns the version of a head that is broken or another store's.
func (w *Writer) read(ctx context.Context) (*inventory.Head, string, error) {
	w.forget()
	body, version, err := w.bucket.Get(ctx, inventory.HeadName)
	if err != nil {
		return nil, "", fmt.Errorf("get %s: %w", inventory.HeadName, err)
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, inventory.MaxHeadBytes+1))
	if err != nil && ctx.Err() == nil {
		return nil, version, fmt.Errorf("get %s: %w: %w", inventory.HeadName, errUnread, err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("get %s: %w", inventory.HeadName, err)
	}
	h, err := inventory.ParseHead(raw)
	if err != nil {
		return nil, version, fmt.Errorf("get %s: %w", inventory.HeadName, err)
	}
	if h.Store != w.opt.Store {
		return nil, version, fmt.Errorf("get %s: %w: it says %.80q, expected %q", inventory.HeadName, inventory.ErrForeign, h.Store, w.opt.Store)
	}
	if err := h.CheckTime(w.opt.Now()); err != nil {
		return nil, version, fmt.Errorf("get %s: %w", inventory.HeadName, err)
	}
	w.remember(h, version)
	return h, version, nil
}
