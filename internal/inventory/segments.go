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

	"ociproxy/internal/atomicfile"
)

// Segments is a cache of segments that all stores share: it fetches a segment that two stores list only once. It
// holds only verified segments. With a directory they lie there and survive a restart. Without one, or while it
// cannot be written, they stay in memory only until a table has been built from them. A [Hold] keeps its segments.
// Safe for concurrent use.
type Segments struct {
	dir    string // "": memory only
	limit  int64
	client *http.Client

	flight    singleflight.Group
	downloads *semaphore.Weighted

	mu       sync.Mutex        // a reader's lock may be taken while it is held
	held     map[string]int    // holds by hash
	verified map[string]int64  // bytes by hash: segments on disk that this process has checked
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
		held:      map[string]int{}, verified: map[string]int64{}, memory: map[string][]byte{},
	}
}

// errCacheFull says that keeping a segment would exceed the cache's bound.
var errCacheFull = errors.New("segment cache is full")

// find reports where a verified segment is.
func (c *Segments) find(ref SegmentRef) (onDisk, inMemory bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, inMemory = c.memory[ref.SHA256]
	_, onDisk = c.verified[ref.SHA256]
	return onDisk, inMemory
}

// has reports whether a verified segment is there. What lies on disk from an earlier process is verified now.
func (c *Segments) has(ref SegmentRef) bool {
	if onDisk, inMemory := c.find(ref); onDisk || inMemory {
		return true
	}
	return c.Check(ref)
}

// Check verifies the segment on disk, and removes it when it is damaged. Call it after a segment could not be read.
// It reports whether a good one is there.
func (c *Segments) Check(ref SegmentRef) bool {
	if c.dir == "" {
		return false
	}
	f, err := os.Open(c.path(ref.SHA256))
	if err == nil {
		defer f.Close()
		err = Verify(f, ref)
	}
	if err != nil {
		c.discard(ref.SHA256, f)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verified[ref.SHA256] = ref.Bytes
	return true
}

// discard removes a damaged file; nil: the file could not be opened. It leaves a file that was put in its place
// meanwhile.
func (c *Segments) discard(sha256 string, damaged *os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := c.path(sha256)
	if now, err := os.Stat(name); err == nil {
		if damaged == nil {
			return
		}
		if was, err := damaged.Stat(); err == nil && !os.SameFile(was, now) {
			return
		}
	}
	delete(c.verified, sha256)
	_ = os.Remove(name) // if this fails, the file fails to verify again
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

// bring downloads a segment that is not there: to disk, or, if memory allows it, into memory. An error of our own disk
// is a *writeError.
func (c *Segments) bring(ctx context.Context, from Origin, ref SegmentRef, memory bool) error {
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
		_, ok := errors.AsType[*writeError](err)
		if ok || err == nil {
			c.setDiskErr(err)
		}
		if !ok || !memory {
			return err
		}
	}
	if c.inMemory()+ref.Bytes > maxMemory {
		c.DropMemory()
	}
	if c.inMemory()+ref.Bytes > maxMemory {
		return fmt.Errorf("%w: %d bytes allowed in memory", errCacheFull, int64(maxMemory))
	}
	body := growing{most: ref.Bytes}
	if err := download(ctx, from, ref, &body); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory[ref.SHA256] = body.bytes
	return nil
}

// growing is the part of a segment that has arrived. It does not reserve memory because of the size that a store
// claims: it grows with the content, up to twice as much and never beyond most.
type growing struct {
	bytes []byte
	most  int64
}

// Write implements [io.Writer].
func (g *growing) Write(p []byte) (int, error) {
	if need := len(g.bytes) + len(p); need > cap(g.bytes) {
		room := max(int64(need), min(g.most, 2*int64(cap(g.bytes))))
		g.bytes = append(make([]byte, 0, room), g.bytes...)
	}
	g.bytes = append(g.bytes, p...)
	return len(p), nil
}

func (c *Segments) toDisk(ctx context.Context, from Origin, ref SegmentRef) (err error) {
	name := c.path(ref.SHA256)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return &writeError{err}
	}
	f, err := atomicfile.Create(name, 0o600)
	if err != nil {
		return &writeError{err}
	}
	defer func() { err = errors.Join(err, f.Abort()) }()
	if err := download(ctx, from, ref, f); err != nil {
		return err
	}
	if err := f.Seal(); err != nil {
		return &writeError{err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f.Commit(); err != nil {
		return &writeError{err}
	}
	c.verified[ref.SHA256] = ref.Bytes
	return nil
}

// DropMemory forgets the segments in memory that no [Hold] has: a table has their content.
func (c *Segments) DropMemory() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for sha256 := range c.memory {
		if c.held[sha256] == 0 {
			delete(c.memory, sha256)
		}
	}
}

// Retain removes the segments from disk that keep does not want, no [Hold] has, and that were not used for some time:
// another process may share the directory. keep must not use the cache.
func (c *Segments) Retain(keep func(sha256 string) bool, now time.Time) {
	if c.dir == "" {
		return
	}
	atomicfile.SweepTree(filepath.Join(c.dir, "seg"))
	entries, err := os.ReadDir(filepath.Join(c.dir, "seg"))
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && IsHash(e.Name()) && now.Sub(info.ModTime()) >= keepUnused {
			c.evict(e.Name(), keep)
		}
	}
}

// evict removes a file unless it is wanted. A head that lists it is set before its hold is released. So when neither
// is found under the lock, the file is not needed.
func (c *Segments) evict(sha256 string, keep func(sha256 string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[sha256] > 0 || keep(sha256) {
		return
	}
	delete(c.verified, sha256)
	_ = os.Remove(c.path(sha256)) // the next pass tries again
}

// used returns how many bytes are on disk and in memory.
func (c *Segments) used() (n int64) {
	if c.dir != "" {
		entries, _ := os.ReadDir(filepath.Join(c.dir, "seg")) // on an error, nothing counts
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

// onDisk reports whether segments go to disk, as far as the cache knows.
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
