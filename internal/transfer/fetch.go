package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"syscall"
	"time"

	"ociproxy/internal/pace"
	"ociproxy/internal/set"
	"ociproxy/internal/wait"
)

// errRestart is why a spool is given up: its content came in pieces and did not match.
var errRestart = errors.New("the download starts again")

// fetch gets the bytes of a blob. It waits for space and a place, downloads, and lets the waiting deliveries begin.
func (e *Engine) fetch(w *work) {
	err := e.reserve(w)
	if err == nil {
		if err = e.slots.Acquire(w.ctx, 1); err == nil {
			e.fetching.Add(1)
			err = e.download(w)
			e.fetching.Add(-1)
			e.slots.Release(1)
		} else {
			err = context.Cause(w.ctx)
		}
	}
	e.mu.Lock()
	defer e.unlock()
	w.fetching = false
	w.idleSince = time.Now()
	if err != nil {
		e.failed(w, err)
	}
	e.conclude(w)
	e.makeRoomEverywhere()
}

// reserve takes the space that a blob needs: memory when the blob is small and there is some left, else disk. So a
// target that lags behind with small blobs does not take the memory away permanently.
func (e *Engine) reserve(w *work) error {
	e.mu.Lock()
	p, size := e.place(w.blob), w.blob.Size
	if size > p.cap {
		e.unlock()
		return fmt.Errorf("%w: the blob has %d bytes, the spool may have %d", ErrSpace, size, p.cap)
	}
	if p == &e.memory && p.fits(size) {
		p.used += size
		w.pool = p
		e.unlock()
		return nil
	}
	var need set.Set
	for _, d := range w.deliveries {
		if d.state != ended {
			need.Add(d.target)
		}
	}
	if p == &e.disk { // what an earlier process left counts as used until here
		p.put(e.dir.take(w.blob.Digest))
	}
	e.unlock()
	err := e.acquire(w.ctx, p, size, need)
	e.mu.Lock()
	defer e.unlock()
	if err != nil {
		if p == &e.disk {
			p.used += e.dir.keep(w.blob.Digest, e.opt.small)
		}
		return err
	}
	w.pool = p
	return nil
}

// place returns the pool for a blob. A blob that fits in both waits for memory only if the disk cannot be used.
func (e *Engine) place(b Blob) *pool {
	switch {
	case b.Size > e.opt.small:
		return &e.disk
	case e.memory.fits(b.Size), b.Size > e.disk.cap, !e.fullTill.IsZero():
		return &e.memory
	default:
		return &e.disk
	}
}

// failed handles bytes that cannot be read: the deliveries that need them fail.
func (e *Engine) failed(w *work, err error) {
	w.stage, w.failure = failed, err
	if errors.Is(err, ErrSpace) && w.pool == &e.disk {
		e.full(w, err)
	}
	again := errors.Is(err, ErrSource) || w.ctx.Err() != nil
	if w.spool != nil {
		w.spool.fail(err)
	}
	e.dropSpool(w, again)
	for _, d := range w.deliveries {
		if d.step == toSend && d.state != ended {
			e.drop(d, err)
		}
	}
}

// download fills the spool. It starts again once when content that came in several pieces turns out wrong.
func (e *Engine) download(w *work) error {
	for second := false; ; second = true {
		s, left, err := e.newSpool(w)
		if err != nil {
			return err
		}
		e.mu.Lock()
		w.spool, w.stage = s, filling
		if left == 0 {
			e.tell(Began, w.blob, -1, 0, nil)
		}
		for _, d := range w.deliveries {
			if d.step == toSend && d.state == waiting {
				e.enqueue(d)
			}
		}
		e.unlock()

		t := &fetcher{e: e, w: w, s: s, hash: w.blob.Digest.Hash()}
		err = t.run(left)
		s.leave()
		again := errors.Is(err, ErrCorrupt) && t.pieced && !second
		e.mu.Lock()
		switch {
		case err == nil:
			w.stage, w.crc = whole, &t.crc
			s.verified(t.crc)
			e.blobs.Add(1)
			e.tell(Fetched, w.blob, -1, w.blob.Size, nil)
		case again:
			w.stage, w.spool = coming, nil
			s.fail(errRestart)
			for _, d := range w.deliveries {
				if d.step == toSend && d.state == queued { // the old bytes are gone: it must wait
					e.unqueue(d)
					d.state = waiting
				}
			}
			if s.path != "" {
				e.dir.remove(w.blob.Digest)
			}
			e.tell(Refetched, w.blob, -1, 0, err)
		}
		e.unlock()
		if !again {
			return err
		}
	}
}

// newSpool makes the place for a blob's bytes. It returns how many bytes an earlier process left there. The caller
// calls leave when the spool is filled.
func (e *Engine) newSpool(w *work) (*spool, int64, error) {
	s := &spool{size: w.blob.Size}
	if w.pool == &e.memory {
		s.buf = make([]byte, w.blob.Size)
		return s, 0, nil
	}
	file, left, err := e.dir.open(w.blob.Digest)
	if err != nil {
		return nil, 0, spaceError(err)
	}
	s.path, s.file, s.users = file.Name(), file, 1
	if left > w.blob.Size {
		left = 0
		if err := file.Truncate(0); err != nil {
			file.Close()
			return nil, 0, spaceError(err)
		}
	}
	return s, left, nil
}

