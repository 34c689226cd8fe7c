package inventory_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
)

// liar returns a world whose store "a" has one segment of two blobs. Its time has no fractions of a second.
func liar(t *testing.T) (w *world, segment string) {
	w = newWorld(t, t.TempDir())
	w.now = time.Now().Truncate(time.Second)
	w.write("a", inventorytest.Blob(1), inventorytest.Blob(2))
	keys := w.b["a"].Keys(inventory.SegmentPrefix)
	if len(keys) != 1 {
		t.Fatalf("segments: %v", keys)
	}
	return w, strings.TrimPrefix(keys[0], inventory.SegmentPrefix)
}

// The table of lies contains only lies: without them, the head is valid.
func TestTruth(t *testing.T) {
	w, segment := liar(t)
	truth := []byte(inventorytest.Truth("a", segment, w.now))
	h, err := inventory.ParseHead(truth)
	if err == nil {
		err = h.CheckTime(w.now)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.b["a"].Set(inventory.HeadName, truth)
	f, live := w.follow("a")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	state(t, f, live, inventory.Current, "")
	w.expect(live, "a")
}

// Whatever impossible thing a head says, a running reader keeps what it has, and so does the next start. What the owner
// then writes in its place is accepted at once.
func TestReaderRefusesLies(t *testing.T) {
	_, segment := liar(t)
	for _, lie := range inventorytest.Lies("a", segment, time.Now()) {
		t.Run(lie.Name, func(t *testing.T) {
			w, segment := liar(t)
			f, live := w.follow("a")
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			lie := again(t, lie, segment, w.now)
			w.b["a"].Set(inventory.HeadName, []byte(lie.Head))
			for range 2 {
				err := f.Refresh(t.Context())
				if err == nil || !strings.Contains(err.Error(), lie.Want) || len(err.Error()) > 500 {
					t.Fatalf("error %v, want %q", err, lie.Want)
				}
				state(t, f, live, inventory.Current, lie.Want)
				w.expect(live, "a")
			}
			after, fresh := w.follow("a") // a restart
			after.Load()
			state(t, after, fresh, inventory.Current, "")

			w.now = w.now.Add(time.Second)
			w.restart("a", inventorytest.Blob(7))
			for _, f := range []*inventory.Follower{f, after} {
				if err := f.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			}
			w.expect(live, "a")
			w.expect(fresh, "a")
			state(t, f, live, inventory.Current, "")
		})
	}
}

// A head on disk is not trusted more than a store's: an older version may have written it.
func TestDiskCacheRefusesLies(t *testing.T) {
	_, segment := liar(t)
	for _, lie := range inventorytest.Lies("a", segment, time.Now()) {
		t.Run(lie.Name, func(t *testing.T) {
			w, segment := liar(t)
			f, _ := w.follow("a")
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			lie := again(t, lie, segment, w.now)
			kept := filepath.Join(w.opt.Dir, "head", "h-a.json")
			if _, err := os.Stat(kept); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{
				"lie":  fmt.Sprintf(`{"url":"http://a/","gone":false,"checked":%q,"head":%s}`, w.now.UTC().Format(time.RFC3339), lie.Head),
				"case": fmt.Sprintf(`{"URL":"http://a/","gone":false,"checked":%q,"head":%s}`, w.now.UTC().Format(time.RFC3339), inventorytest.Truth("a", segment, w.now)),
			} {
				if err := os.WriteFile(kept, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				f, live := w.follow("a")
				f.Load()
				if s := f.Statuses()[0]; s.State != inventory.Loading || s.Generation != 0 {
					t.Errorf("%s: the head on disk was taken: %+v", name, s)
				}
				if err := f.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
				w.expect(live, "a")
				state(t, f, live, inventory.Current, "")
			}
		})
	}
}

// again returns the same lie about another segment and time.
func again(t *testing.T, lie inventorytest.Lie, segment string, now time.Time) inventorytest.Lie {
	t.Helper()
	lies := inventorytest.Lies("a", segment, now)
	return lies[slices.IndexFunc(lies, func(l inventorytest.Lie) bool { return l.Name == lie.Name })]
}

// restart begins the inventory of a store again.
func (w *world) restart(name string, records ...inventory.Record) {
	w.t.Helper()
	opt := write.Options{Store: name, TempDir: w.t.TempDir(), Now: w.clock}
	if _, err := write.New(w.b[name], opt).Restart(w.t.Context(), records...); err != nil {
		w.t.Fatal(err)
	}
	w.held[name] = inventorytest.Holding{}
	w.held[name].Apply(records...)
}

// The worst head that is still possible is accepted, and outlives its repair only by minutes. The owner writes as
// before, and readers follow as soon as different clocks cannot be the cause.
func TestWorstHead(t *testing.T) {
	for name, repair := range map[string]func(*world){
		"rebuild": func(w *world) { w.restart("a", inventorytest.Blob(7)) },
		"mirror":  func(w *world) { w.write("a", inventorytest.Blob(7)) },
		"anew": func(w *world) {
			w.b["a"].Wipe()
			w.held["a"] = inventorytest.Holding{}
			w.write("a", inventorytest.Blob(7))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, segment := liar(t)
			f, live := w.follow("a")
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			ahead := w.now.Add(inventory.MaxSkew)
			worst := strings.Replace(inventorytest.Truth("a", segment, ahead), fmt.Sprintf(`"generation":%d`, ahead.Unix()),
				fmt.Sprintf(`"generation":%d`, ahead.Unix()+inventory.MaxAhead), 1)
			w.b["a"].Set(inventory.HeadName, []byte(worst))
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(time.Second)
			repair(w)
			w.write("a", inventorytest.Blob(8)) // a burst
			_ = f.Refresh(t.Context())
			w.now = w.now.Add(2*inventory.MaxSkew + time.Second)
			w.write("a") // the mirror's next pass
			restarted, fresh := w.follow("a")
			for _, f := range []*inventory.Follower{f, restarted} {
				if err := f.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			}
			w.expect(live, "a")
			w.expect(fresh, "a")
			state(t, f, live, inventory.Current, "")
		})
	}
}

// A proxy that was off for a month accepts what a busy mirror has written meanwhile. So does one that never saw a head.
func TestLongAway(t *testing.T) {
	w, segment := liar(t)
	f, _ := w.follow("a")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := w.now
	w.now = w.now.AddDate(0, 1, 0)
	// One write per second since then, and a burst of a million.
	busy := strings.Replace(inventorytest.Truth("a", segment, w.now), fmt.Sprintf(`"generation":%d`, w.now.Unix()),
		fmt.Sprintf(`"generation":%d`, began.Unix()+int64(w.now.Sub(began).Seconds())+1_000_000), 1)
	w.b["a"].Set(inventory.HeadName, []byte(busy))
	f, live := w.follow("a")
	never := inventory.NewFollower(inventory.Options{Client: w.opt.Client, Now: w.clock})
	fresh, err := never.Follow(w.stores("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*inventory.Follower{f, never} {
		if err := f.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	state(t, f, live, inventory.Current, "")
	state(t, never, fresh, inventory.Current, "")
}

// If our clock jumps back, a head can be in the future. That is a reported fault, not a fresh head. Any head with the
// current time replaces it.
func TestClockBack(t *testing.T) {
	w, _ := liar(t)
	before := w.now
	w.now = before.Add(time.Hour)
	w.write("a", inventorytest.Blob(3))
	f, live := w.follow("a")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.now = before
	if err := f.Refresh(t.Context()); !errors.Is(err, inventory.ErrHead) {
		t.Errorf("error %v", err)
	}
	state(t, f, live, inventory.Current, "in the future") // fail static: the old state stays
	w.expect(live, "a")
	was := maps.Clone(w.held["a"])
	w.restart("a", inventorytest.Blob(9))
	if err := f.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	w.expect(live, "a")
	state(t, f, live, inventory.Current, "")
	if maps.Equal(was, w.held["a"]) {
		t.Error("the test did not do what it says")
	}
}
