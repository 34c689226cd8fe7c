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

// errAnew is why a spool is given up that was pieced together and did not match.
var errAnew = errors.New("the download begins anew")

// fetch gets the bytes of a flight: waits for space and a place, downloads, and lets the legs that wait begin.
func (e *Engine) fetch(f *flight) {
	err := e.reserve(f)
	if err == nil {
		if err = e.acquire(f.ctx, &e.slots, 1, set.Set{}); err == nil {
			err = e.download(f)
			e.release(&e.slots)
		}
	}
	e.mu.Lock()
	defer e.unlock()
	f.fetching = false
	f.parked = time.Now()
	if err != nil {
		e.failed(f, err)
	}
	e.land(f)
	e.relieveAll()
}

// reserve takes the space that a flight needs: memory when the blob is small and there is some left, else disk. So a target that lags
// behind with small blobs takes the memory from nobody for good.
func (e *Engine) reserve(f *flight) error {
	e.mu.Lock()
	p, size := e.place(f.blob), f.blob.Size
	if size > p.cap {
		e.unlock()
		return fmt.Errorf("%w: the blob has %d bytes, the spool may have %d", ErrSpace, size, p.cap)
	}
	if p == &e.memory && p.fits(size) {
		p.used += size
		f.pool = p
		e.unlock()
		return nil
	}
	var need set.Set
	for _, l := range f.legs {
		if l.state != ended {
			need.Add(l.target)
		}
	}
	if p == &e.disk { // what an earlier process left counts as taken until here
		p.put(e.dir.take(f.blob.Digest))
	}
	e.unlock()
	err := e.acquire(f.ctx, p, size, need)
	e.mu.Lock()
	defer e.unlock()
	if err != nil {
		if p == &e.disk {
			p.used += e.dir.keep(f.blob.Digest, e.opt.small)
		}
		return err
	}
	f.pool = p
	return nil
}

// place says where a blob is to lie. One that could lie in both waits for memory only where the disk can be of no use.
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

// failed ends a flight's bytes: its legs that need them fail.
func (e *Engine) failed(f *flight, err error) {
	f.stage, f.failure = failed, err
	if errors.Is(err, ErrSpace) && f.pool == &e.disk {
		e.full(f, err)
	}
	again := errors.Is(err, ErrSource) || f.ctx.Err() != nil
	if f.spool != nil {
		f.spool.fail(err)
	}
	e.ground(f, again)
	for _, l := range f.legs {
		if l.step == send && l.state != ended {
			e.drop(l, err)
		}
	}
}

// download fills the flight's spool, a second time from the start when what was pieced together turns out wrong.
func (e *Engine) download(f *flight) error {
	for second := false; ; second = true {
		s, left, err := e.newSpool(f)
		if err != nil {
			return err
		}
		e.mu.Lock()
		f.spool, f.stage = s, filling
		if left == 0 {
			e.tell(Began, f.blob, -1, 0, nil)
		}
		for _, l := range f.legs {
			if l.step == send && l.state == waiting {
				e.enqueue(l)
			}
		}
		e.unlock()

		d := &fetcher{e: e, f: f, s: s, hash: f.blob.Digest.Hash()}
		err = d.run(left)
		s.leave()
		again := errors.Is(err, ErrCorrupt) && d.pieced && !second
		e.mu.Lock()
		switch {
		case err == nil:
			f.stage, f.crc = whole, &d.crc
			s.verified(d.crc)
			e.blobs.Add(1)
			e.tell(Fetched, f.blob, -1, f.blob.Size, nil)
		case again:
			f.stage, f.spool = coming, nil
			s.fail(errAnew)
			for _, l := range f.legs {
				if l.step == send && l.state == queued { // there is nothing to begin with
					e.unqueue(l)
					l.state = waiting
				}
			}
			if s.path != "" {
				e.dir.remove(f.blob.Digest)
			}
			e.tell(Refetched, f.blob, -1, 0, err)
		}
		e.unlock()
		if !again {
			return err
		}
	}
}

// newSpool makes the place for a flight's bytes, and says how many are there from an earlier process. The caller leaves it when it is filled.
func (e *Engine) newSpool(f *flight) (*spool, int64, error) {
	s := &spool{size: f.blob.Size}
	if f.pool == &e.memory {
		s.buf = make([]byte, f.blob.Size)
		return s, 0, nil
	}
	file, left, err := e.dir.open(f.blob.Digest)
	if err != nil {
		return nil, 0, spaceError(err)
	}
	s.path, s.file, s.users = file.Name(), file, 1
	if left > f.blob.Size {
		left = 0
		if err := file.Truncate(0); err != nil {
			file.Close()
			return nil, 0, spaceError(err)
		}
	}
	return s, left, nil
}

