package inventory

import (
	"context"
	"errors"
	"fmt"
)

// Hold keeps the segments that one user of a cache needs until it has built a table from them: cleaning removes them
// neither from disk nor from memory. Call [Hold.Release] at the end. Several goroutines may use the result of
// [Segments.Hold] at once.
type Hold struct {
	cache *Segments
	// turn waits until this hold may have segments in memory, and returns a function that ends that. nil: it may at
	// once.
	turn func(ctx context.Context) (end func(), err error)
	end  func() // ends its turn; nil: it has none

	names []string // hashes, each counted in the cache's held; guarded by its lock
}

// Hold returns an empty Hold.
func (c *Segments) Hold() *Hold { return c.hold(nil) }

// hold is for one goroutine at a time, unless turn is nil.
func (c *Segments) hold(turn func(context.Context) (func(), error)) *Hold {
	return &Hold{cache: c, turn: turn}
}

// add holds a segment, whether it is there or will be.
func (h *Hold) add(ref SegmentRef) {
	h.cache.mu.Lock()
	defer h.cache.mu.Unlock()
	h.names = append(h.names, ref.SHA256)
	h.cache.held[ref.SHA256]++
}

// Release allows cleaning to remove all its segments, and ends the turn.
func (h *Hold) Release() {
	c := h.cache
	c.mu.Lock()
	for _, name := range h.names {
		if c.held[name]--; c.held[name] == 0 {
			delete(c.held, name)
		}
	}
	h.names = nil
	c.mu.Unlock()
	if h.end != nil {
		h.end()
		h.end = nil
	}
}

// has holds a segment and reports whether it is there, as [Segments.has] does.
func (h *Hold) has(ref SegmentRef) bool {
	h.add(ref)
	return h.cache.has(ref)
}

// Fetch holds a segment and downloads it, unless it is there already.
func (h *Hold) Fetch(ctx context.Context, from Origin, ref SegmentRef) error {
	c := h.cache
	if onDisk, _ := c.find(ref); !onDisk && !c.onDisk() {
		// Wait before holding anything: a waiting hold must not take memory from the hold that has the turn.
		if _, err := h.takeTurn(ctx); err != nil {
			return err
		}
	}
	h.add(ref)
	for {
		onDisk, inMemory := c.find(ref)
		// Without the turn, a hold must not use what another one has put into memory either.
		if !onDisk && (inMemory || !c.onDisk()) {
			if waited, err := h.takeTurn(ctx); err != nil {
				return err
			} else if waited {
				continue
			}
		}
		if onDisk || inMemory {
			return nil
		}
		mine, memory := false, h.mayUseMemory()
		ch := c.flight.DoChan(ref.SHA256, func() (any, error) {
			mine = true
			return nil, c.bring(ctx, from, ref, memory)
		})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-ch:
			if r.Err == nil || !mine {
				// Look again: it may be in memory. Another store's failure says nothing about this one.
				continue
			}
			if _, full := errors.AsType[*writeError](r.Err); !full || memory {
				return fmt.Errorf("get %s: %w", from.Where(ref), r.Err)
			}
			if _, err := h.takeTurn(ctx); err != nil {
				return err
			}
		}
	}
}

func (h *Hold) mayUseMemory() bool { return h.turn == nil || h.end != nil }

// takeTurn waits for the turn unless the hold may use memory already.
func (h *Hold) takeTurn(ctx context.Context) (waited bool, err error) {
	if h.mayUseMemory() {
		return false, nil
	}
	h.end, err = h.turn(ctx)
	return err == nil, err
}
