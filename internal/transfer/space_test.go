package transfer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// flood brings n blobs of a size to all targets, as fast as they are admitted. It counts the results: without an error,
// behind, and with another error. most is how long a target may need for all of them; 0: forever. The test fails if the
// spool ever exceeds its limit.
func flood(t *testing.T, e *Engine, o *origin, n, size int, need set.Set, most time.Duration) (done, behind, other [set.Max]int) {
	t.Helper()
	limits := map[int]time.Duration{}
	if most > 0 {
		need.Each(func(i int) { limits[i] = most })
	}
	return floods(t, e, o, n, size, func(int) set.Set { return need }, limits)
}

// floods works like flood, but with targets for each blob, and most for each target.
func floods(t *testing.T, e *Engine, o *origin, n, size int, need func(int) set.Set, most map[int]time.Duration) (done, behind, other [set.Max]int) {
	t.Helper()
	start := time.Now()
	var wants [set.Max]int
	for i := range n {
		set := need(i)
		set.Each(func(target int) { wants[target]++ })
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		data, blob := made(t, uint64(i+1000), size)
		o.add(data, blob)
		ch, err := e.Ensure(t.Context(), blob, need(i), set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		if s := e.Stats(); s.Disk > e.opt.SpoolBytes || s.Memory > e.opt.MemoryBytes || s.Open > e.opt.Open {
			t.Fatalf("spool %d, memory %d, open %d", s.Disk, s.Memory, s.Open)
		}
		wg.Go(func() {
			for r := range ch {
				mu.Lock()
				switch {
				case r.Err == nil:
					done[r.Target]++
					if done[r.Target] == wants[r.Target] {
						t.Logf("target %d has all after %s", r.Target, time.Since(start))
						if d, limit := time.Since(start), most[r.Target]; limit > 0 && d > limit {
							t.Errorf("target %d needed %s", r.Target, d)
						}
					}
				case errors.Is(r.Err, ErrBehind), errors.Is(r.Err, ErrTripped):
					behind[r.Target]++
				default:
					other[r.Target]++
					t.Log(r.Err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return done, behind, other
}

// TestHungTarget: a target that never answers holds its share of the spool and no more. The others continue.
func TestHungTarget(t *testing.T) {
	for name, tt := range map[string]struct {
		n, size int
		opt     Options
		ops     []string
	}{
		"on disk":         {60, 2 * tiny, Options{SpoolBytes: 16 * tiny}, []string{"put"}},
		"in memory":       {400, tiny / 64, Options{MemoryBytes: tiny}, []string{"put"}},
		"places":          {400, 100, Options{Open: 32, Parallel: 4}, []string{"put"}},
		"before the put":  {400, 100, Options{Open: 32, Parallel: 4}, []string{"head"}},
		"one large thing": {20, 6 * tiny, Options{SpoolBytes: 8 * tiny}, []string{"commit"}},
	} {
		bubble(t, name, func(t *testing.T) {
			o, heaps := newOrigin(), three()
			heaps[1].fault = forever(tt.ops...)
			e := engine(t, o, tt.opt, heaps...)
			done, behind, other := flood(t, e, o, tt.n, tt.size, all3, 3*time.Minute)
			if done[0] != tt.n || done[2] != tt.n {
				t.Errorf("the healthy ones got %d and %d of %d", done[0], done[2], tt.n)
			}
			if done[1] != 0 || behind[1]+other[1] != tt.n {
				t.Errorf("the hung one: %d, %d behind, %d others of %d", done[1], behind[1], other[1], tt.n)
			}
			if e.Stats().Targets[1].TrippedBy == nil {
				t.Error("the hung one was not put aside")
			}
			if o.total() != int64(tt.n)*int64(tt.size) {
				t.Errorf("read %d bytes for %d", o.total(), tt.n*tt.size)
			}
		})
	}
}

// slow makes every upload take some time.
func slow(d time.Duration) func(context.Context, string, string, bool) error {
	return func(ctx context.Context, op, _ string, _ bool) error {
		if op != "commit" {
			return nil
		}
		return wait.For(ctx, d)
	}
}

// TestLaggingTarget: a much slower target loses what it is behind with, and continues to work. The others are as fast
// as without it.
func TestLaggingTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		heaps[0].fault, heaps[1].fault, heaps[2].fault = slow(time.Second), slow(20*time.Second), slow(time.Second)
		e := engine(t, o, Options{SpoolBytes: 64 * tiny, UploadsPerTarget: 4}, heaps...)
		const n = 200 // 50 s without the slow one
		done, behind, other := flood(t, e, o, n, 2*tiny, all3, 75*time.Second)
		if done[0] != n || done[2] != n || other[1] != 0 || e.Stats().Targets[1].TrippedBy != nil {
			t.Errorf("done %v, other %v, %v", done[:3], other[:3], e.Stats().Targets[1].TrippedBy)
		}
		if done[1] < 10 || behind[1] < n/2 {
			t.Errorf("the slow one: %d done, %d behind", done[1], behind[1])
		}
	})
}

// TestAllSlow: when all targets are equally slow, the source waits, and no target loses anything.
func TestAllSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		for i, h := range heaps {
			h.fault = slow(20*time.Second + time.Duration(i)*time.Second)
		}
		e := engine(t, o, Options{SpoolBytes: 32 * tiny, UploadsPerTarget: 4}, heaps...)
		const n = 100
		done, behind, other := flood(t, e, o, n, 2*tiny, all3, 0)
		if done[0] != n || done[1] != n || done[2] != n {
			t.Errorf("done %v, behind %v, other %v", done[:3], behind[:3], other[:3])
		}
	})
}

// TestOnlySlow: the engine waits for a target if no other target needs anything.
func TestOnlySlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		heaps[1].fault = slow(25 * time.Second)
		e := engine(t, o, Options{SpoolBytes: 16 * tiny, UploadsPerTarget: 2}, heaps...)
		if done, behind, other := flood(t, e, o, 40, 2*tiny, set.Of(1), 0); done[1] != 40 {
			t.Errorf("done %d, behind %d, other %d", done[1], behind[1], other[1])
		}
	})
}

