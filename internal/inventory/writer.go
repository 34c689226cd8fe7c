package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Writer changes the inventory in one bucket. Any number of writers, in any number of processes, may work on the same bucket
// at once; each change is a new immutable segment, then one compare-and-swap of the head. Whatever fails in
// between, the head names only segments that are there, and nothing that was acknowledged is lost.
type Writer struct {
	bucket Bucket
	opt    WriterOptions
}

// WriterOptions configure a [Writer].
type WriterOptions struct {
	Store string // id of the store whose inventory this is; required
	// TempDir is for segments on their way; "" is the system's.
	TempDir string
	// Attempts bounds how often a change is tried when others interfere or the bucket fails; default 10.
	Attempts int
	// Now tells the time; default [time.Now].
	Now func() time.Time
}

// NewWriter makes a writer. It does not touch the bucket: the first change makes the head where there is none.
func NewWriter(bucket Bucket, opt WriterOptions) *Writer {
	if opt.Attempts <= 0 {
		opt.Attempts = 10
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Writer{bucket: bucket, opt: opt}
}

// Apply writes records, tombstones included, over all that was written before. Of several records of one digest the
// last counts. Without records it only rewrites the head's time, which every pass of a mirror should do:
// readers stop believing a head that nobody rewrites.
//
// A blob must be in the store before its record is written, and a tombstone before the blob is deleted. After an
// error it is not known whether the records are written: call it again.
func (w *Writer) Apply(ctx context.Context, records ...Record) (*Head, error) {
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
	a := &appending{w: w, spools: spools}
	h, err := w.change(ctx, a)
	if errors.Is(err, errFull) {
		if _, err := w.Compact(ctx); err != nil {
			return nil, err
		}
		h, err = w.change(ctx, a)
	}
	if err == nil && len(h.Segments) > compactAbove {
		if c, err := w.Compact(ctx); err == nil { // else the next change tries again, long before the head is full
			h = c
		}
	}
	return h, err
}

var errFull = errors.New("the head is full")

// Head reads the head as it is now. The error is ErrNotFound when there is none, ErrForeign when it is another store's.
func (w *Writer) Head(ctx context.Context) (*Head, error) {
	h, _, err := w.read(ctx)
	return h, err
}

// edit is a change of the head.
type edit interface {
	// done reports whether h, read after an attempt whose outcome is unknown, has the change; tried is what
	// the attempt started from.
	done(tried, h *Head) bool
	// next returns the segments that follow those of h. It uploads what is missing. errNothing: there is nothing to do.
	next(ctx context.Context, h *Head) ([]SegmentRef, error)
}

var errNothing = errors.New("nothing to do")

// changeTime bounds one change. A segment that is in no head is removed after days: by then its writer has given up.
const changeTime = 12 * time.Hour

// change applies e to the head, again and again until it is the one who swapped it.
func (w *Writer) change(ctx context.Context, e edit) (*Head, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	var tried *Head // the head that the last attempt started from; its outcome is unknown
	var last error
	for attempt := range w.opt.Attempts {
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return nil, errors.Join(err, last)
			}
		}
		h, version, err := w.readOrNew(ctx)
		if err != nil {
			if errors.Is(err, ErrForeign) || errors.Is(err, ErrHead) {
				return nil, err // trying again does not help
			}
			last = err
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
		case errors.Is(err, ErrSegment) || errors.Is(err, ErrHead) || errors.Is(err, errFull):
			return nil, err
		}
		// Even a conflict may be one with an earlier try of ours, made again below the bucket's interface.
		tried, last = h, err
	}
	return nil, fmt.Errorf("write inventory of %s: gave up after %d attempts: %w", w.opt.Store, w.opt.Attempts, last)
}

// attempt swaps the head once.
func (w *Writer) attempt(ctx context.Context, e edit, h *Head, version string) (*Head, error) {
	segments, err := e.next(ctx, h)
	if err != nil {
		return nil, err
	}
	next := &Head{
		Version: headVersion, Store: w.opt.Store, Generation: h.Generation + 1,
		WrittenAt: w.opt.Now().UTC().Truncate(time.Second), Segments: segments,
	}
	body, err := next.encode()
	if err != nil {
		return nil, err
	}
	err = w.bucket.Put(ctx, HeadName, Object{
		Body: bytes.NewReader(body), Size: int64(len(body)), ContentType: "application/json", CacheControl: "no-cache",
	}, version)
	if err != nil {
		return nil, fmt.Errorf("put %s: %w", HeadName, err)
	}
	return next, nil
}