// spaceError says when the disk is full.
func spaceError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", ErrSpace, err)
	}
	return fmt.Errorf("%w: %w", errSpool, err)
}

// fetcher is one download into one spool, from the start to the digest.
type fetcher struct {
	e      *Engine
	f      *flight
	s      *spool
	hash   hash.Hash
	crc    uint32
	off    int64
	begun  bool // something was read
	pieced bool // in more than one go
}

// run continues after the first left bytes, which are in the spool already.
func (d *fetcher) run(left int64) error {
	if left > 0 {
		if err := d.reread(left); err != nil {
			return err
		}
	}
	size := d.f.blob.Size
	since := d.off // where the tries were counted from
	for tries := 0; d.off < size || !d.begun; {
		ended, err := d.piece()
		switch {
		case err == nil && d.off == size:
			continue
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrSpace), errors.Is(err, ErrGone), errors.Is(err, ErrRefused), errors.Is(err, errSpool):
			return err
		case d.f.ctx.Err() != nil:
			return context.Cause(d.f.ctx)
		}
		if !errors.Is(err, pace.ErrSlow) && d.off-since >= min(d.e.opt.small, size/16+1) {
			since, tries = d.off, 0
		}
		if tries++; tries >= d.e.opt.Tries {
			if ended {
				return fmt.Errorf("it ends after %d bytes of %d: %w", d.off, size, &SizeError{Said: size, Is: -1})
			}
			return fmt.Errorf("%w: at %d of %d bytes: %w", ErrSource, d.off, size, err)
		}
		if err := wait.For(d.f.ctx, pause(tries)); err != nil {
			return err
		}
	}
	if want := d.f.blob.Digest; !want.Matches(d.hash) {
		return fmt.Errorf("%w: it is %s:%x", ErrCorrupt, want.Algorithm(), d.hash.Sum(nil))
	}
	return nil
}

// errSpool is an error of the spool other than a full disk.
var errSpool = errors.New("the spool cannot be used")

// reread hashes what an earlier process left.
func (d *fetcher) reread(left int64) error {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for d.off < left {
		if d.f.ctx.Err() != nil {
			return context.Cause(d.f.ctx)
		}
		n, err := d.s.readAt(buf[:min(int64(len(buf)), left-d.off)], d.off)
		if n == 0 {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		d.take(buf[:n])
	}
	d.begun, d.pieced = true, true
	d.e.resumed.Add(left)
	d.e.mu.Lock()
	d.e.tell(Continued, d.f.blob, -1, left, nil)
	d.e.unlock()
	return nil
}

// take hashes bytes that are in the spool.
func (d *fetcher) take(b []byte) {
	d.hash.Write(b)
	d.crc = crc32.Update(d.crc, castagnoli, b)
	d.off += int64(len(b))
	d.s.show(d.off)
}

// piece reads the source from where the spool ends, until it ends or breaks off. ended: it ended of its own accord.
func (d *fetcher) piece() (ended bool, err error) {
	size := d.f.blob.Size
	ctx, cancel := context.WithCancelCause(d.f.ctx)
	defer cancel(nil)
	least := pace.Minimum{Bytes: pace.Window, Within: d.e.opt.Stall}
	clock := least.Watch(func() { cancel(fmt.Errorf("%w: %w", ErrStalled, least.Err())) })
	defer clock.Stop()
	d.e.sourceOpens.Add(1)
	if d.off > 0 {
		d.pieced = true
		d.e.mu.Lock()
		d.e.tell(Continued, d.f.blob, -1, d.off, nil)
		d.e.unlock()
	}
	clock.Wait()
	body, err := d.e.opt.Source.Open(ctx, d.f.blob, d.off)
	clock.Turn()
	if err != nil {
		return false, cause(ctx, err)
	}
	defer body.Close()
	d.begun = true
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := clock.Read(body, buf[:min(int64(len(buf)), size-d.off+1)]) // one more, to see a source that has too much
		d.e.sourceBytes.Add(int64(n))
		if d.off+int64(n) > size {
			return false, fmt.Errorf("it has more than %d bytes: %w", size, &SizeError{Said: size, Is: -1})
		}
		if n > 0 {
			if err := d.s.fill(buf[:n], d.off); err != nil {
				if errors.Is(err, os.ErrClosed) {
					return false, fmt.Errorf("%w: %w", errSpool, err)
				}
				return false, spaceError(err)
			}
			d.take(buf[:n])
		}
		switch {
		case errors.Is(err, io.EOF):
			if d.off < size && d.f.blob.Digest.Matches(d.hash) { // that is all of it
				return true, &SizeError{Said: size, Is: d.off}
			}
			if d.off < size {
				return true, io.ErrUnexpectedEOF
			}
			return true, nil
		case err != nil && d.off == size:
			return false, nil // all is there; the digest decides
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
