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

// known is a [Content] that is complete and verified.
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

// Bytes returns the content of a small slice. The slice must not change.
func Bytes(b []byte) Content {
	sum := sha256.Sum256(b)
	return &known{ReaderAt: bytes.NewReader(b), size: int64(len(b)), sha256: hex.EncodeToString(sum[:]),
		crc: crc32.Checksum(b, castagnoli)}
}

// FromFile returns the content of complete and verified data: size bytes from the start of r, with the given SHA-256
// (lower-case hexadecimal, "" if not known) and CRC32C (Castagnoli).
func FromFile(r io.ReaderAt, size int64, sha256hex string, crc uint32) Content {
	return &known{ReaderAt: r, size: size, sha256: sha256hex, crc: crc}
}

// arrive waits until the first n bytes of c are there. For a content that is not [Arriving], its ReadAt waits instead.
func arrive(ctx context.Context, c Content, n int64) error {
	if a, ok := c.(Arriving); ok {
		if err := a.Wait(ctx, n); err != nil {
			return fmt.Errorf("wait for the content's first %d bytes: %w", n, err)
		}
	}
	return context.Cause(ctx)
}

// readFull reads a piece of the content that has arrived.
func readFull(c Content, p []byte, off int64) error {
	n, err := c.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read content at %d: %w", off, err)
}

// sums are the checksums of a stretch of content.
type sums struct {
	sha256 [sha256.Size]byte
	crc    uint32
}

// copyBuffers are buffers for reading. A goroutine holds one only while it reads, not while it waits for bytes: with
// thirty stores, hundreds of parts may wait at once.
var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

const copyBuffer = 256 << 10

// sum reads n bytes of c from offset off, also writes them to w, and returns their checksums. It waits for bytes that
// have not arrived yet.
func sum(ctx context.Context, c Content, off, n int64, w io.Writer) (sums, error) {
	h := sha256.New()
	crc, err := pass(ctx, c, off, n, io.MultiWriter(h, w))
	if err != nil {
		return sums{}, err
	}
	s := sums{crc: crc}
	h.Sum(s.sha256[:0])
	return s, nil
}

// pass writes n bytes of c from offset off to w as they arrive, and returns their CRC32C. w must be local.
func pass(ctx context.Context, c Content, off, n int64, w io.Writer) (crc uint32, err error) {
	for end := off + n; off < end; {
		n := min(copyBuffer, end-off)
		if err := arrive(ctx, c, off+n); err != nil {
			return 0, err
		}
		if crc, err = passPiece(c, off, n, w, crc); err != nil {
			return 0, err
		}
		off += n
	}
	return crc, context.Cause(ctx)
}

// passPiece handles one buffer of pass; crc is the checksum of the bytes before it.
func passPiece(c Content, off, n int64, w io.Writer, crc uint32) (uint32, error) {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	if err := readFull(c, buf[:n], off); err != nil {
		return 0, err
	}
	_, err := w.Write(buf[:n])
	return crc32.Update(crc, castagnoli, buf[:n]), err
}
