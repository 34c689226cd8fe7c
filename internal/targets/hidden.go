package targets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
	"ociproxy/internal/transfer"
)

const (
	// hiddenFor is how long a blob is not written again when anonymous clients did not get it, neither before nor after
	// it was written. What keeps it from them, a cache or a rule, is not in the object, and each try costs all its
	// bytes.
	hiddenFor = 6 * time.Hour
	// maxHidden bounds what is remembered of that.
	maxHidden = 10_000
)

// hidden remembers which blobs anonymous clients do not get, by store and digest. The zero value is empty.
type hidden struct {
	mu   sync.Mutex
	seen map[string]hiding
}

// hiding is how often in a row anonymous clients did not get a blob, and since when.
type hiding struct {
	times int
	since time.Time
}

// look is the question that a transfer asks. It adds [transfer.ErrStillHidden] when writing the blob again did not help
// recently.
func (v *hidden) look(s *Store, public *store.Public) func(context.Context, oci.Digest, int64) error {
	return func(ctx context.Context, d oci.Digest, size int64) error {
		err := public.Look(ctx, d, size)
		key := s.Name() + " " + s.Config.URL + " " + d.String()
		v.mu.Lock()
		defer v.mu.Unlock()
		switch h, known := v.seen[key]; {
		case err == nil:
			delete(v.seen, key)
		case !errors.Is(err, store.ErrHidden):
		case known && h.times >= 2 && time.Since(h.since) < hiddenFor:
			return fmt.Errorf("%w: %w", transfer.ErrStillHidden, err)
		default:
			v.note(key, h, known)
		}
		return err
	}
}

// note counts once more. The lock is held.
func (v *hidden) note(key string, h hiding, known bool) {
	if v.seen == nil || len(v.seen) >= maxHidden {
		v.seen = map[string]hiding{}
	}
	if !known || time.Since(h.since) >= hiddenFor {
		h = hiding{since: time.Now()}
	}
	h.times++
	v.seen[key] = h
}
