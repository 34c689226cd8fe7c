package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"sync/atomic"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"
)

// Head implements [Bucket].
func (b *gcs) Head(ctx context.Context, key string) (Attrs, error) {
	o, err := b.object(key)
	if err != nil {
		return Attrs{}, err
	}
	attrs, err := o.Attrs(ctx)
	if err != nil {
		return Attrs{}, fmt.Errorf("head %s of %s: %w", key, b, b.failure(err, ""))
	}
	return b.attrs(attrs), nil
}

// Get implements [Bucket]. If an answer is cut off, the library continues where it ended, in the same generation, and
// gcsResumes says how often.
func (b *gcs) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Attrs, error) {
	o, err := b.object(key)
	if err != nil {
		return nil, Attrs{}, err
	}
	if off < 0 { // to the library, that counts from the end
		return nil, Attrs{}, fmt.Errorf("get %s of %s: negative offset %d", key, b, off)
	}
	r, err := o.ReadCompressed(true).NewRangeReader(context.WithValue(ctx, resumesKey{}, new(resumes)), off, n)
	if err != nil {
		return nil, Attrs{}, fmt.Errorf("get %s of %s: %w", key, b, b.failure(err, ""))
	}
	attrs := Attrs{
		Key: key, Size: r.Attrs.Size, Version: strconv.FormatInt(r.Attrs.Generation, 10), Modified: r.Attrs.LastModified.UTC(),
		Header:          Header{ContentType: r.Attrs.ContentType, CacheControl: r.Attrs.CacheControl},
		ContentEncoding: r.Attrs.ContentEncoding,
	}
	if crc := r.Attrs.CRC32C; crc != 0 || attrs.Size == 0 { // the library also says 0 if there was none
		attrs.CRC32C = &crc
	}
	if n < 0 {
		n = r.Remain()
	}
	return &exact{ReadCloser: r, left: n}, attrs, nil
}

// List implements [Bucket].
func (b *gcs) List(ctx context.Context, prefix, after string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		bucket, err := b.bucket()
		if err != nil {
			yield(Attrs{}, err)
			return
		}
		query := &storage.Query{Prefix: b.prefix + prefix, Projection: storage.ProjectionNoACL}
		if after != "" {
			query.StartOffset = b.prefix + after // inclusive
		}
		if err := query.SetAttrSelection([]string{"Bucket", "Name", "Size", "Generation", "Updated", "CRC32C", "ContentType",
			"CacheControl", "ContentEncoding", "CustomerKeySHA256"}); err != nil {
			yield(Attrs{}, err)
			return
		}
		l := newListing(b, b.prefix, prefix, after)
		var pages atomic.Int32
		objects := bucket.Objects(listingOf(countPages(ctx, &pages), b.name), query)
		for {
			o, err := objects.Next()
			if errors.Is(err, iterator.Done) {
				return
			}
			if errors.Is(err, errPages) {
				err = l.refuse("%d pages in a row had no object", maxEmptyPages)
			} else if page, ok := errors.AsType[errPage](err); ok {
				err = fmt.Errorf("list %s: %w", l.what, page.error)
			} else if err != nil {
				err = fmt.Errorf("list %s of %s: %w", prefix, b, b.failure(err, ""))
			}
			wanted := false
			if err == nil {
				pages.Store(0)
				wanted, err = l.object(o.Name, o.Size)
			}
			if err != nil {
				yield(Attrs{}, err)
				return
			}
			if wanted && !yield(b.attrs(o), nil) {
				return
			}
		}
	}
}

// Delete implements [Bucket].
func (b *gcs) Delete(ctx context.Context, key, version string) error {
	o, err := b.object(key)
	if err != nil {
		return err
	}
	if version != "" {
		generation, err := generationOf(version)
		if err != nil {
			return fmt.Errorf("delete %s of %s: %w", key, b, err)
		}
		o = o.Generation(generation)
	}
	// Deleting twice does no harm, so a delete without a condition may be retried, too.
	err = b.failure(o.Retryer(storage.WithPolicy(storage.RetryAlways)).Delete(ctx), "any")
	if version != "" && errors.Is(err, ErrNotFound) { // that generation is gone
		err = fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return deleted(ctx, b, key, err)
}
