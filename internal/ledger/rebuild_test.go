package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// put puts a blob that is not what its digest says: nobody reads it here.
func put(t *testing.T, b *watched, r inventory.Record) {
	t.Helper()
	b.write(t, store.BlobKey(r.Digest), strings.Repeat("x", int(r.Size)))
}

// TestSpans: every key is in one span.
func TestSpans(t *testing.T) {
	b := open(t)
	var want []string
	for _, name := range []string{
		"!", "blake3:00", "sha1:00", "sha25", "sha256", "sha256-", "sha256:", "sha256:0", "sha256:0~", "sha256:0~a", "sha256:9", "sha256:9~", "sha256:9~a",
		"sha256:A", "sha256:a", "sha256:f", "sha256:f~", "sha256:f~b", "sha256:g", "sha256:~", "sha384:00", "sha512:", "sha512:0", "sha512:~", "sha512:~a", "sha513", "zzz",
		digest(1).String(), digest(3).String(), digest(1).String() + "0", strings.ToUpper(digest(10).String()),
	} {
		b.write(t, store.BlobPrefix+name, "x")
		want = append(want, name)
	}
	b.write(t, "containers/imaget", "x")
	b.write(t, "containers/image", "x")
	var got, blobs []string
	for _, s := range spans() {
		for o, err := range s.list(t.Context(), b) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.TrimPrefix(o.Key, store.BlobPrefix))
			if !o.digest.IsZero() {
				blobs = append(blobs, o.digest.String())
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	slices.Sort(blobs)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("keys (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{digest(1).String(), digest(3).String()}, blobs); d != "" {
		t.Errorf("blobs (-want +got)\n%s", d)
	}
}

// TestRebuild makes inventories wrong in every way at random, and rebuilds them.
func TestRebuild(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			b := open(t)
			l := books(t, Options{}, b)
			want := newHolding()
			expect := Rebuilt{Hidden: []Hidden{}}
			for i := range 60 {
				r := blob(i)
				there, recorded, other := rng.IntN(4) > 0, rng.IntN(4) > 0, rng.IntN(8) == 0
				if there {
					put(t, b, r)
					want.add(r)
					expect.Blobs++
					expect.Bytes += r.Size
				}
				if recorded {
					if other {
						r.Size += 7
					}
					add(t, l, 0, r)
				}
				switch {
				case there && !recorded:
					expect.Added++
				case there && other:
					expect.Resized++
				case !there && recorded:
					expect.Removed++
				}
			}
			add(t, l, 0, image(1))
			good(t, l.Flush(t.Context()))
			b.write(t, store.BlobPrefix+"index.html", "x")
			expect.Unexpected, expect.Keys = 1, []string{store.BlobPrefix + "index.html"}

			before := ask(l, 0)
			dry, err := l.Rebuild(t.Context(), 0, RebuildOptions{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(expect, dry); d != "" {
				t.Errorf("dry run (-want +got)\n%s", d)
			}
			same(t, "after a dry run", before, ask(books(t, Options{}, b), 0))
			got, err := l.Rebuild(t.Context(), 0, RebuildOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(expect, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			same(t, "here", want, ask(l, 0))
			add(t, l, 0, image(1))
			good(t, l.Flush(t.Context()))
			want.add(image(1))
			l = books(t, Options{}, b)
			same(t, "in the store", want, ask(l, 0))
			// Nothing is left to do, and images stay.
			got, err = l.Rebuild(t.Context(), 0, RebuildOptions{})
			if err != nil || got.Changes() != 0 {
				t.Errorf("again: %+v, %v", got, err)
			}
			same(t, "again", want, ask(books(t, Options{}, b), 0))
		})
	}
}

// hiding is a bucket whose objects have attributes that files cannot have, and whose listing may lie.
type hiding struct {
	*watched
	attrs  map[string]store.Attrs // by key: what Head adds
	listed bool                   // the listing tells them too
	lacks  map[string]bool        // keys that the listing lacks
	sizes  map[string]int64       // that it has wrong
}

func (h *hiding) tell(a store.Attrs) store.Attrs {
	if more, ok := h.attrs[a.Key]; ok {
		a.ContentEncoding, a.Hidden = more.ContentEncoding, more.Hidden
	}
	return a
}

func (h *hiding) Head(ctx context.Context, key string) (store.Attrs, error) {
	a, err := h.watched.Head(ctx, key)
	return h.tell(a), err
}

func (h *hiding) List(ctx context.Context, prefix, after string) iter.Seq2[store.Attrs, error] {
	return func(yield func(store.Attrs, error) bool) {
		for a, err := range h.watched.List(ctx, prefix, after) {
			if h.listed {
				a = h.tell(a)
			}
			if size, ok := h.sizes[a.Key]; ok {
				a.Size = size
			}
			if !h.lacks[a.Key] && !yield(a, err) {
				return
			}
		}
	}
}

// TestRebuildHidden: what clients would not get as it is, is not listed, and what a listing says is not believed without a look.
func TestRebuildHidden(t *testing.T) {
	key := func(i int) string { return store.BlobKey(digest(i)) }
	for _, listed := range []bool{false, true} {
		t.Run(fmt.Sprintf("listing tells %v", listed), func(t *testing.T) {
			h := &hiding{watched: open(t), listed: listed, lacks: map[string]bool{key(1): true}, sizes: map[string]int64{key(2): 99, key(4): 99},
				attrs: map[string]store.Attrs{key(5): {ContentEncoding: "gzip"}, key(7): {Hidden: "storage class GLACIER"}, key(1): {}, key(10): {ContentEncoding: "br"}}}
			for _, i := range []int{1, 2, 4, 5, 7, 8, 10, 11} {
				put(t, h.watched, blob(i))
			}
			l, err := Open(t.Context(), []Store{{Name: "s0", Bucket: h}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			// Recorded: 1, which the listing lacks; 2, to which it gives another size; and 10, which has got an encoding since.
			add(t, l, 0, blob(1), blob(2), blob(10))
			good(t, l.Flush(t.Context()))
			asked := map[oci.Digest]bool{}
			var mu sync.Mutex
			got, err := l.Rebuild(t.Context(), 0, RebuildOptions{Look: func(_ context.Context, d oci.Digest, size int64) error {
				mu.Lock()
				defer mu.Unlock()
				asked[d] = true
				if d == digest(8) {
					return fmt.Errorf("403: %w", store.ErrHidden)
				}
				if want := int64(map[oci.Digest]int{digest(2): 2, digest(4): 4, digest(11): 11}[d]); size != want {
					t.Errorf("asked for %s of %d bytes, want %d", d, size, want)
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			want := newHolding()
			want.add(blob(1), blob(2), blob(4), blob(11))
			removed := int64(0)
			if listed {
				removed = 1
			} else {
				want.add(blob(10)) // an audit asks for what is listed, a rebuild does not
			}
			same(t, "here", want, ask(l, 0))
			if got.Unreadable != 3+removed || int64(len(got.Hidden)) != got.Unreadable || got.Removed != removed || got.Resized != 0 || got.Added != 2 {
				t.Errorf("%+v", got)
			}
			if len(asked) != 4 {
				t.Errorf("anonymous clients asked for %v", asked)
			}
		})
	}
}

// TestRebuildStrangersSilent: where nobody can say what clients get, nothing is listed.
func TestRebuildStrangersSilent(t *testing.T) {
	b := open(t)
	put(t, b, blob(1))
	l := books(t, Options{}, b)
	_, err := l.Rebuild(t.Context(), 0, RebuildOptions{Look: func(context.Context, oci.Digest, int64) error { return errFault }})
	if !errors.Is(err, errFault) {
		t.Error(err)
	}
	same(t, "here", newHolding(), ask(l, 0))
}

// during does something when a listing begins, once.
type during struct {
	*watched
	once sync.Once
	do   func()
}

func (d *during) List(ctx context.Context, prefix, after string) iter.Seq2[store.Attrs, error] {
	if strings.HasPrefix(prefix, store.BlobPrefix) {
		d.once.Do(d.do)
	}
	return d.watched.List(ctx, prefix, after)
}

// What a mirror puts and records while a rebuild lists stays.
func TestRebuildBesideMirror(t *testing.T) {
	b := open(t)
	mirror := books(t, Options{}, b)
	put(t, b, blob(1))
	add(t, mirror, 0, blob(1), blob(2))
	good(t, mirror.Flush(t.Context()))
	d := &during{watched: b}
	l, err := Open(t.Context(), []Store{{Name: "s0", Bucket: d}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d.do = func() { // the listing will have none of these
		add(t, mirror, 0, blob(4), image(4))
		good(t, mirror.Flush(t.Context()))
	}
	got, err := l.Rebuild(t.Context(), 0, RebuildOptions{Deny: func(d oci.Digest) bool { return d == digest(1) }})
	if err != nil || got.Removed != 2 || got.Denied != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	want := newHolding()
	want.add(blob(4))
	same(t, "in the store", want, ask(books(t, Options{}, b), 0))
}

// An inventory that cannot be read is replaced only when that is asked for.
func TestRebuildBroken(t *testing.T) {
	for name, spoil := range map[string]func(b *watched){
		"head": func(b *watched) { b.write(t, "inventory/head.json", "<html>") },
		// Written once by who should not: it took all numbers, and time.
		"poisoned": func(b *watched) {
			b.write(t, "inventory/head.json",
				`{"version":1,"store":"s0","generation":9007199254740991,"writtenAt":"2999-01-01T00:00:00Z","segments":[]}`)
		},
		"another case": func(b *watched) {
			b.write(t, "inventory/head.json", strings.Replace(b.read(t, "inventory/head.json"), `"store"`, `"Store"`, 1))
		},
		"foreign": func(b *watched) {
			b.write(t, "inventory/head.json", strings.Replace(b.read(t, "inventory/head.json"), `"s0"`, `"s1"`, 1))
		},
		"segment": func(b *watched) {
			for o := range b.Bucket.List(t.Context(), "inventory/seg/", "") {
				b.write(t, o.Key, "segment")
			}
		},
		"segment gone": func(b *watched) {
			for o := range maps.Keys(maps.Collect(b.Bucket.List(t.Context(), "inventory/seg/", ""))) {
				if err := b.Bucket.Delete(t.Context(), o.Key, ""); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		for _, blobs := range []int{0, 3} {
			t.Run(fmt.Sprint(name, blobs), func(t *testing.T) {
				b := open(t)
				l := books(t, Options{}, b)
				add(t, l, 0, blob(1), blob(8), image(1))
				good(t, l.Flush(t.Context()))
				spoil(b)
				want := newHolding()
				for i := range blobs {
					put(t, b, blob(i))
					want.add(blob(i))
				}
				l = books(t, Options{}, b)
				if _, err := l.Rebuild(t.Context(), 0, RebuildOptions{}); !errors.Is(err, ErrUnusable) {
					t.Errorf("without force: %v", err)
				}
				if got, err := l.Rebuild(t.Context(), 0, RebuildOptions{Force: true, DryRun: true}); err != nil || !got.Replaces {
					t.Errorf("dry run: %+v, %v", got, err)
				}
				if books(t, Options{}, b).Fault(0) == nil {
					t.Error("a dry run changed the inventory")
				}
				got, err := l.Rebuild(t.Context(), 0, RebuildOptions{Force: true})
				if err != nil || got.Added != int64(blobs) {
					t.Errorf("%+v, %v", got, err)
				}
				l = books(t, Options{}, b)
				if err := l.Fault(0); err != nil {
					t.Fatal(err)
				}
				same(t, "in the store", want, ask(l, 0))
			})
		}
	}
}

// What cannot be what its name says is named and not listed, and is listed no longer.
func TestRebuildWithoutWrong(t *testing.T) {
	for _, listed := range []bool{false, true} {
		b := open(t)
		b.sums = true
		right, wrong, empty := oci.Sum("sha256", []byte("right")), oci.Sum("sha256", []byte("wrong")), oci.Sum("sha512", []byte("empty"))
		for d, content := range map[oci.Digest]string{right: "right", wrong: "other", empty: ""} {
			b.write(t, store.BlobKey(d), content)
		}
		l := books(t, Options{}, b)
		if listed { // with other sizes: what is as it was recorded is not looked at
			for d, size := range map[oci.Digest]int64{right: 5, wrong: 4, empty: 0} {
				if err := l.Add(t.Context(), 0, inventory.Record{Digest: d, Size: size, Kind: inventory.Blob}); err != nil {
					t.Fatal(err)
				}
			}
		}
		found, err := l.Rebuild(t.Context(), 0, RebuildOptions{})
		if err != nil || found.Blobs != 1 || found.Unreadable != 2 || len(found.Hidden) != 2 {
			t.Fatalf("%+v, %v", found, err)
		}
		for _, d := range []oci.Digest{right, wrong, empty} {
			if _, is := l.Holds(0, d); is != (d == right) {
				t.Errorf("listed before %t: %s is listed: %t", listed, d, is)
			}
		}
	}
}
