package store

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"sync/atomic"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"ociproxy/internal/pace"
	"ociproxy/internal/wait"
)

const (
	// gcsQuantum is the unit to which the library rounds up the size of a chunk.
	gcsQuantum = 256 << 10
	// gcsChunk is the most of a large object that one request sends and that stays in memory until it is acknowledged.
	// At a round trip of 50 ms it allows 80 MB/s for each object.
	gcsChunk = 4 << 20
	// gcsMemory limits all chunks of this process together, beyond one quantum each.
	gcsMemory = 32 << 20
)

// gcsTaken is how much of gcsMemory is taken.
var gcsTaken atomic.Int64

// takeChunk returns how large the chunks of an upload of this many bytes may be, and a function that gives the memory
// back. The more memory is taken, the smaller the chunks; no upload waits for others.
func takeChunk(bytes int64) (size int, done func()) {
	want := min(gcsChunk, (bytes/gcsQuantum+1)*gcsQuantum)
	for {
		taken := gcsTaken.Load()
		size := min(want, (gcsMemory-taken)/8/gcsQuantum*gcsQuantum)
		if size <= 0 {
			return gcsQuantum, func() {}
		}
		if gcsTaken.CompareAndSwap(taken, taken+size) {
			return int(size), func() { gcsTaken.Add(-size) }
		}
	}
}

// gcsPuts returns how many requests write an object: one, or one that begins the upload and one for each chunk. If the
// last chunk is full, the library sends an empty one after it. While other uploads take their share of the memory,
// chunks are smaller.
func gcsPuts(size int64) int64 {
	if size < gcsChunk {
		return 1
	}
	return 1 + size/gcsChunk + 1
}

// Put implements [Bucket].
//
// An object smaller than a chunk is sent after the content was verified, with its CRC32C first, so that the store
// refuses other bytes. A larger object is sent as it arrives, to a resumable upload. Nothing of it is visible before
// the last byte. The last byte is held back until the content was verified, and sent with the CRC32C of all bytes. A
// store might ignore that checksum, so Put also compares the CRC32C in the answer, and removes an object that is wrong.
func (b *gcs) Put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	ctx, why := wait.Noting(ctx)
	attrs, err := b.put(ctx, key, c, h, version)
	if err != nil {
		return Attrs{}, fmt.Errorf("put %s into %s: %w", key, b, why(err))
	}
	return attrs, nil
}

func (b *gcs) put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	conds, err := gcsConditions(version)
	if err != nil {
		return Attrs{}, err
	}
	object, err := b.object(key)
	if err != nil {
		return Attrs{}, err
	}
	for try := 1; ; try++ {
		var lost atomic.Int32
		written, sent, err := b.upload(countUnclear(ctx, &lost), object.If(conds), c, h)
		if err == nil {
			crc := c.CRC32C()
			attrs, err := b.whole(ctx, b.attrs(written), c.Size(), &crc)
			if errors.Is(err, errRemoved) && try < gcsTries {
				conds = storage.Conditions{DoesNotExist: true}
				continue
			}
			return attrs, err
		}
		err = b.failure(err, version)
		if sent && lost.Load() > 0 && ctx.Err() == nil {
			// An earlier request of ours may have written the object, and its answer was lost.
			crc := c.CRC32C()
			if there, asked := b.Head(ctx, key); asked == nil && there.Version != version && there.Size == c.Size() &&
				sameCRC(there.CRC32C, &crc) && there.Header == h {
				return there, nil
			}
		}
		if !isGone(err) || try == gcsTries {
			return Attrs{}, err
		}
	}
}

// gcsTries is how often a complete upload is tried, if the service forgot it on the way, or wrote something wrong.
// https://docs.cloud.google.com/storage/docs/resumable-uploads
const gcsTries = 3

// isGone reports whether an upload does not exist any more. A bucket that does not exist is another matter.
func isGone(err error) bool {
	var api *googleapi.Error
	return errors.As(err, &api) && (api.Code == http.StatusNotFound || api.Code == http.StatusGone) && !errors.Is(err, ErrUnfit)
}

