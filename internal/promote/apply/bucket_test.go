package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ociproxy/internal/inventory"
	"ociproxy/internal/store"
)

// bucket is a store whose writes the world watches.
type bucket struct {
	store.Bucket
	w *world
}

func (b bucket) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (store.Attrs, error) {
	if strings.HasPrefix(key, leasePrefix) || strings.Contains(key, "/check/") {
		return b.Bucket.Put(ctx, key, c, h, version)
	}
	what := b.w.write(ctx, "PUT "+b.String()+"/"+key)
	if what == failed {
		if ctx.Err() != nil || b.w.killed() { // the inventory's writer must not retry
			return store.Attrs{}, inventory.ErrSegment
		}
		return store.Attrs{}, errors.New("injected")
	}
	a, err := b.Bucket.Put(ctx, key, c, h, version)
	if what == unclear {
		return store.Attrs{}, fmt.Errorf("injected after: %w", err)
	}
	return a, err
}
