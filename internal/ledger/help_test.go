package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// operation of a bucket.
type operation struct{ op, key string }

// outcome of an operation that a test spoils.
type outcome int

const (
	fine      outcome = iota
	failed            // nothing happened
	persisted         // it happened, but the answer was lost
)

var errFault = errors.New("the store does not answer")

// watched is a directory as a bucket, which counts operations, and fails on demand.
type watched struct {
	store.Bucket
	mu     sync.Mutex
	seen   []operation
	inject func(operation) outcome // nil: all is fine; called under mu
	sums   bool                    // it keeps checksums: most blobs of these tests are not what their digests say
}

func open(t testing.TB) *watched {
	t.Helper()
	b, err := store.Open(t.Context(), "file://"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &watched{Bucket: b}
}

func (w *watched) note(op, key string) outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := operation{op, key}
	w.seen = append(w.seen, o)
	if w.inject == nil {
		return fine
	}
	return w.inject(o)
}

// set replaces inject.
func (w *watched) set(f func(operation) outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inject = f
}

// take returns what was seen since the last take, as lines.
func (w *watched) take() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.seen {
		lines = append(lines, o.op+" "+o.key)
	}
	w.seen = nil
	return lines
}

func (w *watched) Head(ctx context.Context, key string) (store.Attrs, error) {
	if w.note("head", key) != fine {
		return store.Attrs{}, errFault
	}
	a, err := w.Bucket.Head(ctx, key)
	if !w.sums {
		a.SHA256 = ""
	}
	return a, err
}

func (w *watched) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Attrs, error) {
	if w.note("get", key) != fine {
		return nil, store.Attrs{}, errFault
	}
	return w.Bucket.Get(ctx, key, off, n)
}

func (w *watched) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (store.Attrs, error) {
	o := w.note("put", key)
	if o == failed {
		return store.Attrs{}, errFault
	}
	a, err := w.Bucket.Put(ctx, key, c, h, version)
	if o == persisted {
		return store.Attrs{}, errFault
	}
	return a, err
}

func (w *watched) Delete(ctx context.Context, key, version string) error {
	o := w.note("delete", key)
	if o == failed {
		return errFault
	}
	err := w.Bucket.Delete(ctx, key, version)
	if o == persisted {
		return errFault
	}
	return err
}

func (w *watched) List(ctx context.Context, prefix, after string) iter.Seq2[store.Attrs, error] {
	if w.note("list", prefix) != fine {
		return func(yield func(store.Attrs, error) bool) { yield(store.Attrs{}, errFault) }
	}
	return w.Bucket.List(ctx, prefix, after)
}

// write puts an object whatever is there.
func (w *watched) write(t testing.TB, key, body string) {
	t.Helper()
	if err := w.Bucket.Delete(t.Context(), key, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Bucket.Put(t.Context(), key, store.Bytes([]byte(body)), store.BlobHeader, ""); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) read(t testing.TB, key string) string {
	t.Helper()
	body, _, err := w.Bucket.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// digest makes digest i; each third is sha512.
func digest(i int) oci.Digest {
	text := fmt.Sprintf("sha256:%x%063x", i%16, i)
	if i%3 == 0 {
		text = fmt.Sprintf("sha512:%0128x", i)
	}
	d, err := oci.ParseDigest(text)
	if err != nil {
		panic(err)
	}
	return d
}

func blob(i int) inventory.Record {
	return inventory.Record{Digest: digest(i), Size: int64(max(1, i)), Kind: inventory.Blob} // empty ones are rare
}

func image(i int) inventory.Record {
	return inventory.Record{Digest: digest(i), Size: 500, Kind: inventory.Image}
}

// holding is what one store has: sizes of blobs, and images.
type holding struct {
	blobs  map[oci.Digest]int64
	images map[oci.Digest]bool
}

func newHolding() holding { return holding{map[oci.Digest]int64{}, map[oci.Digest]bool{}} }

func (h holding) add(records ...inventory.Record) {
	for _, r := range records {
		if r.Kind == inventory.Image {
			h.images[r.Digest] = true
		} else {
			h.blobs[r.Digest] = r.Size
		}
	}
}

func (h holding) remove(digests ...oci.Digest) {
	for _, d := range digests {
		delete(h.blobs, d)
	}
	clear(h.images)
}

func (h holding) merge(o holding) {
	maps.Copy(h.blobs, o.blobs)
	maps.Copy(h.images, o.images)
}

// books opens a ledger of buckets that are stores "s0", "s1" and so on.
func books(t testing.TB, opt Options, buckets ...*watched) *Ledger {
	t.Helper()
	var stores []Store
	for i, b := range buckets {
		stores = append(stores, Store{Name: fmt.Sprint("s", i), Bucket: b})
	}
	l, err := Open(t.Context(), stores, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// most is above every digest that tests make.
const most = 300

// ask is what the ledger says store i has.
func ask(l *Ledger, i int) holding {
	h := newHolding()
	for n := range most {
		d := digest(n)
		size, ok := l.Holds(i, d)
		lacking, incomplete := l.Lacking(d), l.Incomplete(d)
		if ok == lacking.Has(i) || l.Complete(i, d) == incomplete.Has(i) {
			panic("two answers")
		}
		if ok {
			h.blobs[d] = size
		}
		if l.Complete(i, d) {
			h.images[d] = true
		}
	}
	return h
}

func same(t *testing.T, what string, want, got holding) {
	t.Helper()
	opts := cmp.Options{cmpopts.EquateComparable(oci.Digest{}), cmp.AllowUnexported(holding{}), cmpopts.EquateEmpty()}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Fatalf("%s (-want +got)\n%s", what, d)
	}
}

// good fails the test if a store has an error.
func good(t *testing.T, errs []error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, l *Ledger, i int, records ...inventory.Record) {
	t.Helper()
	if err := l.Add(t.Context(), i, records...); err != nil {
		t.Fatal(err)
	}
}

// count says how many of the lines begin so.
func count(lines []string, prefix string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}