// TestTooLarge: a blob that the spool cannot hold fails, and affects no other.
func TestTooLarge(t *testing.T) {
	o, heaps := newOrigin(), three()
	e := engine(t, o, Options{SpoolBytes: 2 * tiny}, heaps...)
	for _, r := range ensure(t, e, o.add(made(t, 1, 3*tiny)), all3, set.Set{}) {
		if !errors.Is(r.Err, ErrSpace) {
			t.Errorf("%+v", r)
		}
	}
	for _, r := range ensure(t, e, o.add(made(t, 2, 2*tiny)), all3, set.Set{}) {
		if r.Err != nil {
			t.Errorf("%+v", r)
		}
	}
}

// TestLeftoversGiveWay: what an earlier process left does not take the space that blobs need.
func TestLeftoversGiveWay(t *testing.T) {
	dir := t.TempDir()
	left, old := made(t, 1, 4*tiny)
	write(t, part(dir, old), left[:3*tiny])
	o, heaps := newOrigin(), three()
	e := engine(t, o, Options{Dir: dir, SpoolBytes: 5 * tiny}, heaps...)
	for _, r := range ensure(t, e, o.add(made(t, 2, 4*tiny)), all3, set.Set{}) {
		if r.Err != nil {
			t.Errorf("%+v", r)
		}
	}
	if e.Stats().Disk != 0 {
		t.Errorf("%d bytes are taken", e.Stats().Disk)
	}
}

// TestHungCopy: a spool that only copies need is given up for space. If a copy fails after all, the blob is read again.
func TestHungCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		for _, h := range heaps[:2] {
			h.copier = true
		}
		release := make(chan struct{})
		for _, h := range heaps[:2] {
			h.fault = func(ctx context.Context, op, _ string, done bool) error {
				if op != "copy" || done {
					return nil
				}
				select {
				case <-release:
					return store.ErrCannotCopy
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		e := engine(t, o, Options{SpoolBytes: 5 * tiny, CopyWithinGroup: true}, heaps...)
		first := o.add(made(t, 1, 4*tiny))
		ch, err := e.Ensure(t.Context(), first, all3, set.Set{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i, r := range ensure(t, e, o.add(made(t, 2, 4*tiny)), set.Of(2), set.Set{}) {
			if r.Err != nil {
				t.Errorf("the next blob, target %d: %v", i, r.Err)
			}
		}
		close(release)
		for r := range ch {
			if r.Err != nil {
				t.Errorf("%+v", r)
			}
		}
		if o.total() != 3*first.Size { // one blob was read again
			t.Errorf("read %d bytes", o.total())
		}
	})
}
