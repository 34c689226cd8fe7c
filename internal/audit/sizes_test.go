package audit

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
	"ociproxy/internal/walk"
)

// stating returns a source of images that state sizes for the same content, each in its own repository: "a", "b", ….
func stating(content string, sizes ...int64) iter.Seq2[walk.Image, error] {
	return func(yield func(walk.Image, error) bool) {
		for i, size := range sizes {
			name := string(rune('a' + i))
			img := walk.Image{Repository: name, Digest: digest("manifest of " + name), Blobs: []walk.Blob{{Digest: digest(content), Size: size}}}
			if !yield(img, nil) {
				return
			}
		}
	}
}

// liars returns the repositories of the images that a report names for wrong sizes.
func liars(r *Report) (out string) {
	for _, m := range r.Source.Misstated {
		out += m.Repository
	}
	return out
}

// An image that states a wrong size is named, and proves nothing about the blob. The order of the images and the way of
// looking do not matter, as long as another image states the right size or the bytes were checked.
func TestMisstated(t *testing.T) {
	const right = int64(len("fine content"))
	for name, opt := range map[string]Options{"inventory": {From: Inventory}, "listing": {From: Listing}, "head": {From: Head}, "deep": {From: Listing, Deep: true}} {
		for _, tt := range []struct {
			states []int64
			liars  string
		}{
			{[]int64{5, right}, "a"}, {[]int64{right, 5}, "b"}, {[]int64{5, 5, right, 0}, "abd"}, {[]int64{right, 1 << 40, right}, "b"}, {[]int64{right, -1, 5}, "c"},
			{[]int64{right, right}, ""}, {[]int64{-1, right}, ""}, {[]int64{right, -1}, ""}, {[]int64{-1, -1}, ""}, {[]int64{-1, 5, right, -1}, "b"},
		} {
			s := newShelf(t)
			s.put(digest(fine), fine)
			a, err := Run(t.Context(), stating(fine, tt.states...), []Store{s.store("s")}, opt)
			if err != nil {
				t.Fatal(err)
			}
			code := 0
			if tt.liars != "" {
				code = CodeShort
			}
			if r := a.Report; len(r.Findings) > 0 || liars(r) != tt.liars || r.Source.Wrong != len(tt.liars) || r.ExitCode != code {
				t.Errorf("%s %v: named %q, want %q; findings %+v, code %d", name, tt.states, liars(r), tt.liars, r.Findings, r.ExitCode)
			}
		}
	}
	// If only one size of a blob is stated, only the bytes show whether it is right.
	s := newShelf(t)
	s.put(digest(fine), fine)
	a, err := Run(t.Context(), stating(fine, 5), []Store{s.store("s")}, Options{From: Listing, Deep: true})
	if err != nil || len(a.Report.Findings) > 0 || liars(a.Report) != "a" || a.Report.ExitCode != CodeShort {
		t.Errorf("%+v, %v", a.Report, err)
	}
}

// An image cannot hide a blob that is too short by stating another size for it.
func TestShortAllTheSame(t *testing.T) {
	for _, states := range [][]int64{{int64(len(cut)), 7}, {7, int64(len(cut))}} {
		s := newShelf(t)
		s.put(digest(cut), cut)
		s.rot(digest(cut), "cut")
		a, err := Run(t.Context(), stating(cut, states...), []Store{s.store("s")}, Options{From: Listing})
		if err != nil || len(a.Report.Findings) != 1 || a.Report.Findings[0].Class != Short || a.Report.ExitCode != CodeShort {
			t.Errorf("%v: %+v, %v", states, a.Report, err)
		}
	}
}

// A repair does not withdraw a blob because of the size in a manifest: it reads the blob first. It corrects a wrong
// inventory.
func TestRepairOfMisstated(t *testing.T) {
	for _, listed := range []int64{int64(len(fine)), 5, 7} {
		s := newShelf(t)
		s.put(digest(fine), fine)
		s.held[digest(fine)] = listed
		books := &bookkeeper{shelves: []*shelf{s}}
		a, err := Run(t.Context(), stating(fine, 5), []Store{s.store("s")}, Options{From: Listing})
		if err != nil {
			t.Fatal(err)
		}
		err = a.Repair(t.Context(), RepairOptions{Ledger: books, Dir: t.TempDir(), Source: func(context.Context, string, oci.Digest, int64) (io.ReadCloser, error) {
			t.Error("the source was read")
			return nil, io.EOF
		}}, &Progress{})
		if err != nil {
			t.Fatal(err)
		}
		if size := s.held[digest(fine)]; size != int64(len(fine)) || strings.Contains(strings.Join(books.events, " "), "remove") {
			t.Errorf("listed with %d, did %q", size, books.events)
		}
		if liars(a.Report) != "a" || a.Report.ExitCode != CodeShort || a.Report.Repair.Failed != 0 {
			t.Errorf("%d: %+v", listed, a.Report)
		}
	}
}

