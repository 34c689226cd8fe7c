package inventory_test

import (
	"strings"
	"testing"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
)

// Servers do not fetch images and do not see them, whatever happens to their segments.
func TestReaderLeavesImages(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write("a", inventorytest.Blob(1), inventorytest.Blob(3))
	f, live := w.follow("a")
	for i := range 25 { // enough for a compaction of images
		image := inventory.Record{Digest: inventorytest.Digest(1), Size: 9, Kind: inventory.Image}
		if i%5 == 4 {
			image.Digest = inventorytest.Digest(300 + i)
		}
		wr := write.New(w.b["a"], write.Options{Store: "a", TempDir: t.TempDir(), Now: w.clock})
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
	// Later changes of blobs still arrive.
	w.write("a", inventorytest.Blob(7), inventorytest.Gone(1))
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(live, "a")
	if e, ok := live.View().Table.Lookup(inventorytest.Digest(1)); ok {
		t.Errorf("an image shadows the tombstone of a blob: %v", e)
	}
}
