package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/oci"
)

// deaf is a transport that reaches no host.
type deaf struct{}

func (deaf) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route to host")
}

func TestRestartWithEverythingDown(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for i, name := range []string{"a", "b", "c"} {
		w.write(name, inventorytest.Blob(1), inventorytest.Blob(2), inventorytest.Blob(10+i))
	}
	f, live := w.follow("a", "b", "c")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(live, "a", "b", "c")
	w.opt.Client = &http.Client{Transport: deaf{}}
	f, live = w.follow("a", "b", "c")
	if err := f.Refresh(t.Context()); err == nil {
		t.Error("no error, though nobody answers")
	}
	w.expect(live, "a", "b", "c")
	if d := cmp.Diff([]int{0, 1, 2}, believed(live)); d != "" {
		t.Errorf("believed (-want +got)\n%s", d)
	}
}

// The inventory is gone, comes back unchanged, is gone over a restart, and is made again with a lower generation.
func TestGone(t *testing.T) {
	for _, status := range []int{403, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.write("a", inventorytest.Blob(1), inventorytest.Blob(2))
			f, live := w.follow("a")
			refresh := func(want inventory.State, fault string) {
				t.Helper()
				if err := f.Refresh(t.Context()); (err != nil) != (fault != "") {
					t.Errorf("refresh: %v", err)
				}
				state(t, f, live, want, fault)
			}
			absent := on("head.json", text(status, "text/plain", "no"))
			refresh(inventory.Current, "")
			w.set(absent)
			refresh(inventory.Gone, fmt.Sprint("status ", status))
			w.expect(live, "a") // its sizes can still be used
			w.set(nil)
			refresh(inventory.Current, "") // by 304
			w.set(absent)
			refresh(inventory.Gone, fmt.Sprint("status ", status))

			f, live = w.follow("a")
			w.set(on("head.json", text(500, "text/plain", "oops")))
			refresh(inventory.Gone, "status 500")

			w.b["a"].Wipe()
			w.held["a"] = inventorytest.Holding{}
			w.now = time.Now().Add(-time.Hour) // the writer's clock is slow: a lower generation
			w.write("a", inventorytest.Blob(7))
			w.now = time.Time{}
			w.set(nil)
			refresh(inventory.Gone, "older")
			w.now = time.Now().Add(time.Minute)
			w.write("a", inventorytest.Blob(8))
			refresh(inventory.Current, "")
			w.expect(live, "a")
		})
	}
}

func TestStale(t *testing.T) {
	w := newWorld(t, "")
	w.write("a", inventorytest.Blob(1))
	start := time.Now()
	f, live := w.follow("a")
	at := func(now time.Time, want inventory.State) {
		t.Helper()
		w.mu.Lock()
		w.now = now
		w.mu.Unlock()
		fault := ""
		if now.Before(start.Add(-time.Hour)) {
			fault = "in the future"
		}
		if err := f.Refresh(t.Context()); (err != nil) != (fault != "") {
			t.Error(err)
		}
		state(t, f, live, want, fault)
	}
	at(start, inventory.Current)
	at(start.Add(23*time.Hour), inventory.Current)
	at(start.Add(25*time.Hour), inventory.Stale)
	at(start.Add(-25*time.Hour), inventory.Stale) // our clock or the writer's is wrong
	at(start.Add(time.Minute), inventory.Current)
	at(start.Add(48*time.Hour), inventory.Stale)
	w.write("a") // a pass without changes
	at(start.Add(48*time.Hour), inventory.Current)
	w.expect(live, "a")
}

// One segment that all stores list is fetched once, even without a disk, when all stores wait for it.
func TestSharedSegment(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": "", "unwritable": unwritable(t)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sharedSegment(t, dir, name != "unwritable") })
		})
	}
}

