package prove

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/registry"
)

// A snapshot has what is there, always in the same order.
func TestSnapshot(t *testing.T) {
	w := newWorld(t)
	a := w.image("prod/b/app", "one", "v1", "latest")
	b := w.image("prod/b/app", "two", "v2")
	c := w.image("prod/a", "three", "x")
	w.image("other/a", "three", "x")
	stray := w.image("prod/a", "stray")
	read := func(opt SnapOptions) (out []string) {
		t.Helper()
		err := Snapshot(t.Context(), w.regs, w.Host+"/prod", opt, func(s *Snap) error {
			text := s.Name
			for _, d := range s.Digests {
				text += " " + d.Digest.String() + "=" + strings.Join(d.Tags, ",")
			}
			out = append(out, text)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := []string{"a " + c.String() + "=x", "b/app " + a.String() + "=latest,v1 " + b.String() + "=v2"}
	for range 3 {
		if diff := cmp.Diff(want, read(SnapOptions{Parallel: 2})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	w.listDigests("prod/a")
	want[0] += " " + stray.String() + "="
	if diff := cmp.Diff(want, read(SnapOptions{Untagged: true})); diff != "" {
		t.Errorf("with untagged (-want +got):\n%s", diff)
	}
}

// An error of the registry, or of emit, ends a snapshot.
func TestSnapshotFails(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		w.image("prod/"+name, "one", "v1")
	}
	enough := errors.New("enough")
	if err := Snapshot(t.Context(), w.regs, w.Host+"/prod", SnapOptions{Parallel: 1}, func(*Snap) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/prod/c/tags/list" {
			rw.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	if err := Snapshot(t.Context(), w.regs, w.Host+"/prod", SnapOptions{}, func(*Snap) error { return nil }); !errors.Is(err, registry.ErrUnauthorized) {
		t.Error(err)
	}
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/_catalog" {
			rw.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})
	if err := Snapshot(t.Context(), w.regs, w.Host+"/prod", SnapOptions{}, func(*Snap) error { return nil }); !errors.Is(err, registry.ErrNoCatalog) {
		t.Error(err)
	}
}
