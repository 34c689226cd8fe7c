package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/set"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// chance makes a fault that sometimes hits an operation, before or after it took place, or delays it.
func chance(r *rand.Rand, mu *sync.Mutex) func(context.Context, string, string, bool) error {
	p := r.Float64() * 0.3
	return func(ctx context.Context, op, _ string, done bool) error {
		mu.Lock()
		hit, what := r.Float64() < p, r.IntN(5)
		mu.Unlock()
		if !hit {
			return nil
		}
		switch what {
		case 0:
			return wait.For(ctx, 20*time.Second)
		case 1:
			if op == "copy" && !done {
				return store.ErrCannotCopy
			}
		case 2:
			if !done {
				return fmt.Errorf("%s: %w", op, store.ErrDenied)
			}
		}
		return fmt.Errorf("%s (done: %v): 503", op, done)
	}
}

// TestAnything: whatever goes wrong, a target holds a blob exactly or not at all, and the results say which. A wrong
// object from before may stay, and an interrupted copy may spread it within its group; but then no result says that the
// blob is there.
func TestAnything(t *testing.T) {
	for seed := range uint64(40) {
		bubble(t, fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			var mu sync.Mutex
			o, heaps := newOrigin(), append(three(), newHeap("d"))
			for i, h := range heaps {
				h.copier, h.weak = i < 3 && seed%2 == 0, r.IntN(2) == 0
			}
			datas, blobs := map[string][]byte{}, []Blob{}
			wrong := map[string]bool{}
			for i := range 12 {
				data, blob := made(t, seed*100+uint64(i), []int{0, 10, 300, tiny, tiny + 1, 2 * tiny}[r.IntN(6)])
				o.add(data, blob)
				key := "containers/images/" + blob.Digest.String()
				datas[key], blobs = data, append(blobs, blob)
				for _, h := range heaps {
					switch r.IntN(8) {
					case 0:
						_, _ = h.write(key, data, "")
					case 1:
						_, _ = h.write(key, append([]byte{1}, data[min(1, len(data)):]...), "")
						wrong[h.name+key] = true
						wrong[key] = wrong[key] || h.copier
					}
				}
			}
			for _, h := range heaps {
				h.fault = chance(r, &mu)
			}
			spoilt := r.Float64() * 0.4
			o.spoil = func(b Blob, off int64, body io.Reader) (io.Reader, error) {
				mu.Lock()
				hit, what, at := r.Float64() < spoilt, r.IntN(5), r.Int64N(b.Size+1)
				mu.Unlock()
				switch {
				case !hit:
					return body, nil
				case what == 0:
					return nil, errors.New("502")
				case what == 1:
					return &flip{r: body, at: int(at)}, nil
				case what == 2:
					return io.LimitReader(body, at), nil
				case what == 3:
					return &stopper{r: body, left: int(at)}, nil
				}
				return cutAfter(body, at, io.ErrUnexpectedEOF), nil
			}
			e := engine(t, o, Options{SpoolBytes: 5 * tiny, MemoryBytes: 2 * tiny, Parallel: 3, UploadsPerTarget: 2,
				CopyWithinGroup: true, Stall: 30 * time.Second}, heaps...)
			var wg sync.WaitGroup
			calls := rand.New(rand.NewPCG(seed, 8)) // the faults use the other one now
			for range 30 {
				blob := blobs[calls.IntN(len(blobs))]
				var need, have set.Set
				for i := range heaps {
					switch calls.IntN(3) {
					case 0, 1:
						need.Add(i)
					case 2:
						have.Add(i)
					}
				}
				patience := time.Duration(calls.IntN(300)) * time.Second
				wg.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					defer time.AfterFunc(patience, cancel).Stop()
					ch, err := e.Ensure(ctx, blob, need, have)
					if err != nil {
						return
					}
					left := need
					key := "containers/images/" + blob.Digest.String()
					for res := range ch {
						if !left.Has(res.Target) {
							t.Errorf("result for %d, which is not awaited", res.Target)
						}
						left[res.Target>>6] &^= 1 << (res.Target & 63)
						if res.Err != nil {
							continue
						}
						if ob, ok := heaps[res.Target].get(key); !ok || !bytes.Equal(ob.data, datas[key]) {
							t.Errorf("%s, %d bytes: said to be %s, and is not", heaps[res.Target].name, blob.Size, res.How)
						}
					}
					if left.Len() > 0 {
						t.Errorf("no results for %v", left)
					}
				})
			}
			wg.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := e.Close(ctx); err != nil {
				t.Error(err)
			}
			for _, h := range heaps {
				for key, ob := range h.objects {
					if !bytes.Equal(ob.data, datas[key]) && !wrong[h.name+key] && !(h.copier && wrong[key]) {
						t.Errorf("%s holds something wrong under %s", h.name, key)
					}
				}
			}
			if s := e.Stats(); s.Open != 0 || s.Fetching != 0 || s.Memory != 0 || s.Disk != e.dir.size() {
				t.Errorf("left over: %+v, %d left", s, e.dir.size())
			}
		})
	}
}
