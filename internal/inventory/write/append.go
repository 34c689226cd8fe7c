package write

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/wait"
)

// appending is the edit of Apply, Remove and Restart.
type appending struct {
	w       *Writer
	drop    bool      // remove all images
	all     bool      // remove everything
	began   time.Time // by the clock that writes heads
	spools  []*spool
	sent    []*spool               // spools of the last attempt
	there   map[string]bool        // segments that this edit has uploaded
	dropped []inventory.SegmentRef // segments that the last attempt left out
}

func (a *appending) replaces() bool { return a.all }

// done: the swap was one step, so any new segment that was not in the head before proves it. It is not enough to look
// whether h lists the segment: a compaction may have merged it since, and appending it again would override later
// changes.
func (a *appending) done(tried, h *inventory.Head) bool {
	for _, s := range a.sent {
		if !tried.Had(s.ref.SHA256) && h.Had(s.ref.SHA256) {
			return true
		}
	}
	switch {
	case len(a.spools) > 0 || a.all:
		return false
	case a.drop:
		return h.ImagesDropped > tried.ImagesDropped
	default: // another writer has rewritten the head: that is all that an Apply without records needs
		return h.Generation > tried.Generation && !h.WrittenAt.Before(a.began)
	}
}

func (a *appending) next(ctx context.Context, h, next *inventory.Head) error {
	a.sent, a.dropped = nil, nil
	outdated := a.w.outdated(h)
	for _, s := range a.spools {
		if s.header.Images() && outdated {
			continue
		}
		if a.all || !h.Has(s.ref.SHA256) {
			if err := a.upload(ctx, s); err != nil {
				return err
			}
		}
		a.sent = append(a.sent, s)
	}
	mine := &inventory.Head{}
	for _, s := range a.sent {
		mine.Segments = append(mine.Segments, s.ref)
	}
	for _, ref := range h.Segments {
		switch {
		case mine.Has(ref.SHA256):
			// It moves to the end, where it overrides what came in between.
		case a.all || a.drop && ref.Images():
			a.dropped = append(a.dropped, ref)
		default:
			next.Segments = append(next.Segments, ref)
		}
	}
	next.Segments = append(next.Segments, mine.Segments...)
	if a.drop {
		next.ImagesDropped = next.Generation
	}
	if len(next.Segments) > inventory.MaxSegments {
		return fmt.Errorf("%w: %d segments", errFull, len(next.Segments))
	}
	return nil
}

// retire marks the segments that the edit took out of the head.
func (a *appending) retire(ctx context.Context, h *inventory.Head) {
	for _, ref := range a.dropped {
		if !h.Has(ref.SHA256) {
			a.w.retire(ctx, ref.SHA256)
		}
	}
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

// upload puts a segment under a name that no other writer uses. An object of the same content that is in no head may
// be about to be removed as an orphan. upload leaves it alone and uses the nonce to make another name. It does the
// same with our own object after a failure that may have been none.
func (w *Writer) upload(ctx context.Context, s *spool) error {
	for {
		_, err := w.bucket.Put(ctx, inventory.SegmentPrefix+s.ref.SHA256, s.object(), "")
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

// pause waits before attempt n, from 1: up to 50 ms, doubled each time up to 5 s. The time is random, so that writers
// do not collide again.
func pause(ctx context.Context, n int) error {
	if wait.For(ctx, rand.N(wait.Doubled(50*time.Millisecond, n-1, 5*time.Second))) != nil {
		return ctx.Err()
	}
	return nil
}
