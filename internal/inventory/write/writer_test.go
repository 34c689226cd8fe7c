package write_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/thorough"
)

const store = "s3-use1"

// held reads the inventory in a bucket as a proxy does.
func held(t *testing.T, b *inventorytest.Bucket) inventorytest.Holding {
	t.Helper()
	client := inventorytest.Client(b)
	opt := inventory.Options{Client: client}
	r := inventory.NewReader(inventory.Store{ID: store, URL: "http://bucket/"}, inventory.NewSegments("", 0, client), opt)
	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := inventorytest.Holding{}
	for rec, err := range r.Records() {
		if err != nil {
			t.Fatal(err)
		}
		out[rec.Digest] = rec.Size
	}
	return out
}

func same(t *testing.T, want, got inventorytest.Holding) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(oci.Digest{}), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("what the store holds (-want +got)\n%s", d)
	}
}

// guard checks after each change that the bucket is sound.
type guard struct {
	t          *testing.T
	generation uint64
	segments   []inventory.SegmentRef // of the head
	referenced map[string]time.Time   // when a segment was last seen in a head
}

func guarded(t *testing.T) *inventorytest.Bucket {
	g := &guard{t: t, referenced: map[string]time.Time{}}
	return &inventorytest.Bucket{Watch: g.watch}
}

func (g *guard) watch(op inventorytest.Op, key string, objects map[string]inventorytest.Stored) {
	hash, isSegment := strings.CutPrefix(key, inventory.SegmentPrefix)
	switch {
	case op == inventorytest.Put && isSegment:
		if sum := sha256.Sum256(objects[key].Body); hex.EncodeToString(sum[:]) != hash {
			g.t.Errorf("segment %s has another hash", hash)
		}
	case op == inventorytest.Delete && isSegment:
		if at, ok := g.referenced[hash]; ok && time.Since(at) < 24*time.Hour {
			g.t.Errorf("segment %s was deleted %v after a head named it", hash, time.Since(at))
		}
	}
	switch {
	case key != inventory.HeadName:
	case op == inventorytest.Put:
		g.named(objects[key].Body)
	default:
		g.segments = nil
	}
	for _, ref := range g.segments {
		if s, ok := objects[inventory.SegmentPrefix+ref.SHA256]; !ok || int64(len(s.Body)) != ref.Bytes {
			g.t.Errorf("after %s %s the head names segment %s, which is missing or of another size", op, key, ref.SHA256)
		}
		g.referenced[ref.SHA256] = time.Now()
	}
}

// named checks a head that was put.
func (g *guard) named(body []byte) {
	h, err := inventory.ParseHead(body)
	if err != nil {
		g.t.Errorf("a head was put: %v", err)
		return
	}
	if h.Generation < g.generation {
		g.t.Errorf("generation %d after %d", h.Generation, g.generation)
	}
	g.generation, g.segments = h.Generation, h.Segments
}

// steps returns the life of a bucket: enough changes for a compaction, tombstones, and the passing of a day and a week.
func steps() (list []func(context.Context, *write.Writer, inventorytest.Holding) error) {
	apply := func(records ...inventory.Record) {
		list = append(list, func(ctx context.Context, w *write.Writer, h inventorytest.Holding) error {
			_, err := w.Apply(ctx, records...)
			if err == nil {
				h.Apply(records...)
			}
			return err
		})
	}
	clean := func(after time.Duration) {
		passed := false
		list = append(list, func(ctx context.Context, w *write.Writer, _ inventorytest.Holding) error {
			if !passed {
				<-time.After(after) // in synctest's time
				passed = true
			}
			_, err := w.Clean(ctx)
			return err
		})
	}
	for i := range 8 {
		n := 10 * (i + 1)
		apply(inventorytest.Blob(n), inventorytest.Blob(n+1), inventorytest.Blob(n+2), inventorytest.Gone(n-9), inventorytest.Blob(7))
	}
	apply(inventorytest.Gone(7))
	apply()
	clean(25 * time.Hour)
	apply(inventorytest.Blob(7), inventorytest.Gone(1), inventorytest.Gone(11))
	apply(inventorytest.Blob(7), inventorytest.Gone(1), inventorytest.Gone(11)) // the same changes again
	clean(8 * 24 * time.Hour)
	clean(25 * time.Hour)
	return list
}

// eachFault runs one test for each operation on a bucket, and for each way in which it can fail: nothing happened, or
// it happened and the answer was lost. If not all combinations are tried, the two ways take turns. run reports whether
// there were more operations than at.
func eachFault(t *testing.T, run func(t *testing.T, fault inventorytest.Fault, at int) (more bool)) {
	step := thorough.Step(2)
	for i, fault := range []inventorytest.Fault{inventorytest.Failed, inventorytest.Persisted} {
		for at, more := i%step, true; more; at += step {
			synctest.Test(t, func(t *testing.T) { more = run(t, fault, at) })
			if t.Failed() {
				t.Fatalf("fault %d at operation %d", fault, at)
			}
		}
	}
}

