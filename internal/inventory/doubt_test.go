package inventory_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
)

// A writer's swap happens but nobody tells it; before it looks again, another writer removes the blob and merges both changes. The first one must
// see that it was done, not bring the blob back.
func TestDoubtAfterCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inventorytest.Bucket{}
		opt := inventory.WriterOptions{Store: store, TempDir: t.TempDir()}
		mine, other := inventory.NewWriter(b, opt), inventory.NewWriter(b, opt)
		if _, err := other.Apply(t.Context(), blob(1)); err != nil {
			t.Fatal(err)
		}
		want := holding{}
		want.apply(blob(1))
		state := 0
		b.Inject = func(op inventorytest.Op, key string) inventorytest.Fault {
			switch {
			case state == 0 && op == inventorytest.Put && key == inventory.HeadName:
				state = 1
				return inventorytest.Persisted
			case state == 1 && op == inventorytest.Get && key == inventory.HeadName:
				state = 2
				for i := range 20 {
					records := []inventory.Record{blob(100 + i), gone(2)}
					if _, err := other.Apply(t.Context(), records...); err != nil {
						t.Error(err)
					}
					want.apply(records...)
				}
			}
			return inventorytest.None
		}
		if _, err := mine.Apply(t.Context(), blob(2)); err != nil {
			t.Fatal(err)
		}
		if state != 2 {
			t.Fatal("the test did not do what it says")
		}
		same(t, want, held(t, b))
	})
}

// Servers neither fetch images nor see them, whatever becomes of their segments.
func TestReaderLeavesImages(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write("a", blob(1), blob(3))
	f, live := w.follow("a")
	for i := range 25 { // over a compaction of images
		image := inventory.Record{Digest: digest(1), Size: 9, Kind: inventory.Image}
		if i%5 == 4 {
			image.Digest = digest(300 + i)
		}
		wr := inventory.NewWriter(w.b["a"], inventory.WriterOptions{Store: "a", TempDir: t.TempDir(), Now: w.clock})
		if _, err := wr.Apply(t.Context(), image); err != nil {
			t.Fatal(err)
		}
		if err := f.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect(live, "a")
		if st := f.Statuses()[0]; st.Segments != 2 || st.State != inventory.Current {
			t.Fatalf("status %+v", st)
		}
	}
	segments := 0
	for path := range w.seen {
		if strings.Contains(path, inventory.SegmentPrefix) {
			segments++
		}
	}
	if segments != 2 {
		t.Errorf("%d segments were fetched, 2 have blobs", segments)
	}
	// Blobs after it come through.
	w.write("a", blob(7), gone(1))
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(live, "a")
	if e, ok := live.View().Table.Lookup(digest(1)); ok {
		t.Errorf("an image shadows the tombstone of a blob: %v", e)
	}
}