func sharedSegment(t *testing.T, dir string, writable bool) {
	w := newWorld(t, dir)
	var names []string
	for i := range 33 {
		names = append(names, fmt.Sprint("store", i))
		w.write(names[i], inventorytest.Blob(1), inventorytest.Blob(2), inventorytest.Blob(4))
		w.write(names[i], inventorytest.Blob(1), inventorytest.Blob(5), inventorytest.Blob(7))
		w.write(names[i], inventorytest.Blob(100+3*i), inventorytest.Blob(101+3*i))
	}
	w.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/seg/") {
			<-time.After(time.Second) // meanwhile all others go as far as they can
		}
		return false
	})
	f, live := w.follow(names...)
	if err := f.Refresh(t.Context()); err != nil && writable {
		t.Fatal(err)
	}
	w.expect(live, names...)
	for path, n := range w.seen {
		if strings.HasPrefix(path, "/seg/") && n > 1 {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
	// The next refresh fetches only heads.
	w.set(on("/seg/", text(500, "text/plain", "not again")))
	if err := f.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
}

// If a store cannot deliver a shared segment, the other stores still get it from elsewhere.
func TestSharedSegmentFromAnother(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for _, name := range []string{"a", "b", "c"} {
		w.write(name, inventorytest.Blob(1), inventorytest.Blob(2))
	}
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Host == "c" || !strings.Contains(r.URL.Path, "/seg/") {
			return false
		}
		text(503, "text/plain", "slow down")(rw, r)
		return true
	})
	f, live := w.follow("a", "b", "c")
	_ = f.Refresh(t.Context())
	if v := live.View(); !v.Believed.Has(2) {
		t.Error("c is not read, since a or b failed")
	}
	if err := f.Refresh(t.Context()); err != nil {
		t.Errorf("a and b do not take what c has delivered: %v", err)
	}
	w.expect(live, "a", "b", "c")
}

// Content distinguishes a head that lists something else from one that was only rewritten, over a restart too.
func TestContent(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write("a")
	f, _ := w.follow("a")
	content := func() uint64 {
		t.Helper()
		if err := f.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f.Statuses()[0].Content
	}
	if n := f.Statuses()[0].Content; n != 0 {
		t.Errorf("content %x of no head", n)
	}
	empty := content()
	w.write("a", inventorytest.Blob(1))
	one := content()
	w.write("a") // a pass without changes
	again, generation := content(), f.Statuses()[0].Generation
	f, _ = w.follow("a")
	f.Load()
	restarted := f.Statuses()[0]
	w.write("a", inventorytest.Blob(2))
	two := content()
	if empty == 0 || empty == one || one != again || restarted.Content != one || restarted.Generation != generation || two == one {
		t.Errorf("content: empty %x, one segment %x, rewritten %x, restarted %x, two segments %x", empty, one, again, restarted.Content, two)
	}
}

// TestFollowerAgainstMap changes stores at random: they come, go and change places.
func TestFollowerAgainstMap(t *testing.T) {
	for seed := range uint64(4) {
		for name, dir := range map[string]string{"disk": t.TempDir(), "memory": ""} {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 3))
				w := newWorld(t, dir)
				all := []string{"a", "b", "c", "d", "e", "f"}
				for _, name := range all {
					w.write(name, inventorytest.Blob(1))
				}
				names := all[:3]
				f, live := w.follow(names...)
				for range 30 {
					var batch []inventory.Record
					for range rng.IntN(6) {
						if batch = append(batch, inventorytest.Blob(rng.IntN(60))); rng.IntN(3) == 0 {
							batch = append(batch, inventorytest.Gone(rng.IntN(60)))
						}
					}
					for _, name := range all {
						if rng.IntN(2) == 0 {
							w.write(name, batch...)
						}
					}
					if rng.IntN(4) == 0 {
						rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
						names = append([]string(nil), all[:1+rng.IntN(len(all))]...)
						old, before := live, maps.Collect(live.View().Table.All())
						next, err := f.Follow(w.stores(names...))
						if err != nil {
							t.Fatal(err)
						}
						live = next
						if d := cmp.Diff(before, maps.Collect(old.View().Table.All()), cmpopts.EquateComparable(oci.Digest{})); d != "" {
							t.Fatalf("the view of the old list changed\n%s", d)
						}
					}
					if dir != "" && rng.IntN(8) == 0 { // a restart
						f, live = w.follow(names...)
					}
					if err := f.Refresh(t.Context()); err != nil {
						t.Fatal(err)
					}
					w.expect(live, names...)
				}
			})
		}
	}
}

