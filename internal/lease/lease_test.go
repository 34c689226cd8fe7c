package lease

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/store"
)

func fileBucket(t *testing.T) store.Bucket {
	t.Helper()
	b, err := store.Open(t.Context(), "file://"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const ttl = time.Minute // on the clock of synctest

func options(name, who string) Options {
	return Options{Prefix: "promote/", Name: name, Who: who, Plan: "plan", TTL: ttl}
}

func leaseOf(b store.Bucket, who string) *object { return newObject(b, options("tree", who)) }

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fileBucket(t)
		one, two, other := leaseOf(b, "one"), leaseOf(b, "two"), newObject(b, options("another tree", "three"))
		if err := one.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := other.acquire(t.Context()); err != nil {
			t.Errorf("another name: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		var lost atomic.Bool
		go func() { one.keep(ctx, func(error) { lost.Store(true) }); close(done) }()
		if err := two.acquire(t.Context()); !errors.Is(err, ErrHeld) {
			t.Errorf("a lease that is held: %v", err)
		}
		if err := one.check(); err != nil || lost.Load() {
			t.Errorf("the holder: %v", err)
		}
		stop() // like a run that is killed: it neither renews nor releases
		<-done
		begun := time.Now()
		if err := two.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < ttl {
			t.Errorf("a lease was taken over after %s", took)
		}
		if err := one.check(); !errors.Is(err, ErrLost) {
			t.Errorf("the dead holder goes on writing: %v", err)
		}
		if err := one.renew(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("the dead holder renews: %v", err)
		}
		if err := two.release(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		if err := leaseOf(b, "three").acquire(t.Context()); err != nil || time.Since(begun) >= ttl {
			t.Errorf("a lease that was given back: %v", err)
		}
	})
}

// unclearBucket performs a write, but reports once that it failed.
type unclearBucket struct {
	store.Bucket
	fail atomic.Bool
}

func (b *unclearBucket) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (store.Attrs, error) {
	a, err := b.Bucket.Put(ctx, key, c, h, version)
	if b.fail.CompareAndSwap(true, false) {
		return store.Attrs{}, errors.New("no answer")
	}
	return a, err
}

func TestLeaseUnclear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &unclearBucket{Bucket: fileBucket(t)}
		one := leaseOf(b, "one")
		if err := one.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.fail.Store(true)
		if err := one.renew(t.Context()); err == nil {
			t.Error("the injected failure was not seen")
		}
		if err := one.renew(t.Context()); err != nil {
			t.Errorf("its own write is not recognised: %v", err)
		}
	})
}

func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away, err := store.Open(t.Context(), "file:///nonexistent/nowhere", store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a, b := fileBucket(t), fileBucket(t)
		first := New(options("tree", "one"))
		if err := first.Take(t.Context(), b); err != nil { // this run cannot reach a
			t.Fatal(err)
		}
		first.Keep(t.Context(), func(err error) { t.Errorf("lost: %v", err) })
		second := New(options("tree", "two"))
		if err := second.Take(t.Context(), a, b); !errors.Is(err, ErrHeld) {
			t.Errorf("two runs meet in b: %v", err)
		}
		second.Release(t.Context())
		first.Release(t.Context())
		if err := first.Take(t.Context(), a, b); err != nil {
			t.Errorf("after both were given back: %v", err)
		}
		first.Release(t.Context())
		if err := New(options("x", "")).Take(t.Context(), readOnly{away}); err == nil {
			t.Error("a lease that could be taken nowhere")
		}
	})
}

// TestLeasesOfDeadRun: a run that was killed held its lease in three buckets. The next run waits for one TTL, and then
// holds the lease in all of them.
func TestLeasesOfDeadRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buckets := []store.Bucket{fileBucket(t), fileBucket(t), fileBucket(t)}
		var next []*object
		for _, b := range buckets {
			if err := leaseOf(b, "dead").acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			next = append(next, leaseOf(b, "next"))
		}
		l := New(options("tree", "next"))
		begun := time.Now()
		if err := l.take(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < ttl || took >= 2*ttl || !l.TookOver() {
			t.Errorf("it waited %s; a dead run is to be waited for once, for %s; took over: %v", took, ttl, l.TookOver())
		}
		for _, one := range next {
			if err := one.check(); err != nil {
				t.Errorf("what was taken first has expired: %v", err)
			}
		}
		l.Release(t.Context())
		after := New(options("tree", "after"))
		if err := after.Take(t.Context(), buckets...); err != nil || after.TookOver() {
			t.Errorf("after a run that ended: took over: %v, %v", after.TookOver(), err)
		}
		after.Release(t.Context())
	})
}

type readOnly struct{ store.Bucket }

func (readOnly) Put(context.Context, string, store.Content, store.Header, string) (store.Attrs, error) {
	return store.Attrs{}, store.ErrDenied
}

// acquire takes the lease, perhaps from a dead run. It returns [ErrHeld] if the holder is alive.
func (o *object) acquire(ctx context.Context) error {
	version, err := o.await(ctx)
	if err != nil {
		return err
	}
	return o.claim(ctx, version)
}

// TestHeldByWhom: the error for a held lease contains what its object says, and nothing else. Another release, or a
// person, may have written the object.
func TestHeldByWhom(t *testing.T) {
	at := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		note note
		want string
	}{
		{note{Who: "ci", Holder: "x", Since: at, Renewed: at.Add(time.Minute)}, "ci, since 2026-11-29T10:00:00Z, renewed 2026-11-29T10:01:00Z"},
		{note{Holder: "x", Renewed: at}, "x, renewed 2026-11-29T10:00:00Z"},
		{note{Who: "ci"}, "ci"},
		{note{}, "its object does not say by whom"},
	} {
		if got := tt.note.describe(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.note, got, tt.want)
		}
	}
}