// TestWriterFaults fails every operation on the bucket once.
func TestWriterFaults(t *testing.T) {
	eachFault(t, func(t *testing.T, fault inventorytest.Fault, at int) bool {
		b := guarded(t)
		n := 0
		b.Inject = func(inventorytest.Op, string) inventorytest.Fault {
			if n++; n == at+1 {
				return fault
			}
			return inventorytest.None
		}
		want := inventorytest.Holding{}
		w := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
		for i, step := range steps() {
			err := step(t.Context(), w, want)
			if errors.Is(err, inventorytest.ErrFault) { // Clean does not retry by itself
				err = step(t.Context(), w, want)
			}
			if err != nil {
				t.Fatalf("fault %d at operation %d: step %d: %v", fault, at, i, err)
			}
		}
		more := n > at
		if !more {
			t.Logf("%d operations", n)
		}
		same(t, want, held(t, b))
		tidy(t, b)
		return more
	})
}

// tidy checks that after the last Clean little more is left than the head names.
func tidy(t *testing.T, b *inventorytest.Bucket) {
	t.Helper()
	o, _ := b.Object(inventory.HeadName)
	h, err := inventory.ParseHead(o.Body)
	if err != nil {
		t.Fatal(err)
	}
	if left := len(b.Keys(inventory.SegmentPrefix)) - len(h.Segments); left > 2 {
		t.Errorf("%d segments are left that no head names", left)
	}
}

// TestWriterGivesUp: a bucket that always fails is asked three times for what fails, not ten times. Conflicts with
// other writers in between do not count.
func TestWriterGivesUp(t *testing.T) {
	for name, tt := range map[string]struct {
		fails func(op inventorytest.Op, key string) bool
		puts  int
	}{
		"segments": {func(op inventorytest.Op, key string) bool { return op == inventorytest.Put }, 3},
		"the head": {func(op inventorytest.Op, key string) bool {
			return op == inventorytest.Put && key == inventory.HeadName
		}, 4},
		"reading": {func(op inventorytest.Op, key string) bool { return op == inventorytest.Get }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				puts, gets := 0, 0
				b := &inventorytest.Bucket{Inject: func(op inventorytest.Op, key string) inventorytest.Fault {
					switch op {
					case inventorytest.Put:
						puts++
					case inventorytest.Get:
						gets++
					default:
					}
					if tt.fails(op, key) {
						return inventorytest.Failed
					}
					return inventorytest.None
				}}
				w := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
				if _, err := w.Apply(t.Context(), inventorytest.Blob(1)); !errors.Is(err, inventorytest.ErrFault) {
					t.Errorf("error %v", err)
				}
				if puts != tt.puts || gets > 3 {
					t.Errorf("%d puts, %d gets", puts, gets)
				}
			})
		})
	}
	t.Run("conflicts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &inventorytest.Bucket{}
			other := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
			others, meddling := 0, false
			b.Inject = func(op inventorytest.Op, key string) inventorytest.Fault {
				if op == inventorytest.Put && key == inventory.HeadName && !meddling && others < 8 {
					meddling = true
					others++
					if _, err := other.Apply(t.Context(), inventorytest.Blob(100+others)); err != nil {
						t.Error(err)
					}
					meddling = false
				}
				return inventorytest.None
			}
			if _, err := write.New(b, write.Options{Store: store, TempDir: t.TempDir()}).Apply(t.Context(), inventorytest.Blob(1)); err != nil {
				t.Error(err)
			}
			if others != 8 {
				t.Errorf("%d changes by others", others)
			}
		})
	})
}

// TestWriterCrash kills the writer at every operation. Another writer then repeats the interrupted step.
func TestWriterCrash(t *testing.T) {
	eachFault(t, func(t *testing.T, fault inventorytest.Fault, at int) bool {
		b := guarded(t)
		n, dead := 0, false
		b.Inject = func(inventorytest.Op, string) inventorytest.Fault {
			switch n++; {
			case n == at+1:
				dead = true
				return fault
			case dead:
				return inventorytest.Failed
			}
			return inventorytest.None
		}
		want := inventorytest.Holding{}
		opt := write.Options{Store: store, TempDir: t.TempDir(), Attempts: 1}
		for i, step := range steps() {
			err := step(t.Context(), write.New(b, opt), want)
			if dead {
				dead = false
				b.Inject = nil
				err = step(t.Context(), write.New(b, opt), want)
			}
			if err != nil {
				t.Fatalf("fault %d at operation %d: step %d: %v", fault, at, i, err)
			}
		}
		same(t, want, held(t, b))
		return n > at
	})
}

