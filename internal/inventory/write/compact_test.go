package write_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
)

// A large old segment stays when the small ones after it are merged. What the small ones say about its digests still
// counts.
func TestCompactKeepsBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := guarded(t)
		w := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
		want := inventorytest.Holding{}
		var base []inventory.Record
		for i := range 3000 {
			base = append(base, inventorytest.Blob(3*i+1)) // sha256
		}
		first, err := w.Apply(t.Context(), base...)
		if err != nil {
			t.Fatal(err)
		}
		want.Apply(base...)
		last := first
		for i := range 40 {
			batch := []inventory.Record{inventorytest.Gone(3*i + 1), inventorytest.Blob(3*i + 20000), inventorytest.Gone(3*i + 30001)}
			if last, err = w.Apply(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
			want.Apply(batch...)
		}
		if last.Segments[0] != first.Segments[0] {
			t.Error("the large segment was merged with the small ones")
		}
		if len(last.Segments) > 16 {
			t.Errorf("%d segments", len(last.Segments))
		}
		same(t, want, held(t, b))

		// In the end every digest is removed.
		var all []inventory.Record
		for d := range want {
			all = append(all, inventory.Record{Digest: d, Kind: inventory.Tombstone})
		}
		empty := false
		for i := range 20 {
			h, err := w.Apply(t.Context(), append(all, inventorytest.Gone(3*i+1))...)
			if err != nil {
				t.Fatal(err)
			}
			empty = empty || len(h.Segments) == 0
		}
		if !empty {
			t.Error("tombstones stay though there is nothing older")
		}
		same(t, nil, held(t, b))
	})
}

// A segment in no head stays for a week and a day, because its writer may still work. A segment that was replaced stays
// for a day.
func TestCleanTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := guarded(t)
		w := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
		for i := range 17 {
			if _, err := w.Apply(t.Context(), inventorytest.Blob(3*i+1)); err != nil {
				t.Fatal(err)
			}
		}
		orphan := inventory.SegmentPrefix + strings.Repeat("ab", 32)
		b.Set(orphan, []byte("whatever"))
		clean := func(after time.Duration, want int) {
			t.Helper()
			<-time.After(after)
			if _, err := w.Clean(t.Context()); err != nil {
				t.Error(err)
			}
			if got := len(b.Keys(inventory.SegmentPrefix)); got != want {
				t.Errorf("%d segments are left, want %d", got, want)
			}
		}
		const day = 24 * time.Hour
		clean(0, 19) // 17, the segment that they were merged into, and the orphan
		clean(day-time.Minute, 19)
		clean(2*time.Minute, 2)
		clean(5*day, 2)
		clean(day, 2)
		clean(day-time.Hour, 2)
		clean(2*time.Hour, 1)
		clean(2*day, 1)
		if marks := b.Keys("retired/"); len(marks) != 0 {
			t.Errorf("marks are left: %v", marks)
		}
		if err := b.Delete(t.Context(), inventory.HeadName); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Clean(t.Context()); err == nil || len(b.Keys(inventory.SegmentPrefix)) != 1 {
			t.Error("cleaned without knowing what is in use")
		}
	})
}

var _ write.Bucket = (*inventorytest.Bucket)(nil)
