package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// known is a [Content] that is there and was verified.
type known struct {
	io.ReaderAt
	size   int64
	sha256 string
	crc    uint32
}

func (w *known) Size() int64                    { return w.size }
func (w *known) SHA256() string                 { return w.sha256 }
func (w *known) Verified(context.Context) error { return nil }
func (w *known) CRC32C() uint32                 { return w.crc }

// Bytes is the content of something small. The slice must not change.
func Bytes(b []byte) Content {
	sum := sha256.Sum256(b)
	return &known{ReaderAt: bytes.NewReader(b), size: int64(len(b)), sha256: hex.EncodeToString(sum[:]),
		crc: crc32.Checksum(b, castagnoli)}
}

// FromFile is the content of something complete and verified: size bytes from the start of r, with the given SHA-256 (lower-case
// hexadecimal, "" when not known) and CRC32C (Castagnoli).
func FromFile(r io.ReaderAt, size int64, sha256hex string, crc uint32) Content {
	return &known{ReaderAt: r, size: size, sha256: sha256hex, crc: crc}
}

// arrive waits until the first n bytes of c are there. A content that is no [Arriving] is waited for in its ReadAt.
func arrive(ctx context.Context, c Content, n int64) error {
	if a, ok := c.(Arriving); ok {
		return a.Wait(ctx, n)
	}
	return ctx.Err()
}

// sums are the checksums of a stretch of content.
type sums struct {
	sha256 [sha256.Size]byte
	crc    uint32
}

// copyBuffers bounds what hashing needs: one buffer for each stretch that is being read.
var copyBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// sum reads n bytes of c from offset off, writes them to w as well, and returns their checksums. It waits for bytes that
// are still to come.
func sum(ctx context.Context, c Content, off, n int64, w io.Writer) (sums, error) {
	buf := copyBuffers.Get().(*[256 << 10]byte)
	defer copyBuffers.Put(buf)
	h := sha256.New()
	var s sums
	for end := off + n; off < end; {
		b := buf[:min(int64(len(buf)), end-off)]
		if err := arrive(ctx, c, off+int64(len(b))); err != nil {
			return sums{}, fmt.Errorf("wait for content at %d: %w", off, err)
		}
		if got, err := c.ReadAt(b, off); got < len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return sums{}, fmt.Errorf("read content at %d: %w", off, err)
		}
		if err := ctx.Err(); err != nil {
			return sums{}, err
		}
		h.Write(b)
		s.crc = crc32.Update(s.crc, castagnoli, b)
		if _, err := w.Write(b); err != nil {
			return sums{}, err
		}
		off += int64(len(b))
	}
	h.Sum(s.sha256[:0])
	return s, nil
}
