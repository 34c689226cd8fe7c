package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

// faults returns a fault that hits operation op: err before it takes place, or after (done). times < 0: always.
func faults(op string, times int, done bool, err error) func(context.Context, string, string, bool) error {
	left := make(chan struct{}, 1000)
	for range times {
		left <- struct{}{}
	}
	return func(_ context.Context, o, _ string, d bool) error {
		if o != op || d != done {
			return nil
		}
		if times < 0 {
			return err
		}
		select {
		case <-left:
			return err
		default:
			return nil
		}
	}
}

// forever makes a fault that hangs in the given operations.
func forever(ops ...string) func(context.Context, string, string, bool) error {
	return func(ctx context.Context, o, _ string, _ bool) error {
		for _, op := range ops {
			if o == op {
				<-ctx.Done()
				return ctx.Err()
			}
		}
		return nil
	}
}

// TestTargetFaults: a fault of one target does not affect the others.
func TestTargetFaults(t *testing.T) {
	busy := errors.New("503 slow down")
	tests := map[string]struct {
		fault func(context.Context, string, string, bool) error
		want  string
	}{
		"failed once":               {faults("put", 1, false, busy), "uploaded"},
		"failed thrice at commit":   {faults("commit", 3, false, busy), "uploaded"},
		"failed but persisted":      {faults("put", 1, true, busy), "already there"},
		"failed for ever":           {faults("put", -1, false, busy), "error"},
		"persisted, fails for ever": {faults("put", -1, true, busy), "already there"},
		"head fails":                {faults("head", 2, false, busy), "uploaded"},
		"denied":                    {faults("head", -1, false, fmt.Errorf("head: %w", store.ErrDenied)), store.ErrDenied.Error()},
		"put denied":                {faults("put", -1, false, fmt.Errorf("put: %w", store.ErrDenied)), store.ErrDenied.Error()},
		"hangs":                     {forever("put"), ErrStalled.Error()},
	}
	for name, tt := range tests {
		bubble(t, name, func(t *testing.T) {
			o, heaps := newOrigin(), three()
			data, blob := made(t, 3, 2*tiny)
			o.add(data, blob)
			heaps[1].fault = tt.fault
			e := engine(t, o, Options{}, heaps...)
			ch, err := e.Ensure(t.Context(), blob, all3, set.Set{})
			if err != nil {
				t.Fatal(err)
			}
			start, got := time.Now(), map[int]Result{}
			for r := range ch {
				got[r.Target] = r
				if r.Target != 1 && time.Since(start) > 0 {
					t.Errorf("target %d waited %s for target 1", r.Target, time.Since(start))
				}
			}
			if diff := cmp.Diff(map[int]string{0: "uploaded", 1: tt.want, 2: "uploaded"}, hows(got)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if o.total() != blob.Size {
				t.Errorf("read %d bytes of %d from the source", o.total(), blob.Size)
			}
			if ob, ok := heaps[1].get("containers/images/" + blob.Digest.String()); ok && !bytes.Equal(ob.data, data) {
				t.Error("wrong bytes are visible")
			}
		})
	}
}

// TestTrip: the engine leaves a bucket that refuses everything alone after a while, and tries it again in the next
// pass.
func TestTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, heaps := newOrigin(), three()
		heaps[2].fault = faults("head", -1, false, fmt.Errorf("head: %w", store.ErrDenied))
		var tripped atomic.Int32
		e := engine(t, o, Options{Observe: func(ev Event) {
			if ev.Kind == Tripped {
				tripped.Add(1)
			}
		}}, heaps...)
		var last map[int]Result
		for i := range 10 {
			last = ensure(t, e, o.add(made(t, uint64(i), 1000)), all3, set.Set{})
		}
		if diff := cmp.Diff(map[int]string{0: "uploaded", 1: "uploaded", 2: ErrTripped.Error()}, hows(last)); diff != "" {
			t.Errorf("the tenth (-want +got):\n%s", diff)
		}
		if !errors.Is(last[2].Err, store.ErrDenied) {
			t.Errorf("the error %q does not say why", last[2].Err)
		}
		synctest.Wait()
		if n := heaps[2].count("head"); n != 5 || tripped.Load() != 1 || e.Stats().Targets[2].TrippedBy == nil {
			t.Errorf("%d requests, %d events, %v", n, tripped.Load(), e.Stats().Targets[2].TrippedBy)
		}
		heaps[2].fault = nil
		e.Reset()
		if got := hows(ensure(t, e, o.add(made(t, 99, 1000)), all3, set.Set{})); got[2] != "uploaded" {
			t.Errorf("after Reset: %v", got)
		}
	})
}

