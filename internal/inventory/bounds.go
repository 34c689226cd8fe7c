package inventory

import (
	"fmt"
	"time"
)

// These bounds say what can be true of a head. A party that can write one object can write any number into it.
// Without the bounds, one such head, read once, would be newer than every good one forever.
const (
	// MaxSkew is how far the clocks of writers and readers may differ. Readers refuse a head from further in the
	// future. The times of two heads must also differ by more than this to say which head is newer.
	MaxSkew = 5 * time.Minute
	// MaxAhead is how far a generation may be above the time of its head in seconds, which it begins with. A
	// generation grows by one with each write, and a bucket takes about one write a second of the same object. This
	// allows ten a second for more than a day.
	MaxAhead = 1 << 20
)

// checkGeneration returns why a head of that time cannot have reached its generation.
func (h *Head) checkGeneration() error {
	if h.Generation == 0 {
		return fmt.Errorf("generation 0")
	}
	if most := h.WrittenAt.Unix() + MaxAhead; most < 0 || h.Generation > uint64(most) {
		return fmt.Errorf("generation %d is more than can be by %s", h.Generation, h.WrittenAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// NextGeneration returns the generation of a head that follows h and is written now: the next number, if readers can
// believe it.
func (h *Head) NextGeneration(now time.Time) uint64 {
	return min(h.Generation+1, uint64(max(0, now.Unix()+MaxAhead)))
}

// CheckTime returns why the head cannot have been written before now; clocks may differ by [MaxSkew]. The error wraps
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

// older reports whether h is certainly older than last, the last believed head. current says whether last is still
// believed. Generations only grow while an inventory continues. A lower generation belongs to an inventory that was
// begun again: then its time is later, by more than clocks may differ. A head that is no longer believed gets less
// protection, and a head from the future gets none.
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
