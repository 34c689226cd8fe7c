package purge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// book is a ledger in memory that records the time of the first removal.
type book struct {
	mu      sync.Mutex
	held    []map[oci.Digest]int64
	fail    map[int]error
	removed time.Time // first
}

func (b *book) Holds(i int, d oci.Digest) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, ok := b.held[i][d]
	return n, ok
}

func (b *book) Remove(_ context.Context, i int, ds ...oci.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fail[i]; err != nil {
		return err
	}
	for _, d := range ds {
		delete(b.held[i], d)
	}
	if b.removed.IsZero() {
		b.removed = time.Now()
	}
	return nil
}

// watched is a bucket that records the time of the last deletion. If stays is set, it deletes nothing.
type watched struct {
	store.Bucket
	mu      sync.Mutex
	deleted time.Time
	stays   bool
}

func (w *watched) Delete(ctx context.Context, key, version string) error {
	w.mu.Lock()
	w.deleted = time.Now()
	w.mu.Unlock()
	if w.stays {
		return nil
	}
	return w.Bucket.Delete(ctx, key, version)
}

func digest(text string) oci.Digest {
	sum := sha256.Sum256([]byte(text))
	d, err := oci.ParseDigest("sha256:" + hex.EncodeToString(sum[:]))
	if err != nil {
		panic(err)
	}
	return d
}

var bad, worse, fine = "bad content", "worse content", "fine content"

// world returns two stores that hold everything.
func world(t *testing.T) ([]Store, []*watched, *book) {
	t.Helper()
	b := &book{fail: map[int]error{}}
	var stores []Store
	var buckets []*watched
	for i, name := range []string{"one", "two"} {
		bucket, err := store.Open(t.Context(), "file://"+t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{Bucket: bucket}
		held := map[oci.Digest]int64{}
		for _, text := range []string{bad, worse, fine} {
			if _, err := bucket.Put(t.Context(), store.BlobKey(digest(text)), store.Bytes([]byte(text)), store.BlobHeader, ""); err != nil {
				t.Fatal(err)
			}
			held[digest(text)] = int64(len(text))
		}
		buckets, b.held = append(buckets, w), append(b.held, held)
		stores = append(stores, Store{Name: name, Bucket: w, URL: "https://" + name + ".example/{digest}", CDN: i == 1,
			Refresh: time.Duration(i+1) * time.Minute})
	}
	return stores, buckets, b
}

// has returns the contents that a bucket has.
func has(t *testing.T, b store.Bucket) (out []string) {
	t.Helper()
	for _, text := range []string{bad, worse, fine} {
		if _, err := b.Head(t.Context(), store.BlobKey(digest(text))); err == nil {
			out = append(out, text)
		} else if !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	return out
}

// TestRun: first the inventories change, then Run waits two intervals of the slowest reader, then it deletes the
// objects. A second run does not have to wait.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores, buckets, b := world(t)
		var lefts []time.Duration
		opt := Options{Ledger: b, Waiting: func(left time.Duration) { lefts = append(lefts, left) }}
		digests := []oci.Digest{digest(bad), digest(worse)}
		r, err := Run(t.Context(), digests, stores, opt)
		if err != nil || r.ExitCode != 0 {
			t.Fatalf("%v, %+v", err, r)
		}
		for i, w := range buckets {
			if got := has(t, w); !slices.Equal(got, []string{fine}) || len(b.held[i]) != 1 {
				t.Errorf("%s has %q and lists %d", stores[i].Name, got, len(b.held[i]))
			}
			if waited := w.deleted.Sub(b.removed); waited < 4*time.Minute {
				t.Errorf("%s: deleted after %v", stores[i].Name, waited)
			}
			for _, blob := range r.Stores[i].Blobs {
				if !blob.Listed || !blob.Object || !blob.Unlisted || !blob.Deleted {
					t.Errorf("%s: %+v", stores[i].Name, blob)
				}
			}
		}
		if len(lefts) < 200 || lefts[0] != 4*time.Minute || lefts[len(lefts)-1] > time.Second {
			t.Errorf("%d times told how long is left: from %v to %v", len(lefts), lefts[0], lefts[len(lefts)-1])
		}
		want := []URL{{"one", false, "https://one.example/" + digest(bad).String()}, {"one", false, "https://one.example/" + digest(worse).String()},
			{"two", true, "https://two.example/" + digest(bad).String()}, {"two", true, "https://two.example/" + digest(worse).String()}}
		if diff := cmp.Diff(want, r.URLs); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		began := time.Now()
		if r, err := Run(t.Context(), digests, stores, opt); err != nil || r.ExitCode != 0 || r.WaitSeconds != 0 || time.Since(began) != 0 {
			t.Errorf("second run: %v, %+v in %v", err, r, time.Since(began))
		}
	})
}

