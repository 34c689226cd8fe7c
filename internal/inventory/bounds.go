package inventory

import (
	"fmt"
	"time"
)

// What can be true of a head. Whoever can write one object can write any number into it; without these bounds one such head, read
// once, would be newer than every good one forever.
const (
	// MaxSkew is how far the clocks of writers and readers may be apart. A head from further in the future is refused; and two
	// heads must be further apart for their times to say which is newer.
	MaxSkew = 5 * time.Minute
	// MaxAhead is how far a generation may be above the time of its head in seconds, which it begins with: it grows by one with
	// each write, and a bucket takes about one write a second of the same object. This is ten a second for more than a day.
	MaxAhead = 1 << 20
)

// checkGeneration reports why a head of that time cannot have come to its generation.
func (h *Head) checkGeneration() error {
	if h.Generation == 0 {
		return fmt.Errorf("generation 0")
	}
	if most := h.WrittenAt.Unix() + MaxAhead; most < 0 || h.Generation > uint64(most) {
		return fmt.Errorf("generation %d is more than can be by %s", h.Generation, h.WrittenAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// NextGeneration is that of the head that follows h when it is written now: the next number, as long as readers can believe it.
func (h *Head) NextGeneration(now time.Time) uint64 {
	return min(h.Generation+1, uint64(max(0, now.Unix()+MaxAhead)))
}

// CheckTime reports why the head cannot have been written before now, by which clocks may be [MaxSkew] apart. The error wraps
// [ErrHead].
func (h *Head) CheckTime(now time.Time) error {
	if !h.early(now) {
		return nil
	}
	return fmt.Errorf("%w: written %v in the future, at %s: its writer's clock or this one is wrong, or somebody else wrote it",
		ErrHead, h.WrittenAt.Sub(now).Round(time.Second), h.WrittenAt.UTC().Format(time.RFC3339))
}

// early reports whether the head is from the future.
func (h *Head) early(now time.Time) bool { return h.WrittenAt.Sub(now) > MaxSkew }

// older reports whether h is surely an older head than last, which was believed up to now, when current says so. Generations only
// grow while an inventory goes on, and a lower one is of one that was begun again: then its time is later, by more than clocks
// may be apart. What is not believed any more has less to protect, and a head from the future nothing.
func (h *Head) older(last *Head, current bool, now time.Time) bool {
	if h.Generation >= last.Generation || last.early(now) {
		return false
	}
	margin := time.Duration(0)
	if current {
		margin = MaxSkew
	}
	return h.WrittenAt.Sub(last.WrittenAt) <= margin
}
