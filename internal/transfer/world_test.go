package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

// tiny is what the engines of the tests treat as small: a sixteenth of the real limit. What matters is how large a blob
// is relative to that, to the spool, to one read and to one write. So the tests make all of these smaller.
const (
	tiny    = smallBlob / 16
	reading = tiny / 4 // of a source at a time
	writing = tiny / 16
)

// made returns n bytes made of a seed, and their blob.
func made(t testing.TB, seed uint64, n int) ([]byte, Blob) {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1})
	_, _ = r.Read(b)
	sum := sha256.Sum256(b)
	return b, Blob{Digest: digest(t, "sha256:"+hex.EncodeToString(sum[:])), Size: int64(n), Repository: "app"}
}

func made512(t testing.TB, seed uint64, n int) ([]byte, Blob) {
	b, _ := made(t, seed, n)
	sum := sha512.Sum512(b)
	return b, Blob{Digest: digest(t, "sha512:"+hex.EncodeToString(sum[:])), Size: int64(n), Repository: "app"}
}

func digest(t testing.TB, s string) oci.Digest {
	d, err := oci.ParseDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// origin is a source in memory whose bodies a test may spoil.
type origin struct {
	mu    sync.Mutex
	blobs map[oci.Digest][]byte
	opens []int64
	read  int64
	spoil func(b Blob, off int64, body io.Reader) (io.Reader, error) // may be nil
}

func newOrigin() *origin { return &origin{blobs: map[oci.Digest][]byte{}} }

// add adds a blob.
func (o *origin) add(b []byte, blob Blob) Blob {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blobs[blob.Digest] = b
	return blob
}

func (o *origin) Open(ctx context.Context, b Blob, off int64) (io.ReadCloser, error) {
	o.mu.Lock()
	data, ok := o.blobs[b.Digest]
	o.opens = append(o.opens, off)
	spoil := o.spoil
	o.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", b.Digest, ErrGone)
	}
	var body io.Reader = bytes.NewReader(data[min(off, int64(len(data))):])
	if spoil != nil {
		var err error
		if body, err = spoil(b, off, body); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(&counted{ctx: ctx, o: o, r: body}), nil
}

func (o *origin) total() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.read
}

type counted struct {
	ctx context.Context
	o   *origin
	r   io.Reader
}

func (c *counted) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, c.ctx.Err()
	}
	if w, ok := c.r.(interface {
		wait(ctx context.Context) error
	}); ok {
		if err := w.wait(c.ctx); err != nil {
			return 0, err
		}
	}
	n, err := c.r.Read(p[:min(len(p), reading)])
	c.o.mu.Lock()
	c.o.read += int64(n)
	c.o.mu.Unlock()
	return n, err
}

// cutAfter reads n bytes, then fails with err.
func cutAfter(r io.Reader, n int64, err error) io.Reader {
	return io.MultiReader(io.LimitReader(r, n), broken{err})
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// heap is a bucket in memory. fault, if set, is called before (done false) and after every operation.
type heap struct {
	name   string
	weak   bool // keeps no checksums
	copier bool // accepts copies from other heaps
	fault  func(ctx context.Context, op, key string, done bool) error

	mu      sync.Mutex
	objects map[string]object
	version int
	calls   map[string]int
}

type object struct {
	data []byte
	a    store.Attrs
}

func newHeap(name string) *heap {
	return &heap{name: name, objects: map[string]object{}, calls: map[string]int{}}
}

func (h *heap) String() string                      { return "heap://" + h.name }
func (h *heap) Check(context.Context, string) error { return nil }

func (h *heap) ask(ctx context.Context, op, key string, done bool) error {
	h.mu.Lock()
	if !done {
		h.calls[op]++
	}
	fault := h.fault
	h.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, op, key, done); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (h *heap) get(key string) (object, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, ok := h.objects[key]
	return o, ok
}

func (h *heap) count(op string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[op]
}

func (h *heap) Head(ctx context.Context, key string) (store.Attrs, error) {
	if err := h.ask(ctx, "head", key, false); err != nil {
		return store.Attrs{}, err
	}
	o, ok := h.get(key)
	if !ok {
		return store.Attrs{}, store.ErrNotFound
	}
	return o.a, nil
}

func (h *heap) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Attrs, error) {
	if err := h.ask(ctx, "get", key, false); err != nil {
		return nil, store.Attrs{}, err
	}
	o, ok := h.get(key)
	if !ok {
		return nil, store.Attrs{}, store.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(o.data)), o.a, nil
}

