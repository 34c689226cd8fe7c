package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

// TestThousand makes a thousand requests for blobs that share much. Each blob is read exactly once, and every store
// gets all of them, in files.
func TestThousand(t *testing.T) {
	o := newOrigin()
	var targets []Target
	var buckets []store.Bucket
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	for i, dir := range dirs {
		b, err := store.Open(t.Context(), "file://"+dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		buckets = append(buckets, b)
		targets = append(targets, Target{Name: fmt.Sprint("f", i), Sink: ToBucket("f", b, nil)})
	}
	e := engine(t, o, Options{Targets: targets, MemoryBytes: 4 << 20, small: smallBlob})
	const unique = 250
	var blobs []Blob
	var sum int64
	for i := range unique {
		size := 500 * i
		if i%50 == 7 {
			size = smallBlob + i
		}
		blobs = append(blobs, o.add(made(t, uint64(i), size)))
		sum += int64(size)
	}
	var wg sync.WaitGroup
	var bad atomic.Int64
	for i := range 1000 {
		ch, err := e.Ensure(t.Context(), blobs[i*7%unique], all3, set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for r := range ch {
				if r.Err != nil {
					bad.Add(1)
					t.Log(r.Err)
				}
			}
		})
	}
	wg.Wait()
	if bad.Load() > 0 {
		t.Errorf("%d failures", bad.Load())
	}
	if o.total() != sum || e.Stats().Blobs != unique {
		t.Errorf("read %d bytes and %d blobs, want %d and %d", o.total(), e.Stats().Blobs, sum, unique)
	}
	for i, bucket := range buckets {
		n := 0
		for a, err := range bucket.List(t.Context(), store.BlobPrefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			body, _, err := bucket.Get(t.Context(), a.Key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			if _, err := io.Copy(h, body); err != nil {
				t.Fatal(err)
			}
			body.Close()
			if a.Key != store.BlobPrefix+"sha256:"+hex.EncodeToString(h.Sum(nil)) {
				t.Errorf("%s is wrong", a.Key)
			}
			n++
		}
		if n != unique {
			t.Errorf("%s holds %d objects, want %d", targets[i].Name, n, unique)
		}
	}
}

// pattern is an endless stream that is never completely in memory: a block with a counter in it.
type pattern struct {
	off, size int64
	block     [64 << 10]byte
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.off >= p.size {
		return 0, io.EOF
	}
	at := p.off % int64(len(p.block))
	if at == 0 {
		copy(p.block[:], fmt.Sprintf("%020d", p.off))
	}
	n := copy(b[:min(int64(len(b)), p.size-p.off)], p.block[at:])
	p.off += int64(n)
	return n, nil
}

func (p *pattern) Close() error { return nil }

// stream is a source of one pattern.
type stream struct{}

func (stream) Open(_ context.Context, b Blob, off int64) (io.ReadCloser, error) {
	return &pattern{off: off, size: b.Size}, nil
}

func streamed(t testing.TB, size int64) Blob {
	h := sha256.New()
	if _, err := io.Copy(h, &pattern{size: size}); err != nil {
		t.Fatal(err)
	}
	return Blob{Digest: digest(t, "sha256:"+hex.EncodeToString(h.Sum(nil))), Size: size}
}

// discard is a bucket that reads everything and keeps nothing.
type discard struct {
	store.Bucket
	most *atomic.Uint64
}

func (d discard) Head(context.Context, string) (store.Attrs, error) {
	return store.Attrs{}, store.ErrNotFound
}

func (d discard) Put(ctx context.Context, key string, c store.Content, _ store.Header, _ string) (store.Attrs, error) {
	buf := make([]byte, 256<<10)
	for off, n := int64(0), 0; off < c.Size(); n++ {
		got, err := c.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return store.Attrs{}, err
		}
		off += int64(got)
		if n%256 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			for old := d.most.Load(); m.HeapInuse > old && !d.most.CompareAndSwap(old, m.HeapInuse); old = d.most.Load() {
			}
		}
	}
	return store.Attrs{Key: key, Size: c.Size()}, c.Verified(ctx)
}

func (d discard) List(context.Context, string, string) iter.Seq2[store.Attrs, error] { return nil }

// TestMemory: the memory that a blob needs does not depend on its size.
func TestMemory(t *testing.T) {
	const size = 128 << 20
	blob := streamed(t, size)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	e := engine(t, stream{}, Options{Targets: []Target{{Name: "x", Sink: ToBucket("x", discard{most: &most}, nil)}, {Name: "y", Sink: ToBucket("y", discard{most: &most}, nil)}}})
	for _, r := range ensure(t, e, blob, set.Of(0, 1), set.Set{}) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	growth := int64(most.Load()) - int64(before.HeapInuse)
	t.Logf("heap grew by %d KiB", growth>>10)
	if growth > size/4 {
		t.Errorf("the heap grew by %d MiB", growth>>20)
	}
}

// TestSlowSpeed compares the engine with the simplest program that does the same: one loop that reads, hashes, and
// writes three files.
func TestSlowSpeed(t *testing.T) {
	if os.Getenv("OCIPROXY_SLOW") == "" {
		t.Skip("OCIPROXY_SLOW is not set")
	}
	const size = 1 << 30
	blob := streamed(t, size)
	dir := t.TempDir()
	start := time.Now()
	h := sha256.New()
	writers := []io.Writer{h}
	for i := range 3 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		writers = append(writers, f)
	}
	if _, err := io.CopyBuffer(io.MultiWriter(writers...), struct{ io.Reader }{&pattern{size: size}}, make([]byte, 256<<10)); err != nil {
		t.Fatal(err)
	}
	bare := time.Since(start)
	var targets []Target
	for i := range 3 {
		b, err := store.Open(t.Context(), "file://"+t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}

		targets = append(targets, Target{Name: fmt.Sprint("f", i), Sink: ToBucket("f", b, nil)})
	}
	e := engine(t, stream{}, Options{Targets: targets})
	start = time.Now()
	for _, r := range ensure(t, e, blob, all3, set.Set{}) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	took := time.Since(start)
	t.Logf("bare loop %s, engine %s: %.2f", bare.Round(time.Millisecond), took.Round(time.Millisecond), took.Seconds()/bare.Seconds())
}
