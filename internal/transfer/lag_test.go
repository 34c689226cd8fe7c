package transfer

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/thorough"
	"ociproxy/internal/wait"
)

// after lets every upload and every look take some time.
func after(put, look time.Duration) func(context.Context, string, string, bool) error {
	return func(ctx context.Context, op, _ string, _ bool) error {
		switch op {
		case "commit":
			return wait.For(ctx, put)
		case "head":
			return wait.For(ctx, look)
		}
		return nil
	}
}

// TestMuchSlower: a target that is fifty times slower gets everything in its own time, as long as there is disk space.
// The others are as fast as without it, nothing is read twice, and memory stays within its limit.
func TestMuchSlower(t *testing.T) {
	n, size := thorough.Rounds(1_000, 10_000), 4<<10
	grace := time.Duration(n) * 3 * time.Millisecond // half a minute for all
	enough := grace * 3 / 2                          // for targets that are not slow: a fifth more than they need
	for name, tt := range map[string]struct {
		look time.Duration // of the slow target
		need set.Set       // of half the blobs
	}{
		"uploads":            {10 * time.Millisecond, all3},
		"everything":         {500 * time.Millisecond, all3},
		"it lacks much more": {500 * time.Millisecond, set.Of(1)},
	} {
		bubble(t, name, func(t *testing.T) {
			o, heaps := newOrigin(), three()
			for _, h := range heaps {
				h.fault = after(20*time.Millisecond, 10*time.Millisecond)
			}
			heaps[1].fault = after(time.Second, tt.look)
			e := engine(t, o, Options{MemoryBytes: int64(n*size) / 5, Grace: grace}, heaps...)
			var before, most runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			heaps[2].fault = func(ctx context.Context, op, key string, done bool) error {
				if op == "put" && heaps[2].count("put") == n*9/10 {
					runtime.GC()
					runtime.ReadMemStats(&most)
					t.Logf("near the end: %d KiB of heap and stacks a blob, %d goroutines, %+v",
						int64(most.HeapInuse+most.StackInuse-before.HeapInuse-before.StackInuse)/int64(n)>>10, runtime.NumGoroutine(), e.Stats().Open)
				}
				return after(20*time.Millisecond, 10*time.Millisecond)(ctx, op, key, done)
			}
			done, behind, other := floods(t, e, o, n, size, func(i int) set.Set {
				if i%2 == 0 {
					return tt.need
				}
				return all3
			}, map[int]time.Duration{0: enough, 2: enough})
			if done[1] != n || behind[1]+other[1] > 0 {
				t.Errorf("the slow one got %d of %d, %d behind, %d others", done[1], n, behind[1], other[1])
			}
			if o.total() != int64(n*size) {
				t.Errorf("the source sent %.4f of what there is", float64(o.total())/float64(n*size))
			}
			synctest.Wait()
			if s := e.Stats(); s.Open != 0 || s.Disk != 0 || s.Memory != 0 {
				t.Errorf("left over: %+v", s)
			}
		})
	}
}
