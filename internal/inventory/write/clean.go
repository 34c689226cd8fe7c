package write

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"ociproxy/internal/inventory"
)

// How long segments stay that no head lists.
const (
	keepRetired = 24 * time.Hour     // readers may still follow the previous head
	keepOrphans = 7 * 24 * time.Hour // their writer may still work
)

// Clean removes segments that have been in no head for long: 24 hours after a compaction replaced them. It removes
// orphans, which no head ever named, a day after they are found to be seven days old. It returns the hashes of the
// removed segments. Any number of cleaners and writers may work at once.
func (w *Writer) Clean(ctx context.Context) (removed []string, err error) {
	segments, err := w.list(ctx, inventory.SegmentPrefix)
	if err != nil {
		return nil, err
	}
	marks, err := w.list(ctx, retiredPrefix)
	if err != nil {
		return nil, err
	}
	// Read the head after the lists: segments that it names by now must stay.
	h, err := w.Head(ctx)
	if err != nil {
		return nil, err // without a head it is unknown what is in use
	}
	var failed []error
	now := w.opt.Now()
	for sha256, modified := range segments {
		marked, ok := marks[sha256]
		switch {
		case h.Has(sha256):
			if ok {
				failed = append(failed, w.bucket.Delete(ctx, retiredPrefix+sha256))
			}
		case !ok || marked.Before(modified): // an older mark says nothing about this object
			if now.Sub(modified) >= keepOrphans {
				w.retire(ctx, sha256)
			}
		case now.Sub(marked) >= keepRetired:
			ok, err := w.remove(ctx, sha256, marked)
			if ok {
				removed = append(removed, sha256)
			}
			failed = append(failed, err)
		}
	}
	for sha256, marked := range marks {
		if _, ok := segments[sha256]; !ok && now.Sub(marked) >= keepRetired {
			failed = append(failed, w.bucket.Delete(ctx, retiredPrefix+sha256))
		}
	}
	return removed, errors.Join(failed...)
}

// remove deletes a segment if its mark is still the one of the given time. By now another cleaner may have deleted
// the segment, and a writer may have put the same segment again. That one needs another mark first, and only one
// cleaner can rewrite this mark.
func (w *Writer) remove(ctx context.Context, sha256 string, marked time.Time) (bool, error) {
	body, version, err := w.bucket.Get(ctx, retiredPrefix+sha256)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_ = body.Close()
	if now, err := w.list(ctx, retiredPrefix+sha256); err != nil || !now[sha256].Equal(marked) {
		return false, err
	}
	if err := w.mark(ctx, sha256, version); errors.Is(err, ErrConflict) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := w.bucket.Delete(ctx, inventory.SegmentPrefix+sha256); err != nil {
		return false, err // it may have happened; the mark stays, and a pass a day later checks again
	}
	return true, w.bucket.Delete(ctx, retiredPrefix+sha256)
}

// list returns the times of objects by the hash in their name. It skips an object below the segments' prefix whose
// name only ends like a segment's: it is not ours to remove, and its time says nothing about the segment.
func (w *Writer) list(ctx context.Context, prefix string) (map[string]time.Time, error) {
	found := map[string]time.Time{}
	for o, err := range w.bucket.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		dir, hash := path.Split(o.Key)
		if inventory.IsHash(hash) && dir != "" && strings.HasPrefix(prefix, dir) {
			if o.Modified.IsZero() { // a zero time would look very old
				return nil, fmt.Errorf("list %s: it gives no time for %s: nothing is removed", prefix, o.Key)
			}
			found[hash] = o.Modified
		}
	}
	return found, nil
}
