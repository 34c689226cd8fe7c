package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// Segments is a cache of segments, shared by all stores: what two stores list under one hash is fetched once.
// It holds nothing but verified segments. With a directory they lie there and survive a restart; without one, or while it cannot
// be written, they are in memory only until a table has been built from them. Safe for concurrent use.
type Segments struct {
	dir    string // "": memory only
	limit  int64
	client *http.Client

	flight    singleflight.Group
	downloads *semaphore.Weighted

	mu       sync.Mutex
	verified map[string]int64  // bytes by hash, of those on disk that this process has checked
	memory   map[string][]byte // by hash
	diskErr  error             // why the last segment could not be kept on disk
}

// Defaults of a cache.
const (
	DefaultCacheBytes = 16 << 30  // on disk: the lists of 33 stores with ten million digests each
	maxMemory         = 256 << 20 // without a disk: a store with six million digests
	maxDownloads      = 4         // at once
	keepUnused        = 10 * time.Minute
)

// NewSegments makes a cache in dir; "" keeps segments in memory only. limit bounds the bytes, 0 is [DefaultCacheBytes].
func NewSegments(dir string, limit int64, client *http.Client) *Segments {
	if limit <= 0 {
		limit = DefaultCacheBytes
	}
	return &Segments{
		dir: dir, limit: limit, client: downloadClient(client),
		downloads: semaphore.NewWeighted(maxDownloads),
		verified:  map[string]int64{}, memory: map[string][]byte{},
	}
}

// errCacheFull says that keeping a segment would exceed the cache's bound.
var errCacheFull = errors.New("segment cache is full")

// knows reports whether this process has verified the segment.
func (c *Segments) knows(ref SegmentRef) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, inMemory := c.memory[ref.SHA256]
	_, onDisk := c.verified[ref.SHA256]
	return inMemory || onDisk
}

// has reports whether a verified segment is there. What lies on disk from an earlier process is verified now.
func (c *Segments) has(ref SegmentRef) bool {
	if c.knows(ref) {
		return true
	}
	if c.dir == "" {
		return false
	}
	f, err := os.Open(c.path(ref.SHA256))
	if err != nil {
		return false
	}
	defer f.Close()
	if err := Verify(f, ref); err != nil {
		c.Drop(ref.SHA256)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verified[ref.SHA256] = ref.Bytes
	return true
}

// Open reads a segment that was fetched.
func (c *Segments) Open(ref SegmentRef) (io.ReadCloser, error) {
	c.mu.Lock()
	body, ok := c.memory[ref.SHA256]
	c.mu.Unlock()
	if ok {
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	if c.dir == "" {
		return nil, os.ErrNotExist
	}
	return os.Open(c.path(ref.SHA256))
}

// Fetch brings a segment from its origin, unless it is there already.
func (c *Segments) Fetch(ctx context.Context, from Origin, ref SegmentRef) error {
	for {
		if c.knows(ref) {
			return nil
		}
		mine := false
		ch := c.flight.DoChan(ref.SHA256, func() (any, error) {
			mine = true
			return nil, c.bring(ctx, from, ref)
		})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-ch:
			if r.Err == nil {
				return nil
			}
			if mine {
				return fmt.Errorf("get %s: %w", from.Where(ref), r.Err)
			}
			// Another store could not deliver it; that says nothing about this one.
		}
	}
}

func (c *Segments) bring(ctx context.Context, from Origin, ref SegmentRef) error {
	if err := c.downloads.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.downloads.Release(1)
	if c.has(ref) {
		return nil
	}
	if c.used()+ref.Bytes > c.limit {
		return fmt.Errorf("%w: %d bytes allowed", errCacheFull, c.limit)
	}
	if c.dir != "" {
		err := c.toDisk(ctx, from, ref)
		if failed, ok := errors.AsType[*writeError](err); ok {
			c.setDiskErr(failed)
		} else {
			if err == nil {
				c.setDiskErr(nil)
			}
			return err
		}
	}
	if c.inMemory()+ref.Bytes > maxMemory {
		return fmt.Errorf("%w: %d bytes allowed in memory", errCacheFull, int64(maxMemory))
	}
	var body bytes.Buffer
	body.Grow(int(ref.Bytes) + bytes.MinRead)
	if err := download(ctx, from, ref, &body); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory[ref.SHA256] = body.Bytes()
	return nil
}

func (c *Segments) toDisk(ctx context.Context, from Origin, ref SegmentRef) (err error) {
	name := c.path(ref.SHA256)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return &writeError{err}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".segment-*")
	if err != nil {
		return &writeError{err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = download(ctx, from, ref, f)
	if err == nil {
		err = wrapWrite(f.Sync())
	}
	if cerr := f.Close(); err == nil {
		err = wrapWrite(cerr)
	}
	if err == nil {
		err = wrapWrite(os.Rename(f.Name(), name))
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verified[ref.SHA256] = ref.Bytes
	return nil
}

func wrapWrite(err error) error {
	if err == nil {
		return nil
	}
	return &writeError{err}
}

// Drop forgets a segment that turned out to be damaged.
func (c *Segments) Drop(sha256 string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.verified, sha256)
	delete(c.memory, sha256)
	if c.dir != "" {
		_ = os.Remove(c.path(sha256)) // where that fails, it fails to verify again
	}
}

// DropMemory forgets the segments in memory: a table has what they say.
func (c *Segments) DropMemory() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.memory)
}

// Retain removes from disk what keep does not want and what lies there unused for some time: another process may
// share the directory.
func (c *Segments) Retain(keep func(sha256 string) bool, now time.Time) {
	if c.dir == "" {
		return
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, "seg"))
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || keep(e.Name()) || now.Sub(info.ModTime()) < keepUnused {
			continue
		}
		c.mu.Lock()
		delete(c.verified, e.Name())
		c.mu.Unlock()
		_ = os.Remove(filepath.Join(c.dir, "seg", e.Name())) // the next pass tries again
	}
}

// used is how many bytes lie on disk and in memory.
func (c *Segments) used() (n int64) {
	if c.dir != "" {
		entries, _ := os.ReadDir(filepath.Join(c.dir, "seg")) // none: nothing is used
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
	}
	return n + c.inMemory()
}

func (c *Segments) inMemory() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.memory {
		n += int64(len(b))
	}
	return n
}

// onDisk reports whether segments go to disk, as far as is known.
func (c *Segments) onDisk() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir != "" && c.diskErr == nil
}

func (c *Segments) setDiskErr(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.diskErr = err
}

func (c *Segments) path(sha256 string) string { return filepath.Join(c.dir, "seg", sha256) }