// spaceError wraps err in ErrSpace if the disk is full, else in errSpool.
func spaceError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", ErrSpace, err)
	}
	return fmt.Errorf("%w: %w", errSpool, err)
}

// fetcher is one download into one spool, from the start to the digest.
type fetcher struct {
	e      *Engine
	w      *work
	s      *spool
	hash   hash.Hash
	crc    uint32
	off    int64
	begun  bool // something was read
	pieced bool // read in more than one piece
}

// run continues after the first left bytes, which are in the spool already.
func (t *fetcher) run(left int64) error {
	if left > 0 {
		if err := t.reread(left); err != nil {
			return err
		}
	}
	size := t.w.blob.Size
	since := t.off // offset from which the tries are counted
	for tries := 0; t.off < size || !t.begun; {
		ended, err := t.piece()
		switch {
		case err == nil && t.off == size:
			continue
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrSpace), errors.Is(err, ErrGone), errors.Is(err, ErrRefused), errors.Is(err, errSpool):
			return err
		case t.w.ctx.Err() != nil:
			return context.Cause(t.w.ctx)
		}
		if !errors.Is(err, pace.ErrSlow) && t.off-since >= min(t.e.opt.small, size/16+1) {
			since, tries = t.off, 0
		}
		if tries++; tries >= t.e.opt.Tries {
			if ended {
				return fmt.Errorf("it ends after %d bytes of %d: %w", t.off, size, &SizeError{Said: size, Is: -1})
			}
			return fmt.Errorf("%w: at %d of %d bytes: %w", ErrSource, t.off, size, err)
		}
		if err := wait.For(t.w.ctx, pause(tries)); err != nil {
			return err
		}
	}
	if want := t.w.blob.Digest; !want.Matches(t.hash) {
		return fmt.Errorf("%w: it is %s:%x", ErrCorrupt, want.Algorithm(), t.hash.Sum(nil))
	}
	return nil
}

// errSpool is an error of the spool other than a full disk.
var errSpool = errors.New("the spool cannot be used")

// reread hashes the bytes that an earlier process left.
func (t *fetcher) reread(left int64) error {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for t.off < left {
		if t.w.ctx.Err() != nil {
			return context.Cause(t.w.ctx)
		}
		n, err := t.s.readAt(buf[:min(int64(len(buf)), left-t.off)], t.off)
		if n == 0 {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		t.take(buf[:n])
	}
	t.begun, t.pieced = true, true
	t.e.resumed.Add(left)
	t.e.mu.Lock()
	t.e.tell(Continued, t.w.blob, -1, left, nil)
	t.e.unlock()
	return nil
}

// take hashes bytes that are in the spool.
func (t *fetcher) take(b []byte) {
	t.hash.Write(b)
	t.crc = crc32.Update(t.crc, castagnoli, b)
	t.off += int64(len(b))
	t.s.show(t.off)
}

// piece reads the source from where the spool ends, until the source ends or breaks off. ended: the source itself
// ended.
func (t *fetcher) piece() (ended bool, err error) {
	size := t.w.blob.Size
	ctx, cancel := context.WithCancelCause(t.w.ctx)
	defer cancel(nil)
	least := pace.Minimum{Bytes: pace.Window, Within: t.e.opt.Stall}
	clock := least.Watch(func() { cancel(fmt.Errorf("%w: %w", ErrStalled, least.Err())) })
	defer clock.Stop()
	t.e.sourceOpens.Add(1)
	if t.off > 0 {
		t.pieced = true
		t.e.mu.Lock()
		t.e.tell(Continued, t.w.blob, -1, t.off, nil)
		t.e.unlock()
	}
	clock.Wait()
	body, err := t.e.opt.Source.Open(ctx, t.w.blob, t.off)
	clock.Turn()
	if err != nil {
		return false, cause(ctx, err)
	}
	defer body.Close()
	t.begun = true
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := clock.Read(body, buf[:min(int64(len(buf)), size-t.off+1)]) // one more, to detect excess
		t.e.sourceBytes.Add(int64(n))
		if t.off+int64(n) > size {
			return false, fmt.Errorf("it has more than %d bytes: %w", size, &SizeError{Said: size, Is: -1})
		}
		if n > 0 {
			if err := t.s.fill(buf[:n], t.off); err != nil {
				if errors.Is(err, os.ErrClosed) {
					return false, fmt.Errorf("%w: %w", errSpool, err)
				}
				return false, spaceError(err)
			}
			t.take(buf[:n])
		}
		switch {
		case errors.Is(err, io.EOF):
			if t.off < size && t.w.blob.Digest.Matches(t.hash) { // the source has no more
				return true, &SizeError{Said: size, Is: t.off}
			}
			if t.off < size {
				return true, io.ErrUnexpectedEOF
			}
			return true, nil
		case err != nil && t.off == size:
			return false, nil // everything is there; the digest decides
		case err != nil:
			return false, cause(ctx, err)
		}
	}
}

// cause returns why ctx ended, if it did, else err.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
