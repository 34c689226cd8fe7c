package apply

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/lease"
	"ociproxy/internal/store"
)

// held is a bucket in which another run always holds the lease.
type held struct{ store.Bucket }

func (b held) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (store.Attrs, error) {
	if strings.HasPrefix(key, leasePrefix) {
		return store.Attrs{}, lease.ErrHeld
	}
	return b.Bucket.Put(ctx, key, c, h, version)
}

// TestLeaseNotLeft: a run that does not get the lease everywhere gives back what it got.
func TestLeaseNotLeft(t *testing.T) {
	w, tree := release(t)
	_, err := w.apply(t.Context(), w.plan(tree), func(o *Options) {
		o.Wrap = func(b store.Bucket) store.Bucket {
			if strings.Contains(b.String(), w.stores[1]) {
				return held{b}
			}
			return b
		}
	})
	if !errors.Is(err, lease.ErrHeld) {
		t.Fatalf("it ran beside another one: %v", err)
	}
	first, err := store.Open(t.Context(), "file://"+w.stores[0], store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range first.List(t.Context(), leasePrefix, "") {
		t.Errorf("in the first store was left: %s, %v", o.Key, err)
	}
}

// TestTwoRuns: the second of two runs does not begin. A run whose lease is taken away stops before its next write.
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	w, tree := release(t)
	plan := w.plan(tree)
	var second error
	var once atomic.Bool
	w.faults(func(_ int, what string) fault {
		if strings.Contains(what, "/v2/") && once.CompareAndSwap(false, true) { // by then the run has the lease
			w.mu.Unlock()
			_, second = w.apply(t.Context(), plan, func(o *Options) { o.TTL = 10 * time.Second })
			w.mu.Lock()
		}
		return fine
	})
	w.must(plan, Done, func(o *Options) { o.TTL = 10 * time.Second })
	if !errors.Is(second, lease.ErrHeld) {
		t.Errorf("the second run: %v", second)
	}
}

// steal overwrites the lease in a bucket, as another run does that assumes its holder is dead.
func steal(b store.Bucket) error {
	ctx, found := context.Background(), false
	for o, err := range b.List(ctx, leasePrefix, "") {
		if err != nil {
			return err
		}
		found = true
		body, a, err := b.Get(ctx, o.Key, 0, -1)
		if err == nil {
			_ = body.Close()
			_, err = b.Put(ctx, o.Key, store.Bytes([]byte(`{"holder":"thief"}`)), store.Header{}, a.Version)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return errors.New("there is no lease to steal")
	}
	return nil
}

func TestLeaseTaken(t *testing.T) {
	t.Parallel()
	w, tree := release(t)
	var once atomic.Bool
	before := "PUT " + w.hosts[0].Host + "/v2/prod/one/manifests/sha256:" // the tag
	w.faults(func(_ int, what string) fault {
		if strings.HasPrefix(what, before) && once.CompareAndSwap(false, true) {
			for _, dir := range w.stores {
				b, err := store.Open(context.Background(), "file://"+dir, store.Options{})
				if err == nil {
					err = steal(b)
				}
				if err != nil {
					t.Error(err)
				}
			}
			return hangs // the holder checks its lease from time to time
		}
		return fine
	})
	r := w.must(w.plan(tree), Interrupted, func(o *Options) { o.TTL = 10 * time.Second })
	if !once.Load() {
		t.Error("the lease was not taken away")
	}
	if w.hosts[0].has("prod/one:v1") != "" {
		t.Errorf("a tag is set: %+v", r)
	}
	if !strings.HasPrefix(r.Error, lease.ErrLost.Error()) {
		t.Errorf("it ended for %q", r.Error)
	}
}