// TestTripByBlobs: the engine also leaves alone a bucket that answers, but accepts no blob. It continues with a bucket
// that accepts some.
func TestTripByBlobs(t *testing.T) {
	busy := errors.New("500 internal error")
	for name, every := range map[string]int{"all fail": 0, "one in five is taken": 5} {
		bubble(t, name, func(t *testing.T) {
			o, heaps := newOrigin(), three()
			e := engine(t, o, Options{}, heaps...)
			failed := 0
			for i := range 25 {
				heaps[2].fault = faults("put", -1, false, busy)
				if every > 0 && i%every == 0 {
					heaps[2].fault = nil
				}
				got := ensure(t, e, o.add(made(t, uint64(i), 1000)), all3, set.Set{})
				if errors.Is(got[2].Err, busy) && !errors.Is(got[2].Err, ErrTripped) {
					failed++
				}
			}
			want := 4 // the fifth puts the target aside; its error is that one or its own
			if every > 0 {
				want = 20
			}
			if failed < want || failed > want+1 || (e.Stats().Targets[2].TrippedBy != nil) != (every == 0) {
				t.Errorf("%d blobs failed, %v", failed, e.Stats().Targets[2].TrippedBy)
			}
		})
	}
}

// TestPlaceRefuses: if one place of a target refuses a blob, the engine does not ask that place again, and draws no
// conclusion about the target.
func TestPlaceRefuses(t *testing.T) {
	for _, op := range []string{"head", "put"} {
		bubble(t, op, func(t *testing.T) {
			o, heaps := newOrigin(), three()
			e := engine(t, o, Options{}, heaps...)
			for _, why := range []error{store.ErrDenied, errors.New("405 read only")} {
				heaps[2].fault = faults(op, -1, false, &PlaceError{why})
				for i := range 30 {
					if got := ensure(t, e, o.add(made(t, uint64(i), 1000)), all3, set.Set{}); !errors.Is(got[2].Err, why) || errors.Is(got[2].Err, ErrTripped) {
						t.Fatalf("blob %d: %v, want %v", i, got[2].Err, why)
					}
				}
			}
			if n := heaps[2].count(op); n != 60 {
				t.Errorf("%d requests for 60 blobs", n)
			}
			heaps[2].fault = nil
			if got := hows(ensure(t, e, o.add(made(t, 99, 1000)), all3, set.Set{})); got[2] != "uploaded" {
				t.Errorf("afterwards: %v", got)
			}
		})
	}
}

// TestThere: an object that is already under the key is not trusted by its name.
func TestThere(t *testing.T) {
	for _, weak := range []bool{false, true} {
		for name, tt := range map[string]struct {
			spoil func(data []byte) []byte
			want  string
		}{
			"right":    {func(b []byte) []byte { return b }, "already there"},
			"wrong":    {func(b []byte) []byte { c := bytes.Clone(b); c[len(c)-1]++; return c }, "repaired"},
			"short":    {func(b []byte) []byte { return b[1:] }, "repaired"},
			"nothing":  {func(b []byte) []byte { return nil }, "repaired"},
			"too much": {func(b []byte) []byte { return append(bytes.Clone(b), 0) }, "repaired"},
		} {
			bubble(t, fmt.Sprintf("%s/weak=%v", name, weak), func(t *testing.T) {
				for _, make := range []func(testing.TB, uint64, int) ([]byte, Blob){made, made512} {
					o, heaps := newOrigin(), three()
					data, blob := make(t, 4, 2*tiny)
					o.add(data, blob)
					key := "containers/images/" + blob.Digest.String()
					heaps[0].weak = weak
					if _, err := heaps[0].write(key, tt.spoil(data), ""); err != nil {
						t.Fatal(err)
					}
					e := engine(t, o, Options{}, heaps...)
					if got := hows(ensure(t, e, blob, set.Of(0), set.Set{})); got[0] != tt.want {
						t.Errorf("got %v, want %s", got, tt.want)
					}
					if ob, _ := heaps[0].get(key); !bytes.Equal(ob.data, data) {
						t.Error("wrong bytes are there")
					}
					if tt.want == "already there" && o.total() != 0 {
						t.Error("the source was read")
					}
				}
			})
		}
	}
}

