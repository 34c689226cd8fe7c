package transfer

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// smallBlob is the largest blob that may be kept in memory. A broken-off download must also have brought this much to
// be worth keeping.
const smallBlob = 1 << 20

// spool holds one blob while it arrives and until every target has it. One goroutine fills it; any number read.
//
// The last byte counts as arrived only when the digest has matched, so that a wrong blob is never sent completely.
type spool struct {
	size int64
	path string // of its file; "": in memory

	mu      sync.RWMutex
	file    *os.File // open while a goroutine fills or sends it: many thousands of spools may wait
	users   int      // goroutines that fill or send it
	buf     []byte
	arrived int64 // bytes that may be read
	over    bool  // nothing changes after this
	err     error // why it will never be complete; set with over
	crc     uint32
	moved   chan struct{} // closed at the next change; nil: no goroutine waits
}

// fill puts the next bytes in. They can be read after show.
func (s *spool) fill(b []byte, off int64) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.file != nil {
		_, err := s.file.WriteAt(b, off)
		return err
	}
	if s.buf == nil {
		return os.ErrClosed
	}
	copy(s.buf[off:], b)
	return nil
}

// show makes the first n bytes readable, except the very last byte of the blob.
func (s *spool) show(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n = min(n, s.size-1); n > s.arrived && !s.over {
		s.arrived = n
		s.wake()
	}
}

// verified ends the filling: all bytes are there and right.
func (s *spool) verified(crc uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.arrived, s.crc, s.over = s.size, crc, true
		s.wake()
	}
}

// fail makes every read fail, now and later, and frees the memory. Of several causes, the first one counts.
func (s *spool) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err, s.over, s.arrived = err, true, 0
		s.buf = nil
		s.wake()
	}
	s.close()
}

// close closes the file, if it is open. A read that is running ends first. The lock is held.
func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// enter opens the spool for a sender.
func (s *spool) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.path != "" && s.file == nil:
		file, err := os.Open(s.path)
		if err != nil {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		s.file = file
	}
	s.users++
	return nil
}

// leave ends what enter began, or the filling.
func (s *spool) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users <= 0 {
		s.close()
	}
}

func (s *spool) wake() {
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// wait waits for the first n bytes.
func (s *spool) wait(ctx context.Context, n int64) error {
	for {
		s.mu.RLock()
		ready, err := s.arrived >= n && (n < s.size || s.over), s.err
		s.mu.RUnlock()
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case ready:
			return nil
		}
		s.mu.Lock()
		if s.arrived >= n && (n < s.size || s.over) || s.err != nil {
			s.mu.Unlock()
			continue
		}
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
}

// readAt reads bytes that are there already.
func (s *spool) readAt(p []byte, off int64) (int, error) {
	s.mu.RLock()
	file, buf, err := s.file, s.buf, s.err
	s.mu.RUnlock() // the filler must not wait for a slow disk read
	switch {
	case err != nil:
		return 0, err
	case s.path == "":
		return copy(p, buf[off:]), nil
	case file == nil:
		return 0, os.ErrClosed // the sender has ended
	}
	n, err := file.ReadAt(p, off)
	if cause := s.failure(); err != nil && cause != nil {
		return n, cause // the file was closed during the read
	}
	return n, err
}

// content is a spool as one upload sees it. It ends with the upload's context, and records the upload's progress.
type content struct {
	ctx    context.Context
	spool  *spool
	sha256 string
	pulse  *pulse
}

func (c *content) Size() int64    { return c.spool.size }
func (c *content) SHA256() string { return c.sha256 }

func (c *content) CRC32C() uint32 {
	c.spool.mu.RLock()
	defer c.spool.mu.RUnlock()
	return c.spool.crc
}

// Wait waits until the first n bytes are there.
func (c *content) Wait(ctx context.Context, n int64) error {
	c.pulse.rest()
	defer c.pulse.beat()
	if ctx == c.ctx {
		return c.spool.wait(ctx, n)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	return c.spool.wait(ctx, n)
}

func (c *content) Verified(ctx context.Context) error { return c.Wait(ctx, c.spool.size) }

func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	if off >= c.spool.size {
		if err := c.Wait(c.ctx, c.spool.size); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), c.spool.size)
	if err := c.Wait(c.ctx, end); err != nil {
		return 0, err
	}
	n, err := c.spool.readAt(p[:end-off], off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	c.pulse.sent(off + int64(n))
	return n, err
}

// failure returns why the spool will never be complete, or is gone.
func (s *spool) failure() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.err
}

// castagnoli is the polynomial of CRC32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// buffers for reads. Their number is bounded by the running downloads and workers.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}