// A reload keeps what is known about the stores that stay, before it reads anything again.
func TestFollowKeeps(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for i, name := range []string{"a", "b", "c"} {
		w.write(name, inventorytest.Blob(1), inventorytest.Blob(10+i))
	}
	f, live := w.follow("a", "b")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := f.Follow(w.stores("c", "b", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{1, 2}, believed(next)); d != "" {
		t.Errorf("believed (-want +got)\n%s", d)
	}
	if e, _ := next.View().Table.Lookup(inventorytest.Digest(11)); !e.Stores.Has(1) || e.Stores.Has(0) || e.Stores.Has(2) {
		t.Errorf("b holds %v", e)
	}
	w.expect(live, "a", "b")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(next, "c", "b", "a")
	w.expect(live, "a", "b")
	for _, bad := range [][]inventory.Store{
		{{ID: "a", URL: "http://a/", Index: 256}}, {{ID: "a", URL: "http://a/", Index: -1}}, {{ID: "", URL: "http://a/"}}, {{ID: "a"}},
		{{ID: "a", URL: "http://a/"}, {ID: "b", URL: "http://b/"}}, {{ID: "a", URL: "http://a/"}, {ID: "a", URL: "http://b/", Index: 1}},
	} {
		if _, err := f.Follow(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// Reloads and loads run at the same time.
func TestFollowWhileLoading(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write("a", inventorytest.Blob(1))
	for range 50 {
		f, _ := w.follow("a") // nothing is on disk: the log names the store
		var both sync.WaitGroup
		both.Go(f.Load)
		both.Go(func() {
			if _, err := f.Follow(w.stores("a")); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
	}
}

// Run reads by itself, each store at its own pace. It accepts a new list while it runs.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		for _, name := range []string{"a", "b", "c"} {
			w.write(name, inventorytest.Blob(1))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f, live := w.follow("a", "b")
		done := make(chan struct{})
		go func() { f.Run(ctx); close(done) }()
		synctest.Wait()
		w.expect(live, "a", "b")
		w.write("a", inventorytest.Blob(2))
		w.write("b", inventorytest.Gone(1))
		<-time.After(2 * time.Minute)
		synctest.Wait()
		w.expect(live, "a", "b")
		live, err := f.Follow(w.stores("b", "c"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.expect(live, "b", "c")
		w.mu.Lock()
		was := w.seen["/head.json"]
		w.mu.Unlock()
		<-time.After(time.Hour)
		synctest.Wait()
		w.mu.Lock()
		if n := w.seen["/head.json"] - was; n < 108 || n > 134 {
			t.Errorf("%d heads of two stores in an hour", n)
		}
		w.mu.Unlock()
		cancel()
		<-done
	})
}

// Large enough that nothing fits in one buffer: it is spooled to a file, merged from files, and compacted.
func TestLarge(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for round := range 10 {
		var batch []inventory.Record
		for i := range 12000 * (1 - min(round, 1)) {
			batch = append(batch, inventorytest.Blob(i*7))
		}
		for i := range 6000 {
			batch = append(batch, inventorytest.Blob(round*3000+i), inventorytest.Gone(round*2000+i/2))
		}
		w.write("a", batch...)
	}
	f, live := w.follow("a")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(live, "a")
	if s := f.Statuses()[0]; s.Held != len(w.held["a"]) || s.Segments > 16 {
		t.Errorf("%+v", s)
	}
}
