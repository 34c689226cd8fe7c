package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// told is a bucket whose objects have attributes that files cannot have, until they are written again.
type told struct {
	store.Bucket
	attrs   map[string]store.Attrs // by key: the attributes to add
	version map[string]string
	listed  bool             // its lists report them too
	lacks   map[string]bool  // keys that its lists leave out
	sizes   map[string]int64 // wrong sizes in its lists
}

func (b *told) tell(a store.Attrs) store.Attrs {
	if more, ok := b.attrs[a.Key]; ok && b.version[a.Key] == a.Version {
		a.ContentEncoding, a.Hidden, a.ContentType, a.CacheControl = more.ContentEncoding, more.Hidden, more.ContentType, ""
	}
	return a
}

func (b *told) Head(ctx context.Context, key string) (store.Attrs, error) {
	a, err := b.Bucket.Head(ctx, key)
	return b.tell(a), err
}

func (b *told) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Attrs, error) {
	body, a, err := b.Bucket.Get(ctx, key, off, n)
	if a = b.tell(a); err == nil && a.Hidden != "" {
		return nil, store.Attrs{}, errors.Join(fmt.Errorf("get: %w: %s", store.ErrDenied, a.Hidden), body.Close())
	}
	return body, a, err
}

func (b *told) List(ctx context.Context, prefix, after string) iter.Seq2[store.Attrs, error] {
	return func(yield func(store.Attrs, error) bool) {
		for a, err := range b.Bucket.List(ctx, prefix, after) {
			if b.listed {
				a = b.tell(a)
			}
			if size, ok := b.sizes[a.Key]; ok {
				a.Size = size
			}
			if !b.lacks[a.Key] && !yield(a, err) {
				return
			}
		}
	}
}

func sourceOf(contents ...string) func(context.Context, string, oci.Digest, int64) (io.ReadCloser, error) {
	return func(_ context.Context, _ string, d oci.Digest, off int64) (io.ReadCloser, error) {
		for _, c := range contents {
			if digest(c) == d {
				return io.NopCloser(strings.NewReader(c[off:])), nil
			}
		}
		return nil, errors.New("no such blob")
	}
}

// TestHidden: if clients do not get the right bytes, every way of looking that can see the cause reports it. A repair
// fixes it, even if the source has lost the blob.
func TestHidden(t *testing.T) {
	const good, bad = "good content", "hidden content"
	attrs := map[string]store.Attrs{
		"encoding": {ContentEncoding: "gzip"}, "coding": {ContentEncoding: "aws-chunked"}, "archive": {Hidden: "storage class GLACIER"},
		"text": {Header: store.Header{ContentType: "text/plain"}},
	}
	faces := map[string]face{"private": {status: http.StatusForbidden}, "served in gzip": {encoding: "gzip"}}
	looks := map[string]Options{"head": {From: Head}, "deep": {From: Listing, Deep: true}, "spot": {Spot: 100}, "listing": {From: Listing}}
	for look, opt := range looks {
		for _, source := range []string{"source", "itself"} {
			check := func(t *testing.T, hide func(s *shelf, b *told)) {
				s := newShelf(t)
				s.put(digest(good), good)
				s.put(digest(bad), bad)
				b := &told{Bucket: s.bucket, listed: true}
				s.lies = func(store.Bucket) store.Bucket { return b }
				hide(s, b)
				a, err := Run(t.Context(), images(good, bad), []Store{s.store("s")}, opt)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]Class{digest(bad).String(): Unreadable}, classes(a.Report, "s")); diff != "" {
					t.Fatalf("(-want +got)\n%s", diff)
				}
				has := []string{good, bad}[:1]
				if source == "source" {
					has = append(has, bad)
				}
				books := &bookkeeper{shelves: []*shelf{s}}
				if err := a.Repair(t.Context(), RepairOptions{Ledger: books, Dir: t.TempDir(), Source: sourceOf(has...)}, &Progress{}); err != nil {
					t.Fatal(err)
				}
				want := []string{"remove " + digest(bad).String(), "add " + digest(bad).String()}
				if diff := cmp.Diff(want, books.events); diff != "" || a.Report.ExitCode != 0 {
					t.Errorf("exit code %d, %+v (-want +got)\n%s", a.Report.ExitCode, a.Report.Repair, diff)
				}
				after, err := Run(t.Context(), images(good, bad), []Store{s.store("s")}, Options{From: Head})
				if err != nil || after.Report.ExitCode != 0 {
					t.Errorf("%v, %v", classes(after.Report, "s"), err)
				}
			}
			for name, a := range attrs {
				if a.Hidden != "" && source == "itself" {
					continue // it cannot be read there
				}
				t.Run(look+"/"+source+"/"+name, func(t *testing.T) {
					check(t, func(_ *shelf, b *told) {
						key := store.BlobKey(digest(bad))
						there, err := b.Bucket.Head(t.Context(), key)
						if err != nil {
							t.Fatal(err)
						}
						b.attrs, b.version = map[string]store.Attrs{key: a}, map[string]string{key: there.Version}
					})
				})
			}
			for name, f := range faces {
				if look == "listing" { // makes no requests as an anonymous client
					continue
				}
				t.Run(look+"/"+source+"/"+name, func(t *testing.T) {
					check(t, func(s *shelf, _ *told) { s.hide(digest(bad), f) })
				})
			}
		}
	}
}

