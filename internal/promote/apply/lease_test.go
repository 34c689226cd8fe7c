package apply

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
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

const ttl = 400 * time.Millisecond

func leaseOf(b store.Bucket, who string) *lease { return newLease(b, "tree", who, "plan", ttl) }

func TestLease(t *testing.T) {
	b := fileBucket(t)
	one, two, other := leaseOf(b, "one"), leaseOf(b, "two"), newLease(b, "another tree", "three", "", ttl)
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
	stop() // as if it were killed: it is neither renewed nor released
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
}

// unclearBucket writes once, and says that it failed.
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
}

func TestLeases(t *testing.T) {
	away, err := store.Open(t.Context(), "file:///nonexistent/nowhere", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := fileBucket(t), fileBucket(t)
	log := slog.New(slog.DiscardHandler)
	first := leases{log: log}
	if err := first.take(t.Context(), []*lease{leaseOf(b, "one")}); err != nil { // it cannot reach a
		t.Fatal(err)
	}
	first.keep(t.Context(), func(err error) { t.Errorf("lost: %v", err) })
	second := leases{log: log}
	if err := second.take(t.Context(), []*lease{leaseOf(a, "two"), leaseOf(b, "two")}); !errors.Is(err, ErrHeld) {
		t.Errorf("two runs meet in b: %v", err)
	}
	second.release(t.Context())
	first.release(t.Context())
	if err := first.take(t.Context(), []*lease{leaseOf(a, "one"), leaseOf(b, "one")}); err != nil {
		t.Errorf("after both were given back: %v", err)
	}
	first.release(t.Context())
	if err := (&leases{log: log}).take(t.Context(), []*lease{newLease(readOnly{away}, "x", "", "", ttl)}); err == nil {
		t.Error("a lease that could be taken nowhere")
	}
}

// TestLeasesOfDeadRun: a run that was killed held its lease in three places. The next one waits for one TTL, and then holds it in all of them.
func TestLeasesOfDeadRun(t *testing.T) {
	buckets := []store.Bucket{fileBucket(t), fileBucket(t), fileBucket(t)}
	var next []*lease
	for _, b := range buckets {
		if err := leaseOf(b, "dead").acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		next = append(next, leaseOf(b, "next"))
	}
	l := leases{log: slog.New(slog.DiscardHandler)}
	begun := time.Now()
	if err := l.take(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < ttl || took >= 2*ttl {
		t.Errorf("it waited %s; a dead run is to be waited for once, for %s", took, ttl)
	}
	for _, one := range next {
		if err := one.check(); err != nil {
			t.Errorf("what was taken first has expired: %v", err)
		}
	}
	l.release(t.Context())
}

// held is a bucket where somebody is always faster.
type held struct{ store.Bucket }

func (b held) Put(ctx context.Context, key string, c store.Content, h store.Header, version string) (store.Attrs, error) {
	if strings.HasPrefix(key, LeasePrefix) {
		return store.Attrs{}, ErrHeld
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
	if !errors.Is(err, ErrHeld) {
		t.Fatalf("it ran beside another one: %v", err)
	}
	first, err := store.Open(t.Context(), "file://"+w.stores[0], store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, version, err := newLease(first, "default", "", "", ttl).read(t.Context()); err != nil || version != "" {
		t.Errorf("the lease in the first store was left: %v", err)
	}
}

type readOnly struct{ store.Bucket }

func (readOnly) Put(context.Context, string, store.Content, store.Header, string) (store.Attrs, error) {
	return store.Attrs{}, store.ErrDenied
}

// TestTwoRuns: the second of two runs does not begin; one whose lease is taken away stops before its next write.
func TestTwoRuns(t *testing.T) {
	w, tree := release(t)
	plan := w.plan(tree)
	var second error
	var once atomic.Bool
	w.faults(func(_ int, what string) fault {
		if strings.Contains(what, "/v2/") && once.CompareAndSwap(false, true) { // the lease is taken before that
			w.mu.Unlock()
			_, second = w.apply(t.Context(), plan, func(o *Options) { o.TTL = time.Second })
			w.mu.Lock()
		}
		return fine
	})
	w.must(plan, Done, func(o *Options) { o.TTL = time.Second })
	if !errors.Is(second, ErrHeld) {
		t.Errorf("the second run: %v", second)
	}
}

func TestLeaseTaken(t *testing.T) {
	w, tree := release(t)
	var once atomic.Bool
	w.faults(func(n int, what string) fault {
		if n > 60 && once.CompareAndSwap(false, true) {
			for _, dir := range w.stores {
				b, err := store.Open(context.Background(), "file://"+dir, store.Options{})
				if err != nil {
					t.Error(err)
				}
				l := newLease(b, "default", "thief", "", time.Second)
				_, version, err := l.read(context.Background())
				if err == nil {
					err = l.write(context.Background(), version)
				}
				if err != nil {
					t.Error(err)
				}
			}
			w.mu.Unlock()
			<-time.After(600 * time.Millisecond) // the holder looks now and then
			w.mu.Lock()
		}
		return fine
	})
	r := w.must(w.plan(tree), Interrupted, func(o *Options) { o.TTL = time.Second })
	if w.hosts[0].has("prod/one:v1") != "" {
		t.Errorf("a tag is set: %+v", r)
	}
	if !strings.HasPrefix(r.Error, ErrLost.Error()) {
		t.Errorf("it ended for %q", r.Error)
	}
}
