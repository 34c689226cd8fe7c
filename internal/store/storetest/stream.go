package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"sync"
)

// Stream is a content that arrives when the test says so. It is a store.Arriving.
type Stream struct {
	data   []byte
	sha256 string

	mu      sync.Mutex
	changed chan struct{} // closed and made again at every change
	arrived int64
	failed  error
	wrong   error
	reached int64 // the end of the furthest read
}

// NewStream returns the content of data. Nothing of it has arrived yet.
func NewStream(data []byte) *Stream {
	sum := sha256.Sum256(data)
	return &Stream{data: data, sha256: hex.EncodeToString(sum[:]), changed: make(chan struct{})}
}

// Whole returns a stream that has arrived completely and was verified.
func Whole(data []byte) *Stream {
	s := NewStream(data)
	s.Arrive(int64(len(data)))
	return s
}

// Nameless removes the SHA-256, as for a blob that is named by its SHA-512.
func (s *Stream) Nameless() *Stream {
	s.sha256 = ""
	return s
}

// Arrive makes the first n bytes available.
func (s *Stream) Arrive(n int64) {
	s.change(func() { s.arrived = n })
}

// Break stops the arrival of bytes: waiting for more fails with err.
func (s *Stream) Break(err error) {
	s.change(func() { s.failed = err })
}

// Refuse makes the verification of the content fail.
func (s *Stream) Refuse(err error) *Stream {
	s.change(func() { s.wrong = err })
	return s
}

func (s *Stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Reached returns the end of the furthest read that was answered.
func (s *Stream) Reached() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reached
}

// Size implements store.Content.
func (s *Stream) Size() int64 { return int64(len(s.data)) }

// SHA256 implements store.Content.
func (s *Stream) SHA256() string { return s.sha256 }

// Wait implements store.Arriving.
func (s *Stream) Wait(ctx context.Context, n int64) error {
	for {
		s.mu.Lock()
		arrived, failed, changed := s.arrived, s.failed, s.changed
		s.mu.Unlock()
		switch {
		case arrived >= n:
			return nil
		case failed != nil:
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ReadAt implements store.Content.
func (s *Stream) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.Size() {
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), s.Size())
	if err := s.Wait(context.Background(), end); err != nil { // io.ReaderAt has no context
		return 0, err
	}
	n, err := bytes.NewReader(s.data).ReadAt(p, off)
	s.mu.Lock()
	s.reached = max(s.reached, end)
	s.mu.Unlock()
	return n, err
}

// Verified implements store.Content.
func (s *Stream) Verified(ctx context.Context) error {
	if err := s.Wait(ctx, s.Size()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}

// CRC32C implements store.Content.
func (s *Stream) CRC32C() uint32 { return crc32.Checksum(s.data, crc32.MakeTable(crc32.Castagnoli)) }

// spoilt has the checksums of one content and the bytes of another, like a disk that lost data.
type spoilt struct {
	*Stream
	bytes []byte
}

// Spoilt returns verified content in which one byte changed afterwards.
func Spoilt(data []byte, at int) interface {
	io.ReaderAt
	Size() int64
	SHA256() string
	Verified(context.Context) error
	CRC32C() uint32
} {
	other := bytes.Clone(data)
	other[at] ^= 1
	return &spoilt{Stream: Whole(data), bytes: other}
}

func (s *spoilt) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.bytes).ReadAt(p, off)
}

// ErrWrong is the error with which this suite refuses content.
var ErrWrong = errors.New("the digest is another")