// TestWritersAtOnce lets several writers and cleaners work for days on one bucket that fails often.
func TestWritersAtOnce(t *testing.T) {
	for seed := range thorough.Rounds[uint64](2, 8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { writeAtOnce(t, seed) })
		})
	}
}

func writeAtOnce(t *testing.T, seed uint64) {
	const writers, changes = 4, 40
	b := guarded(t)
	var mu sync.Mutex
	faults := rand.New(rand.NewPCG(seed, 1))
	b.Inject = func(inventorytest.Op, string) inventorytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		return inventorytest.Fault(max(0, faults.IntN(20)-17)) // a tenth of the operations fails, in either way
	}
	want := make([]inventorytest.Holding, writers)
	opt := write.Options{Store: store, TempDir: t.TempDir(), Attempts: 50}
	var wg sync.WaitGroup
	for i := range want {
		want[i] = inventorytest.Holding{}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(10+i)))
			w := write.New(b, opt)
			for range changes {
				var batch []inventory.Record
				for range rng.IntN(5) { // digests of its own, which it adds and removes
					n := 1000*(i+1) + rng.IntN(40)
					if batch = append(batch, inventorytest.Blob(n)); rng.IntN(3) == 0 {
						batch = append(batch, inventorytest.Gone(n))
					}
				}
				if rng.IntN(3) == 0 { // and some that all writers add, so that segments are the same
					batch = []inventory.Record{inventorytest.Blob(rng.IntN(4))}
				}
				_, err := w.Apply(t.Context(), batch...)
				for again := 0; errors.Is(err, inventorytest.ErrFault) && again < 5; again++ {
					_, err = w.Apply(t.Context(), batch...)
				}
				if err != nil {
					t.Errorf("writer %d: %v", i, err)
					return
				}
				want[i].Apply(batch...)
				if rng.IntN(4) == 0 {
					_, _ = w.Clean(t.Context()) // the next Clean does what failed
				}
				<-time.After(rand.N(6 * time.Hour)) // in synctest's time
			}
		})
	}
	wg.Wait()
	b.Inject = nil
	all := inventorytest.Holding{}
	for _, h := range want {
		maps.Copy(all, h)
	}
	same(t, all, held(t, b))
}

func TestWriterRefuses(t *testing.T) {
	b := &inventorytest.Bucket{}
	opt := write.Options{Store: "other", TempDir: t.TempDir()}
	if _, err := write.New(b, opt).Apply(t.Context(), inventorytest.Blob(1)); err != nil {
		t.Fatal(err)
	}
	before, _ := b.Object(inventory.HeadName)
	opt.Store = store
	if _, err := write.New(b, opt).Apply(t.Context(), inventorytest.Blob(1)); !errors.Is(err, inventory.ErrForeign) {
		t.Errorf("another store's inventory: error %v", err)
	}
	b.Set(inventory.HeadName, []byte("<html>"))
	if _, err := write.New(b, opt).Apply(t.Context(), inventorytest.Blob(1)); !errors.Is(err, inventory.ErrHead) {
		t.Errorf("a broken head: error %v", err)
	}
	if after, _ := b.Object(inventory.HeadName); string(after.Body) != "<html>" || before.Version == "" {
		t.Error("the head was overwritten")
	}
}

// An inventory that is made again in an emptied bucket has a higher generation than the old one.
func TestGenerationAfterWipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inventorytest.Bucket{}
		w := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
		var last *inventory.Head
		for range 5 {
			<-time.After(time.Minute) // in synctest's time
			h, err := w.Apply(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			last = h
		}
		b.Wipe()
		h, err := w.Apply(t.Context(), inventorytest.Blob(1))
		if err != nil || h.Generation <= last.Generation {
			t.Errorf("generation %d after %d, %v", h.Generation, last.Generation, err)
		}
	})
}

// A segment that was damaged in the bucket is not merged into another one.
func TestCompactBadSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inventorytest.Bucket{}
		w := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
		for i := range 16 {
			if _, err := w.Apply(t.Context(), inventorytest.Blob(3*i+1)); err != nil {
				t.Fatal(err)
			}
		}
		key := b.Keys(inventory.SegmentPrefix)[3]
		o, _ := b.Object(key)
		o.Body[len(o.Body)-2]++ // a size
		b.Set(key, o.Body)
		h, err := w.Apply(t.Context(), inventorytest.Blob(100))
		if err != nil || len(h.Segments) != 17 {
			t.Errorf("%d segments, %v; want all of them, and the change written", len(h.Segments), err)
		}
		if _, err := w.Compact(t.Context()); !errors.Is(err, inventory.ErrSegment) {
			t.Errorf("compact: error %v", err)
		}
	})
}
