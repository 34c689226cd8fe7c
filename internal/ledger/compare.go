package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// there takes a blob that the listing has; was is the size recorded, -1: none, or not known.
func (r *rebuild) there(ctx context.Context, o listed, was int64, later func(func(context.Context) error) error) error {
	why := useless(o.digest, o.Attrs)
	switch {
	case r.opt.Deny != nil && r.opt.Deny(o.digest):
		return r.deny(ctx, o, was)
	case why != "" && was < 0:
		return r.hide(ctx, o.digest, was, why)
	case why == "" && was == o.Size:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.count(o.Size)
		return nil
	}
	return later(func(ctx context.Context) error { return r.look(ctx, o, was) })
}

// useless returns why no client should be sent to an object, as far as its attributes show it; "": no reason.
func useless(d oci.Digest, a store.Attrs) string { return cmp.Or(a.Altered(), store.Amiss(d, a)) }

// count counts a blob that the bucket has. The lock is held.
func (r *rebuild) count(size int64) {
	r.found.Blobs++
	r.found.Bytes += size
	if r.opt.Progress != nil && r.found.Blobs%progressStep == 0 {
		r.opt.Progress(r.found)
	}
}

// deny removes what must not be listed.
func (r *rebuild) deny(ctx context.Context, o listed, was int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(o.Size)
	r.found.Denied++
	if was < 0 {
		return nil
	}
	return r.remove(ctx, o.digest)
}

// remove takes a blob out. The lock is held.
func (r *rebuild) remove(ctx context.Context, d oci.Digest) error {
	r.found.Removed++
	r.removed = append(r.removed, d)
	return r.full(ctx)
}

// hide does not count a blob as held when clients would not get it unchanged.
func (r *rebuild) hide(ctx context.Context, d oci.Digest, was int64, why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Unreadable++
	if len(r.found.Hidden) < maxKeys {
		r.found.Hidden = append(r.found.Hidden, Hidden{d, why})
	}
	if was < 0 {
		return nil
	}
	return r.remove(ctx, d)
}

// look asks for an object about which the listing and the inventory disagree. The listing alone is not enough reason
// to send clients there, or to stop sending them there. Where the listing included headers, look does not ask again
// for those of a new blob.
func (r *rebuild) look(ctx context.Context, o listed, was int64) error {
	a := o.Attrs
	if was >= 0 || a.ContentType == "" {
		var err error
		a, err = r.b.bucket.Head(ctx, o.Key)
		switch {
		case errors.Is(err, store.ErrNotFound) && was < 0:
			return nil
		case errors.Is(err, store.ErrNotFound):
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.remove(ctx, o.digest)
		case err != nil:
			return err
		}
	}
	if why := useless(o.digest, a); why != "" {
		return r.hide(ctx, o.digest, was, why)
	}
	record := inventory.Record{Digest: o.digest, Size: a.Size, Kind: inventory.Blob}
	if err := record.Check(); err != nil {
		return r.hide(ctx, o.digest, was, err.Error())
	}
	if r.opt.Look != nil {
		err := r.opt.Look(ctx, o.digest, a.Size)
		if errors.Is(err, store.ErrHidden) {
			return r.hide(ctx, o.digest, was, err.Error())
		}
		if err != nil {
			return fmt.Errorf("ask as an anonymous client: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(a.Size)
	switch {
	case was == a.Size: // the listing had another
		return nil
	case was >= 0:
		r.found.Resized++
	default:
		r.found.Added++
	}
	r.added = append(r.added, record)
	return r.full(ctx)
}

// ask asks the bucket for a blob that its listing did not have: it may have come since, or the listing may be wrong.
func (r *rebuild) ask(ctx context.Context, d oci.Digest) error {
	a, err := r.b.bucket.Head(ctx, store.BlobKey(d))
	switch why := useless(d, a); {
	case err == nil && why != "":
		return r.hide(ctx, d, a.Size, why)
	case err == nil || !errors.Is(err, store.ErrNotFound):
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remove(ctx, d)
}

func (r *rebuild) unexpected(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Unexpected++
	if len(r.found.Keys) < maxKeys {
		r.found.Keys = append(r.found.Keys, key)
	}
}
