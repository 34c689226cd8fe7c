package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// bucketSink is a bucket as a [Sink].
type bucketSink struct {
	name   string
	bucket store.Bucket
	look   func(ctx context.Context, d oci.Digest, size int64) error
}

// ToBucket returns a sink that writes blobs into a bucket. name is for messages. look asks as an anonymous client
// whether it gets a blob of size bytes unchanged ([store.Public.Look]). The sink calls it where another party may
// have put the object, whose rights and headers are then that party's. nil: only the bucket's owner reads there.
func ToBucket(name string, b store.Bucket, look func(ctx context.Context, d oci.Digest, size int64) error) Copier {
	return &bucketSink{name, b, look}
}

func key(it Item) string { return store.BlobKey(it.Digest) }

// sameSum reports whether the SHA-256 that the store computed, if any, agrees with the item.
func sameSum(a store.Attrs, it Item) bool {
	return a.SHA256 == "" || it.Digest.Algorithm() != "sha256" || a.SHA256 == it.Digest.Hex()
}

// Look implements [Sink].
func (s *bucketSink) Look(ctx context.Context, it Item) (Found, error) {
	return s.existing(ctx, it, AlreadyThere, nil)
}

// Put implements [Sink].
func (s *bucketSink) Put(ctx context.Context, it Item, c store.Content) (Found, error) {
	a, err := store.Replace(ctx, s.bucket, key(it), c, store.BlobHeader, it.Over)
	switch {
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return s.existing(ctx, it, AlreadyThere, nil)
	case err != nil:
		return Found{}, fmt.Errorf("put %s: %w", s.name, err)
	case a.Size != it.Size || !sameSum(a, it):
		return s.existing(ctx, it, Uploaded, nil)
	case it.Over != "":
		return s.repaired(ctx, it, a)
	}
	return Found{How: Uploaded, Attrs: a}, nil
}

// repaired makes sure that anonymous clients get an object that replaced one that they did not get. If they still do
// not get it, the cause is not in the object: writing it once more would not help.
func (s *bucketSink) repaired(ctx context.Context, it Item, a store.Attrs) (Found, error) {
	if s.look != nil {
		if err := s.look(ctx, it.Digest, a.Size); err != nil {
			return Found{}, fmt.Errorf("%s, where it was just written again: %w; a cache in front may have to forget it, or a "+
				"rule of the bucket keeps anonymous clients out", s.name, err)
		}
	}
	return Found{How: Repaired, Attrs: a}, nil
}

// CopiesFrom implements [Copier].
func (s *bucketSink) CopiesFrom(from Sink) bool {
	src, ours := from.(*bucketSink)
	c, ok := s.bucket.(store.Copier)
	return ok && ours && c.CopiesFrom(src.bucket)
}

// CopyFrom implements [Copier].
func (s *bucketSink) CopyFrom(ctx context.Context, it Item, from Sink, at store.Attrs) (Found, error) {
	src := from.(*bucketSink)
	if at.Version == "" {
		var err error
		if at, err = src.bucket.Head(ctx, key(it)); err != nil {
			return Found{}, fmt.Errorf("head %s: %w", src.name, err)
		}
	}
	if at.Size != it.Size || at.Altered() != "" || !sameSum(at, it) {
		return Found{FromWrong: true}, fmt.Errorf("copy from %s: %w: %w", src.name, ErrUnverified, store.ErrCannotCopy)
	}
	how := Copied
	switch _, err := s.bucket.(store.Copier).CopyFrom(ctx, key(it), src.bucket, at, store.BlobHeader); {
	case errors.Is(err, store.ErrExists):
		how = AlreadyThere
	case err != nil:
		return Found{}, fmt.Errorf("copy from %s to %s: %w", src.name, s.name, err)
	}
	found, err := s.existing(ctx, it, how, it.CRC32C)
	if found.FromWrong = how == Copied && err == nil && found.Wrong != ""; found.FromWrong {
		// We copied it there; no client may get it while the right one is on its way.
		if err := s.bucket.Delete(ctx, key(it), found.Wrong); err == nil {
			found.Wrong = ""
		}
	}
	return found, err
}

// existing compares the object under the blob's key with the blob. how says how the object came there, if it is right.
//
// It believes a SHA-256 that the store computed over the whole object: it is what the store would be asked to check
// anyway. It believes the store's CRC32C when crc is given. Then the provider itself has just copied the object from
// a verified one. So no other party chose its bytes, and only accidents are to be found, which 32 bits over the whole
// object do. In all other cases it reads the object back.
//
// Right bytes are not enough: an object with an encoding, in an archive, or that anonymous clients may not read, is
// as wrong as an object of other bytes.
func (s *bucketSink) existing(ctx context.Context, it Item, how How, crc *uint32) (Found, error) {
	a, err := s.bucket.Head(ctx, key(it))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Found{}, nil
	case err != nil:
		return Found{}, fmt.Errorf("head %s: %w", s.name, err)
	case a.Size != it.Size || a.Altered() != "":
		return Found{Wrong: a.Version}, nil
	case a.SHA256 != "" && it.Digest.Algorithm() == "sha256":
		if !sameSum(a, it) {
			return Found{Wrong: a.Version}, nil
		}
		return s.shown(ctx, it, how, a)
	case crc != nil && a.CRC32C != nil:
		if *crc != *a.CRC32C {
			return Found{Wrong: a.Version}, nil
		}
		return s.shown(ctx, it, how, a)
	}
	return s.readBack(ctx, it, how)
}

// shown ends existing for right bytes: do anonymous clients get them? What was written here is like everything
// written before.
func (s *bucketSink) shown(ctx context.Context, it Item, how How, a store.Attrs) (Found, error) {
	if how == AlreadyThere && s.look != nil {
		err := s.look(ctx, it.Digest, a.Size)
		switch {
		case errors.Is(err, store.ErrHidden) && !errors.Is(err, ErrStillHidden):
			return Found{Wrong: a.Version}, nil
		case err != nil:
			return Found{}, fmt.Errorf("read %s as an anonymous client: %w", s.name, err)
		}
	}
	return Found{How: how, Attrs: a}, nil
}

// readBack reads the object and compares it.
func (s *bucketSink) readBack(ctx context.Context, it Item, how How) (Found, error) {
	body, a, err := s.bucket.Get(ctx, key(it), 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return Found{}, nil
	}
	if err != nil {
		return Found{}, fmt.Errorf("get %s: %w", s.name, err)
	}
	defer body.Close()
	if a.Size != it.Size {
		return Found{Wrong: a.Version}, nil
	}
	h := it.Digest.Hash()
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := body.Read(buf[:])
		h.Write(buf[:n])
		it.ReadBack(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return Found{}, fmt.Errorf("read back %s: %w", s.name, err)
		}
	}
	if !it.Digest.Matches(h) {
		return Found{Wrong: a.Version}, nil
	}
	return s.shown(ctx, it, how, a)
}