// TestGroup: a blob is uploaded once to a cloud, which then makes its own copies.
func TestGroup(t *testing.T) {
	key := func(b Blob) string { return "containers/images/" + b.Digest.String() }
	group := func() []*heap {
		h := append(three(), newHeap("other"))
		for _, c := range h[:3] {
			c.copier = true
		}
		return h
	}
	need := set.Of(0, 1, 2, 3)
	copied := map[int]string{0: "uploaded", 1: "copied", 2: "copied", 3: "uploaded"}
	tests := map[string]struct {
		prepare func(h []*heap, b Blob, data []byte)
		have    set.Set
		need    set.Set
		want    map[int]string
		read    int // how often the source was read
		back    bool
	}{
		"first":        {nil, set.Set{}, need, copied, 1, false},
		"no checksums": {func(h []*heap, b Blob, _ []byte) { h[1].weak, h[2].weak = true, true }, set.Set{}, need, copied, 1, true},
		"one holds it": {func(h []*heap, b Blob, d []byte) { _, _ = h[1].write(key(b), d, "") }, set.Of(1), set.Of(0, 2),
			map[int]string{0: "copied", 2: "copied"}, 0, false},
		"it does not, though it should": {nil, set.Of(1), set.Of(0, 2), map[int]string{0: "uploaded", 2: "uploaded"}, 1, false},
		"what it holds is wrong": {func(h []*heap, b Blob, d []byte) {
			h[1].weak, h[0].weak = true, true
			d = bytes.Clone(d)
			d[7]++
			_, _ = h[1].write(key(b), d, "")
		}, set.Of(1), set.Of(0), map[int]string{0: "uploaded"}, 1, true},
		"cannot copy": {func(h []*heap, b Blob, _ []byte) { h[1].fault = faults("copy", -1, false, store.ErrCannotCopy) }, set.Set{}, need,
			map[int]string{0: "uploaded", 1: "uploaded", 2: "copied", 3: "uploaded"}, 1, false},
		"copy fails": {func(h []*heap, b Blob, _ []byte) { h[1].fault = faults("copy", -1, false, errors.New("503")) }, set.Set{}, need,
			map[int]string{0: "uploaded", 1: "uploaded", 2: "copied", 3: "uploaded"}, 1, false},
		"copy fails but persists": {func(h []*heap, b Blob, _ []byte) { h[1].fault = faults("copy", 1, true, errors.New("503")) }, set.Set{}, need,
			map[int]string{0: "uploaded", 1: "already there", 2: "copied", 3: "uploaded"}, 1, false},
		"the first of the group fails": {func(h []*heap, b Blob, _ []byte) { h[0].fault = faults("put", -1, false, store.ErrUnfit) }, set.Set{}, need,
			map[int]string{0: "error", 1: "uploaded", 2: "copied", 3: "uploaded"}, 1, false},
		"the first of the group hangs": {func(h []*heap, b Blob, _ []byte) { h[0].fault = forever("put") }, set.Set{}, need,
			map[int]string{0: ErrStalled.Error(), 1: "uploaded", 2: "copied", 3: "uploaded"}, 1, false},
		"the first is there": {func(h []*heap, b Blob, d []byte) { _, _ = h[0].write(key(b), d, "") }, set.Set{}, set.Of(0, 1, 2),
			map[int]string{0: "already there", 1: "copied", 2: "copied"}, 0, false},
	}
	for name, tt := range tests {
		bubble(t, name, func(t *testing.T) {
			o, heaps := newOrigin(), group()
			data, blob := made(t, 5, 2*tiny)
			o.add(data, blob)
			if tt.prepare != nil {
				tt.prepare(heaps, blob, data)
			}
			e := engine(t, o, Options{CopyWithinGroup: true}, heaps...)
			ch, err := e.Ensure(t.Context(), blob, tt.need, tt.have)
			if err != nil {
				t.Fatal(err)
			}
			start, got := time.Now(), map[int]Result{}
			for r := range ch {
				got[r.Target] = r
				if d := time.Since(start); r.Err == nil && d > time.Minute { // a grace and some tries
					t.Errorf("target %d waited %s for another one", r.Target, d)
				}
			}
			if diff := cmp.Diff(tt.want, hows(got)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if o.total() != int64(tt.read)*blob.Size {
				t.Errorf("read %d bytes from the source, want %d times %d", o.total(), tt.read, blob.Size)
			}
			var back int64
			for i, ts := range e.Stats().Targets {
				back += ts.ReadBack
				if ob, ok := heaps[i].get(key(blob)); got[i].How != 0 && (!ok || !bytes.Equal(ob.data, data)) {
					t.Errorf("%s does not hold the blob", heaps[i].name)
				}
			}
			if (back > 0) != tt.back {
				t.Errorf("%d bytes read back, want some: %v", back, tt.back)
			}
		})
	}
}