// TestRecordedMeanwhile: a mirror that put the blob before it was denied records it late. In the end, the inventory
// does not list the blob, whether or not it did at the start.
func TestRecordedMeanwhile(t *testing.T) {
	for name, listed := range map[string]bool{"again": true, "first": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stores, _, b := world(t)
				if !listed {
					delete(b.held[0], digest(bad))
				}
				r, err := Run(t.Context(), []oci.Digest{digest(bad)}, stores, Options{Ledger: b, Waiting: func(time.Duration) {
					b.mu.Lock()
					defer b.mu.Unlock()
					b.held[0][digest(bad)] = int64(len(bad))
				}})
				if err != nil || r.ExitCode != 0 {
					t.Fatalf("%v, %+v", err, r)
				}
				if _, ok := b.Holds(0, digest(bad)); ok {
					t.Error("the inventory lists what is no more")
				}
			})
		})
	}
}

// TestInterrupted: a purge that ends during its wait has deleted nothing. The next purge waits again, and completes the
// work.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores, buckets, b := world(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		r, err := Run(ctx, []oci.Digest{digest(bad)}, stores, Options{Ledger: b})
		if !errors.Is(err, context.DeadlineExceeded) || !r.Stores[0].Blobs[0].Unlisted || r.Stores[0].Blobs[0].Deleted || len(has(t, buckets[0])) != 3 {
			t.Fatalf("%v, %+v", err, r)
		}
		began := time.Now()
		r, err = Run(t.Context(), []oci.Digest{digest(bad)}, stores, Options{Ledger: b})
		if err != nil || time.Since(began) < 4*time.Minute || r.Stores[0].Blobs[0].Listed || !r.Stores[0].Blobs[0].Deleted || len(has(t, buckets[1])) != 2 {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

// TestPartial: a store that fails at any step is not touched further. The other store is finished.
func TestPartial(t *testing.T) {
	boom := errors.New("boom")
	for name, harm := range map[string]func(*Store, *watched, *book){
		"unusable":  func(s *Store, _ *watched, _ *book) { s.Err = boom },
		"inventory": func(_ *Store, _ *watched, b *book) { b.fail[0] = boom },
		"it stays":  func(_ *Store, w *watched, _ *book) { w.stays = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stores, buckets, b := world(t)
				harm(&stores[0], buckets[0], b)
				r, err := Run(t.Context(), []oci.Digest{digest(bad)}, stores, Options{Ledger: b})
				if err != nil || r.ExitCode != 5 || r.Stores[0].Error == "" || r.Stores[1].Error != "" || r.Stores[0].Blobs[0].Deleted {
					t.Errorf("%v, %+v", err, r)
				}
				if len(has(t, buckets[0])) != 3 || len(has(t, buckets[1])) != 2 {
					t.Errorf("the stores have %q and %q", has(t, buckets[0]), has(t, buckets[1]))
				}
			})
		})
	}
}

// TestNothingDone: if a purge did a part of its work, even in a store that failed later, its exit code says so. A purge
// that could do nothing has another exit code.
func TestNothingDone(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		harm func(*Store, *watched, *book, int)
		code int
	}{
		"unusable":  {func(s *Store, _ *watched, _ *book, _ int) { s.Err = boom }, 1},
		"inventory": {func(_ *Store, _ *watched, b *book, i int) { b.fail[i] = boom }, 1},
		"it stays":  {func(_ *Store, w *watched, _ *book, _ int) { w.stays = true }, 5}, // but it is no longer listed
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stores, buckets, b := world(t)
				for i := range stores {
					tt.harm(&stores[i], buckets[i], b, i)
				}
				r, err := Run(t.Context(), []oci.Digest{digest(bad)}, stores, Options{Ledger: b})
				if err != nil || r.ExitCode != tt.code {
					t.Errorf("%v, %+v", err, r)
				}
			})
		})
	}
}

// TestDryRun looks and changes nothing.
func TestDryRun(t *testing.T) {
	stores, buckets, b := world(t)
	delete(b.held[1], digest(bad))
	r, err := Run(t.Context(), []oci.Digest{digest(bad)}, stores, Options{Ledger: b, DryRun: true})
	if err != nil || r.ExitCode != 0 || r.WaitSeconds != 240 {
		t.Fatalf("%v, %+v", err, r)
	}
	want := []bool{true, false}
	for i := range stores {
		blob := r.Stores[i].Blobs[0]
		if blob.Listed != want[i] || !blob.Object || blob.Unlisted || blob.Deleted || len(has(t, buckets[i])) != 3 {
			t.Errorf("%s: %+v", stores[i].Name, blob)
		}
	}
}

func TestDenied(t *testing.T) {
	deny := []oci.Digest{digest(bad)}
	if err := Denied([]oci.Digest{digest(bad)}, deny); err != nil {
		t.Error(err)
	}
	if err := Denied([]oci.Digest{digest(bad), digest(worse)}, deny); !errors.Is(err, ErrDeny) {
		t.Errorf("error %v", err)
	}
}
