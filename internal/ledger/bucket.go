package ledger

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"strings"

	"ociproxy/internal/inventory/write"
	"ociproxy/internal/store"
)

// BucketOf is the part of a store's bucket that has its inventory.
func BucketOf(b store.Bucket) write.Bucket { return &bucket{b} }

type bucket struct{ store store.Bucket }

func key(name string) string { return store.InventoryPrefix + name }

// Get implements [write.Bucket].
func (b *bucket) Get(ctx context.Context, name string) (io.ReadCloser, string, error) {
	body, attrs, err := b.store.Get(ctx, key(name), 0, -1)
	if err != nil {
		return nil, "", translate(err)
	}
	return body, attrs.Version, nil
}

// Put implements [write.Bucket].
func (b *bucket) Put(ctx context.Context, name string, o write.Object, version string) (string, error) {
	c, err := content(o)
	if err != nil {
		return "", fmt.Errorf("put %s: %w", key(name), err)
	}
	attrs, err := b.store.Put(ctx, key(name), c, store.Header{ContentType: o.ContentType, CacheControl: o.CacheControl}, version)
	if err != nil {
		return "", translate(err)
	}
	return attrs.Version, nil
}

// content is an object's body as a store takes it. What cannot be read at any place is small: a head, a mark.
func content(o write.Object) (store.Content, error) {
	r, ok := o.Body.(io.ReaderAt)
	if !ok || o.SHA256 == "" {
		raw, err := io.ReadAll(io.LimitReader(o.Body, o.Size+1))
		if err != nil {
			return nil, err
		}
		if int64(len(raw)) != o.Size {
			return nil, fmt.Errorf("%d bytes or more, announced %d", len(raw), o.Size)
		}
		return store.Bytes(raw), nil
	}
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if n, err := io.Copy(crc, io.NewSectionReader(r, 0, o.Size)); err != nil || n != o.Size {
		return nil, errors.Join(err, fmt.Errorf("%d bytes, announced %d", n, o.Size))
	}
	return store.FromFile(r, o.Size, o.SHA256, crc.Sum32()), nil
}

// List implements [write.Bucket].
func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[write.Listed, error] {
	return func(yield func(write.Listed, error) bool) {
		for o, err := range b.store.List(ctx, key(prefix), "") {
			if err != nil {
				yield(write.Listed{}, translate(err))
				return
			}
			l := write.Listed{Key: strings.TrimPrefix(o.Key, store.InventoryPrefix), Size: o.Size, Modified: o.Modified}
			if !yield(l, nil) {
				return
			}
		}
	}
}

// Delete implements [write.Bucket].
func (b *bucket) Delete(ctx context.Context, name string) error {
	return translate(b.store.Delete(ctx, key(name), ""))
}

// meaning pairs what a store answers with what an inventory's bucket does.
var meaning = [...]struct{ store, inventory error }{
	{store.ErrNotFound, write.ErrNotFound},
	{store.ErrExists, write.ErrExists},
	{store.ErrConflict, write.ErrConflict},
}

func translate(err error) error {
	for _, m := range meaning {
		if errors.Is(err, m.store) {
			return fmt.Errorf("%w: %w", m.inventory, err)
		}
	}
	return err
}
