package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"cloud.google.com/go/storage"

	"ociproxy/internal/wait"
)

// gcsRewrite is how long one request of a copy may make no progress, beyond the time-out. The service answers after
// some 30 s at the latest and reports how far it is.
const gcsRewrite = time.Minute

// gcsCopies returns how many requests copy an object, if the service does it in one step.
func gcsCopies(int64) int64 { return 1 }

// CopiesFrom implements [Copier].
func (b *gcs) CopiesFrom(src Bucket) bool {
	from, ok := src.(*gcs)
	return ok && from.endpoint == b.endpoint
}

// CopyFrom implements [Copier]. It rewrites the object. A large object between locations takes several requests, and
// the copy is visible only after the last one. If the copy does not have the source's CRC32C, it is removed again.
func (b *gcs) CopyFrom(ctx context.Context, key string, src Bucket, from Attrs, h Header) (Attrs, error) {
	if !b.CopiesFrom(src) {
		return Attrs{}, fmt.Errorf("copy %s from %s to %s: %w", from.Key, src, b, ErrCannotCopy)
	}
	ctx, why := wait.Noting(ctx)
	attrs, err := b.copyFrom(ctx, key, src.(*gcs), from, h)
	if err != nil {
		return Attrs{}, fmt.Errorf("copy %s from %s to %s: %w", from.Key, src, b, why(err))
	}
	return attrs, nil
}

func (b *gcs) copyFrom(ctx context.Context, key string, src *gcs, from Attrs, h Header) (Attrs, error) {
	generation, err := generationOf(from.Version)
	if err != nil {
		return Attrs{}, err
	}
	object, err := b.object(key)
	if err != nil {
		return Attrs{}, err
	}
	// This is the source as the credentials of this bucket see it. A generation never changes, so it needs no
	// condition.
	source := b.client.Bucket(src.name).Object(src.prefix + from.Key).Generation(generation)
	var lost atomic.Int32
	copier := object.If(storage.Conditions{DoesNotExist: true}).CopierFrom(source)
	copier.ContentType, copier.CacheControl = h.ContentType, h.CacheControl
	written, err := copier.Run(countUnclear(withPatience(ctx, gcsRewrite), &lost))
	if err == nil {
		return b.whole(ctx, b.attrs(written), from.Size, from.CRC32C)
	}
	err = b.failure(err, "")
	if errors.Is(err, ErrExists) && lost.Load() > 0 {
		if there, headErr := b.Head(ctx, key); headErr == nil && there.Size == from.Size && sameCRC(there.CRC32C, from.CRC32C) {
			return there, nil
		}
	}
	if errors.Is(err, ErrDenied) {
		return Attrs{}, fmt.Errorf("%w: %w", ErrCannotCopy, err)
	}
	return Attrs{}, err
}