// Put writes an object as a store does: only after the content was verified.
func (h *heap) Put(ctx context.Context, key string, c store.Content, hd store.Header, version string) (store.Attrs, error) {
	if err := h.ask(ctx, "put", key, false); err != nil {
		return store.Attrs{}, err
	}
	data := make([]byte, c.Size())
	for off := 0; off < len(data); {
		n, err := c.ReadAt(data[off:min(off+writing, len(data))], int64(off))
		if err != nil && !errors.Is(err, io.EOF) {
			return store.Attrs{}, err
		}
		off += n
	}
	if err := c.Verified(ctx); err != nil {
		return store.Attrs{}, err
	}
	if err := h.ask(ctx, "commit", key, false); err != nil {
		return store.Attrs{}, err
	}
	a, err := h.write(key, data, version)
	if err != nil {
		return store.Attrs{}, err
	}
	return a, h.ask(ctx, "put", key, true)
}

func (h *heap) write(key string, data []byte, version string) (store.Attrs, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, ok := h.objects[key]
	switch {
	case version == "" && ok:
		return store.Attrs{}, store.ErrExists
	case version != "" && old.a.Version != version:
		return store.Attrs{}, store.ErrConflict
	}
	h.version++
	a := store.Attrs{Key: key, Size: int64(len(data)), Version: fmt.Sprint(h.version), Modified: time.Now()}
	if !h.weak {
		sum := sha256.Sum256(data)
		crc := crc32.Checksum(data, castagnoli)
		a.SHA256, a.CRC32C = hex.EncodeToString(sum[:]), &crc
	}
	h.objects[key] = object{data, a}
	return a, nil
}

func (h *heap) List(context.Context, string, string) iter.Seq2[store.Attrs, error] {
	return func(func(store.Attrs, error) bool) {}
}

func (h *heap) Delete(ctx context.Context, key, version string) error {
	if err := h.ask(ctx, "delete", key, false); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if version != "" && h.objects[key].a.Version != version {
		return store.ErrConflict
	}
	delete(h.objects, key)
	return nil
}

func (h *heap) CopiesFrom(src store.Bucket) bool {
	o, ok := src.(*heap)
	return ok && h.copier && o.copier
}

func (h *heap) CopyFrom(ctx context.Context, key string, src store.Bucket, from store.Attrs, hd store.Header) (store.Attrs, error) {
	if err := h.ask(ctx, "copy", key, false); err != nil {
		return store.Attrs{}, err
	}
	o, ok := src.(*heap).get(key)
	if !ok || o.a.Version != from.Version {
		return store.Attrs{}, store.ErrNotFound
	}
	a, err := h.write(key, o.data, "")
	if err != nil {
		return store.Attrs{}, err
	}
	return a, h.ask(ctx, "copy", key, true)
}

// engine makes an engine of heaps that ends with the test.
func engine(t testing.TB, o Source, opt Options, heaps ...*heap) *Engine {
	opt.Source = o
	fallback(&opt.small, tiny)
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	for _, h := range heaps {
		opt.Targets = append(opt.Targets, Target{Name: h.name, Sink: ToBucket(h.name, h, nil), Group: map[bool]string{true: "cloud"}[h.copier]})
	}
	e, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// ensure brings a blob to all targets and collects the results by target.
func ensure(t testing.TB, e *Engine, b Blob, need, have set.Set) map[int]Result {
	t.Helper()
	ch, err := e.Ensure(t.Context(), b, need, have)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]Result{}
	for r := range ch {
		out[r.Target] = r
	}
	return out
}

// hows returns, for each target, how it got the blob, or the error's sentinel.
func hows(rs map[int]Result) map[int]string {
	out := map[int]string{}
	for i, r := range rs {
		out[i] = r.How.String()
		if r.Err != nil {
			out[i] = "error"
			for _, known := range []error{ErrTripped, ErrBehind, ErrCorrupt, ErrGone, ErrSource, ErrSpace, ErrStalled, ErrUnverified, ErrClosed, store.ErrDenied, context.Canceled} {
				if errors.Is(r.Err, known) {
					out[i] = known.Error()
					break
				}
			}
		}
	}
	return out
}

// bubble runs a test in which time passes at once.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}