// readOrNew reads the head, or makes up an empty one, whose version is "". Generations start at the time in seconds: an inventory
// made anew in an emptied bucket is above the one that was there.
func (w *Writer) readOrNew(ctx context.Context) (*Head, string, error) {
	h, version, err := w.read(ctx)
	if errors.Is(err, ErrNotFound) {
		return &Head{Generation: uint64(w.opt.Now().Unix())}, "", nil
	}
	return h, version, err
}

func (w *Writer) read(ctx context.Context) (*Head, string, error) {
	body, version, err := w.bucket.Get(ctx, HeadName)
	if err != nil {
		return nil, "", fmt.Errorf("get %s: %w", HeadName, err)
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, MaxHeadBytes+1))
	if err != nil {
		return nil, "", fmt.Errorf("get %s: %w", HeadName, err)
	}
	h, err := ParseHead(raw)
	if err != nil {
		return nil, "", fmt.Errorf("get %s: %w", HeadName, err)
	}
	if h.Store != w.opt.Store {
		return nil, "", fmt.Errorf("get %s: %w: it says %.80q, expected %q", HeadName, ErrForeign, h.Store, w.opt.Store)
	}
	return h, version, nil
}

// appending is the edit of Apply.
type appending struct {
	w      *Writer
	spools []*spool
	there  map[string]bool // segments that this edit has uploaded
}

// done: the new segments are in h and were not before.
func (a *appending) done(tried, h *Head) bool {
	for _, s := range a.spools {
		if tried.has(s.ref.SHA256) || !h.has(s.ref.SHA256) {
			return false
		}
	}
	return h.Generation > tried.Generation // somebody has rewritten it, for an Apply without records that is all
}

func (a *appending) next(ctx context.Context, h *Head) ([]SegmentRef, error) {
	var segments []SegmentRef
	for _, s := range a.spools {
		if !h.has(s.ref.SHA256) {
			if err := a.upload(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	// A segment that is listed already moves to the end: there it overrides what came in between.
	mine := &Head{}
	for _, s := range a.spools {
		mine.Segments = append(mine.Segments, s.ref)
	}
	for _, ref := range h.Segments {
		if !mine.has(ref.SHA256) {
			segments = append(segments, ref)
		}
	}
	segments = append(segments, mine.Segments...)
	if len(segments) > MaxSegments {
		return nil, fmt.Errorf("%w: %d segments", errFull, len(segments))
	}
	if segments == nil {
		segments = []SegmentRef{}
	}
	return segments, nil
}

func (a *appending) upload(ctx context.Context, s *spool) error {
	if a.there[s.ref.SHA256] {
		return nil
	}
	if err := a.w.upload(ctx, s); err != nil {
		return err
	}
	if a.there == nil {
		a.there = map[string]bool{}
	}
	a.there[s.ref.SHA256] = true
	return nil
}

// upload puts a segment under a name that nobody else uses. An object of the same content that is in no head may be
// about to be removed as an orphan: it is left alone, and the nonce makes another name. So is our own after a
// failure that may have been none.
func (w *Writer) upload(ctx context.Context, s *spool) error {
	for {
		err := w.bucket.Put(ctx, SegmentPrefix+s.ref.SHA256, s.object(), "")
		if !errors.Is(err, ErrExists) {
			if err != nil {
				return fmt.Errorf("put segment: %w", err)
			}
			return nil
		}
		if err := s.seal(rand.Uint32()); err != nil {
			return err
		}
	}
}

// pause waits before attempt n, from 1: up to 50 ms, doubled each time up to 5 s, at random, so that writers do not
// meet again.
func pause(ctx context.Context, n int) error {
	most := min(50*time.Millisecond<<min(n-1, 10), 5*time.Second)
	t := time.NewTimer(rand.N(most))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