// A repair succeeds as long as one repository gives the blob, even if others refuse it.
func TestRepairFromAnyRepository(t *testing.T) {
	for _, good := range []string{"a", "b", "c"} {
		s := newShelf(t)
		books := &bookkeeper{shelves: []*shelf{s}}
		a, err := Run(t.Context(), stating(lost, 5, int64(len(lost)), int64(len(lost))), []Store{s.store("s")}, Options{From: Listing})
		if err != nil {
			t.Fatal(err)
		}
		err = a.Repair(t.Context(), RepairOptions{Ledger: books, Dir: t.TempDir(), Source: func(_ context.Context, repo string, _ oci.Digest, off int64) (io.ReadCloser, error) {
			if repo != good {
				return nil, errors.New("status 403 Forbidden")
			}
			return io.NopCloser(strings.NewReader(lost[off:])), nil
		}}, &Progress{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.bucket.Head(t.Context(), store.BlobKey(digest(lost))); err != nil || a.Report.Repair.Repaired.Blobs != 1 {
			t.Errorf("from %s: %v, %+v", good, err, a.Report.Repair)
		}
	}
}

// A store is disputed if its inventory and its object have one size, and the only manifest states another: it is not
// clear yet which is wrong. After the bytes were read, the fault is the manifest's or the store's.
func TestDisputed(t *testing.T) {
	for _, states := range []int64{5, 500} {
		s := newShelf(t)
		s.put(digest(fine), fine)
		a, err := Run(t.Context(), stating(fine, states), []Store{s.store("s")}, Options{From: Inventory})
		if err != nil || len(a.Report.Findings) != 1 {
			t.Fatalf("%+v, %v", a.Report, err)
		}
		f := a.Report.Findings[0]
		if f.Class != Disputed || !strings.Contains(f.Detail, "the store says 12 bytes, the manifest") || a.Report.ExitCode != CodeShort {
			t.Errorf("%+v", f)
		}
		a, err = Run(t.Context(), stating(fine, states), []Store{s.store("s")}, Options{From: Listing, Deep: true})
		if err != nil || len(a.Report.Findings) != 0 || liars(a.Report) != "a" {
			t.Errorf("%+v, %v", a.Report, err)
		}
	}
	s := newShelf(t)
	s.put(digest(cut), cut)
	s.rot(digest(cut), "cut")
	s.held[digest(cut)] = 3
	for _, tt := range []struct {
		opt  Options
		want Class
	}{{Options{From: Inventory}, Disputed}, {Options{From: Listing}, Disputed}, {Options{From: Listing, Deep: true}, Corrupt}} {
		a, err := Run(t.Context(), stating(cut, int64(len(cut))), []Store{s.store("s")}, tt.opt)
		if err != nil || len(a.Report.Findings) != 1 || a.Report.Findings[0].Class != tt.want || len(a.Report.Source.Misstated) > 0 {
			t.Errorf("%+v, %v", a.Report, err)
		}
	}
}

// Every image that needs a blob is named, in each store without the blob, even if few findings are listed.
func TestAllImagesAreNamed(t *testing.T) {
	one, two := newShelf(t), newShelf(t)
	two.put(digest(fine), fine)
	stores := []Store{one.store("one"), two.store("two")}
	a, err := Run(t.Context(), stating(fine, 12, 12, 13, 12), stores, Options{From: Inventory, Limit: 1})
	if err != nil || len(a.Report.Findings) != 1 {
		t.Fatalf("%+v, %v", a.Report, err)
	}
	var names string
	for _, i := range a.Report.Findings[0].Images {
		if i.Image != digest("manifest of "+i.Repository).String() {
			t.Errorf("%+v", i)
		}
		names += i.Repository
	}
	if names != "abcd" {
		t.Errorf("named %q, want all of them", names)
	}
}

// A repository or tag that is in a list but no longer exists is reported, and is no failure.
func TestVanished(t *testing.T) {
	images := func(yield func(walk.Image, error) bool) {
		for i := range maxVanished + 5 {
			if !yield(walk.Image{}, &walk.Vanished{Repository: "r", Reference: string(rune('a' + i%26))}) {
				return
			}
		}
	}
	a, err := Run(t.Context(), images, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s := a.Report.Source; s.Failed != 0 || s.Gone != maxVanished+5 || len(s.Vanished) != maxVanished || a.Report.ExitCode != 0 {
		t.Errorf("%d failed, %d gone, %d listed", s.Failed, s.Gone, len(s.Vanished))
	}
}

// A size that is impossible for the digest is wrong even if no manifest states a size.
func TestImpossibleSize(t *testing.T) {
	for _, from := range []From{Inventory, Listing} {
		s := newShelf(t)
		s.put(digest(fine), fine)
		s.rot(digest(fine), "")
		s.held[digest(fine)] = 0
		a, err := Run(t.Context(), stating(fine, -1), []Store{s.store("s")}, Options{From: from})
		if err != nil || len(a.Report.Findings) != 1 {
			t.Fatalf("%+v, %v", a.Report, err)
		}
		if f := a.Report.Findings[0]; f.Class != Short || !strings.Contains(f.Detail, "is empty") {
			t.Errorf("%s: %+v, %v", from, a.Report, err)
		}
	}
}
