package write_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
)

// A writer does not continue from a head that cannot be true. It reports that at once and leaves the bucket unchanged.
// A writer that begins the inventory again can always write, and after that all writers can.
func TestWriterRefusesLies(t *testing.T) {
	segment := strings.Repeat("ab", 32)
	for _, lie := range inventorytest.Lies(store, segment, time.Now()) {
		t.Run(lie.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &inventorytest.Bucket{}
				opt := write.Options{Store: store, TempDir: t.TempDir()}
				if _, err := write.New(b, opt).Apply(t.Context(), inventorytest.Blob(1)); err != nil {
					t.Fatal(err)
				}
				head := lie.Head
				for _, l := range inventorytest.Lies(store, segment, time.Now()) { // in synctest's time
					if l.Name == lie.Name {
						head = l.Head
					}
				}
				b.Set(inventory.HeadName, []byte(head))
				for _, change := range []func(*write.Writer) error{
					func(w *write.Writer) error { _, err := w.Head(t.Context()); return err },
					func(w *write.Writer) error { _, err := w.Apply(t.Context()); return err },
					func(w *write.Writer) error { _, err := w.Apply(t.Context(), inventorytest.Blob(2)); return err },
					func(w *write.Writer) error { _, err := w.Remove(t.Context(), inventorytest.Digest(1)); return err },
					func(w *write.Writer) error { _, err := w.Compact(t.Context()); return err },
				} {
					if err := change(write.New(b, opt)); !errors.Is(err, inventory.ErrHead) || !strings.Contains(err.Error(), lie.Want) {
						t.Errorf("error %v, want %q", err, lie.Want)
					}
				}
				if o, _ := b.Object(inventory.HeadName); string(o.Body) != head {
					t.Errorf("the head is now %s", o.Body)
				}
				if _, err := write.New(b, opt).Restart(t.Context(), inventorytest.Blob(7)); err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					if _, err := write.New(b, opt).Apply(t.Context(), inventorytest.Blob(8+i)); err != nil {
						t.Fatal(err)
					}
				}
				want := inventorytest.Holding{}
				want.Apply(inventorytest.Blob(7), inventorytest.Blob(8), inventorytest.Blob(9), inventorytest.Blob(10))
				same(t, want, held(t, b))
			})
		})
	}
}

// What a writer learned about images no longer counts after an inventory was begun again, although generations are
// lower since.
func TestImagesAfterReplacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inventorytest.Bucket{}
		opt := write.Options{Store: store, TempDir: t.TempDir()}
		w := write.New(b, opt)
		if _, err := w.Apply(t.Context(), inventorytest.Blob(1)); err != nil {
			t.Fatal(err)
		}
		ahead := time.Now().UTC()
		high := ahead.Unix() + inventory.MaxAhead
		b.Set(inventory.HeadName, []byte(strings.Replace(inventorytest.Truth(store, strings.Repeat("ab", 32), ahead),
			fmt.Sprintf(`"generation":%d`, ahead.Unix()), fmt.Sprintf(`"generation":%d`, high), 1)))
		if _, err := w.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Wipe()
		if _, err := write.New(b, opt).Restart(t.Context(), inventorytest.Blob(1)); err != nil {
			t.Fatal(err)
		}
		image := inventory.Record{Digest: inventorytest.Digest(5), Size: 5, Kind: inventory.Image}
		h, err := w.Apply(t.Context(), image) // from its own knowledge: the bucket refuses, and it reads again
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range h.Segments {
			if ref.Images() {
				t.Error("an image was written that was whole in another inventory")
			}
		}
	})
}

// An object whose name only ends like a segment's stays, and so does the segment with that name.
func TestCleanOnlySegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inventorytest.Bucket{}
		orphan := strings.Repeat("ab", 32)
		b.Set("seg/elsewhere/"+orphan, []byte("x"))
		<-time.After(10 * 24 * time.Hour)
		b.Set("seg/"+orphan, []byte("x")) // its writer is about to list it
		w := write.New(b, write.Options{Store: store, TempDir: t.TempDir()})
		if _, err := w.Apply(t.Context(), inventorytest.Blob(1)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if removed, err := w.Clean(t.Context()); err != nil || len(removed) > 0 {
				t.Errorf("removed %v, %v", removed, err)
			}
			<-time.After(25 * time.Hour)
		}
		for _, key := range []string{"seg/elsewhere/" + orphan, "seg/" + orphan} {
			if _, ok := b.Object(key); !ok {
				t.Errorf("%s is gone", key)
			}
		}
	})
}

// timeless is a bucket whose lists have no times.
type timeless struct{ *inventorytest.Bucket }

func (b timeless) List(ctx context.Context, prefix string) iter.Seq2[write.Listed, error] {
	return func(yield func(write.Listed, error) bool) {
		for o, err := range b.Bucket.List(ctx, prefix) {
			o.Modified = time.Time{}
			if !yield(o, err) {
				return
			}
		}
	}
}

// An object without a time does not count as old: a segment that its writer has just put is in no head yet.
func TestCleanWithoutTimes(t *testing.T) {
	b := &inventorytest.Bucket{}
	opt := write.Options{Store: store, TempDir: t.TempDir()}
	if _, err := write.New(b, opt).Apply(t.Context(), inventorytest.Blob(1)); err != nil {
		t.Fatal(err)
	}
	b.Set(inventory.SegmentPrefix+strings.Repeat("ab", 32), []byte("of another writer, a moment ago"))
	before := len(b.Keys(""))
	removed, err := write.New(timeless{b}, opt).Clean(t.Context())
	if err == nil || len(removed) > 0 || len(b.Keys("")) != before {
		t.Errorf("removed %q, error %v, %q", removed, err, b.Keys(""))
	}
}