// TestHiddenForGood: if anonymous clients still do not get a blob after it was written again, it is not listed again.
// The error names possible causes.
func TestHiddenForGood(t *testing.T) {
	s := newShelf(t)
	s.put(digest(private), private)
	s.hidden[digest(private).String()] = face{encoding: "gzip"}
	books := &bookkeeper{shelves: []*shelf{s}}
	a, err := Run(t.Context(), images(private), []Store{s.store("s")}, Options{From: Head})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Repair(t.Context(), RepairOptions{Ledger: books, Dir: t.TempDir(), Source: sourceOf(private)}, &Progress{}); err != nil {
		t.Fatal(err)
	}
	if _, listed := s.held[digest(private)]; listed || a.Report.ExitCode != CodeUnreadable|CodeUnknown ||
		a.Report.Repair.Failed != 1 || !strings.Contains(a.Report.Repair.Errors[0], "cache in front") {
		t.Errorf("listed %v, exit code %d, %+v", listed, a.Report.ExitCode, a.Report.Repair)
	}
}

// TestListingLies: if a listing leaves out an object, or has a wrong size, the audit requests the object before it
// counts as lost or short: a repair would withdraw it.
func TestListingLies(t *testing.T) {
	for name, opt := range map[string]Options{"listing": {From: Listing}, "deep": {From: Listing, Deep: true},
		"sampled": {From: Listing, Deep: true, Sample: 0.0001}} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			s.put(digest(fine), fine)
			s.put(digest(cut), cut)
			s.put(digest(extra), extra)
			s.held[digest(lost)] = int64(len(lost))
			b := &told{Bucket: s.bucket, lacks: map[string]bool{store.BlobKey(digest(fine)): true, store.BlobKey(digest(extra)): true},
				sizes: map[string]int64{store.BlobKey(digest(cut)): 3}}
			s.lies = func(store.Bucket) store.Bucket { return b }
			a, err := Run(t.Context(), images(fine, cut, lost), []Store{s.store("s")}, opt)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]Class{digest(lost).String(): Lost, digest(extra).String(): Unexpected}
			if diff := cmp.Diff(want, classes(a.Report, "s")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestSpotsNobodyAnswers: if the public URL cannot be reached from here, the default audit reports what the inventories
// say, and stops asking.
func TestSpotsNobodyAnswers(t *testing.T) {
	s := newShelf(t)
	var contents []string
	for i := range 40 {
		c := fmt.Sprintf("content %d", i)
		s.put(digest(c), c)
		contents = append(contents, c)
	}
	st := s.store("s")
	st.URL = "http://127.0.0.1:1/{digest}"
	a, err := Run(t.Context(), images(contents...), []Store{st}, Options{Spot: 100, Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r := a.Report; r.ExitCode != 0 || len(r.Findings) > 0 || r.Stores[0].Asked > maxSilent+2 {
		t.Errorf("exit code %d, asked for %d, %v", r.ExitCode, r.Stores[0].Asked, r.Findings)
	}
}