// whole compares what the store says it wrote with what it should be, and removes an object that is wrong. A nil
// checksum means that it is not known.
func (b *gcs) whole(ctx context.Context, got Attrs, size int64, crc *uint32) (Attrs, error) {
	if got.Size == size && (crc == nil || sameCRC(got.CRC32C, crc)) {
		return got, nil
	}
	err := fmt.Errorf("what was written has %d bytes of CRC32C %08x", got.Size, value(got.CRC32C))
	if stays := b.Delete(context.WithoutCancel(ctx), got.Key, got.Version); stays != nil {
		return Attrs{}, fmt.Errorf("%w, and stays there: %w", err, stays)
	}
	return Attrs{}, fmt.Errorf("%w: %w", err, errRemoved)
}

// sameCRC reports whether two checksums are known and equal.
func sameCRC(a, b *uint32) bool { return a != nil && b != nil && *a == *b }

// errRemoved means that the object was wrong and was removed, so now there is none.
var errRemoved = errors.New("wrong, and removed again")

// upload sends the content. sent reports whether the content was verified and completely sent. If upload fails, a
// resumable upload is left to expire.
func (b *gcs) upload(ctx context.Context, object *storage.ObjectHandle, c Content, h Header) (o *storage.ObjectAttrs, sent bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := object.Retryer(storage.WithErrorFunc(gcsUploadAgain)).NewWriter(ctx)
	w.ContentType, w.CacheControl = h.ContentType, h.CacheControl
	chunk, done := takeChunk(c.Size())
	defer done()
	w.ChunkSize = chunk
	// Each try ends by itself after the time-out (see guard).
	w.ChunkRetryDeadline = gcsPatience * b.opt.timeout()
	if c.Size() < int64(chunk) {
		if err := c.Verified(ctx); err != nil {
			return nil, false, err
		}
		w.SendCRC32C, w.CRC32C = true, c.CRC32C()
	}
	// The library has no time limit for the start of an upload, nor for an upload in one request. This timer is the
	// limit.
	limit := (gcsPatience + 1) * b.opt.timeout()
	quiet := time.AfterFunc(limit, func() { cancel(stalled{fmt.Errorf("%w: nothing moved within %v", pace.ErrSlow, limit)}) })
	quiet.Stop()
	defer quiet.Stop()
	send := func(p []byte) error {
		quiet.Reset(limit)
		_, err := w.Write(p)
		quiet.Stop()
		return err
	}
	if err = withhold(ctx, c, send); err == nil {
		sent = true
		quiet.Reset(limit)
		err = w.Close()
	}
	if err != nil {
		// Do not close the writer: that would end the upload as complete.
		if s := (stalled{}); errors.As(context.Cause(ctx), &s) {
			err = s
		}
		return nil, sent, err
	}
	return w.Attrs(), true, nil
}

// isRefusal reports whether a write was refused because of what is there.
func isRefusal(err error) bool { return errors.Is(err, ErrExists) || errors.Is(err, ErrConflict) }

// gcsPatience is for how many time-outs one chunk is tried.
const gcsPatience = 3

// withhold sends the content, and the last byte only after the content was verified. Before that it compares the CRC32C
// of the bytes that it sent: the digest was computed while the bytes arrived, but these bytes were read again later.
func withhold(ctx context.Context, c Content, send func([]byte) error) error {
	var crc uint32
	buf := make([]byte, 64<<10)
	for off := int64(0); off < c.Size(); {
		n := min(int64(len(buf)), c.Size()-off)
		if err := arrive(ctx, c, off+n); err != nil {
			return err
		}
		if err := readFull(c, buf[:n], off); err != nil {
			return err
		}
		crc = crc32.Update(crc, castagnoli, buf[:n])
		off += n
		if off < c.Size() {
			if err := send(buf[:n]); err != nil {
				return err
			}
			continue
		}
		if n > 1 {
			if err := send(buf[:n-1]); err != nil {
				return err
			}
		}
		if err := verified(ctx, c, crc); err != nil {
			return err
		}
		if err := send(buf[n-1 : n]); err != nil {
			return err
		}
	}
	if c.Size() == 0 {
		return verified(ctx, c, crc)
	}
	return nil
}

// verified waits until the content is verified, and compares its CRC32C with that of the bytes that were read to be
// sent.
func verified(ctx context.Context, c Content, crc uint32) error {
	if err := c.Verified(ctx); err != nil {
		return err
	}
	if crc != c.CRC32C() {
		return fmt.Errorf("the content changed while it was read: CRC32C %08x, verified %08x", crc, c.CRC32C())
	}
	return nil
}
