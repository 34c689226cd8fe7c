package prove

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A tag that is none is unexpected, told beside a snapshot, and in nobody's way; a repository that may have anything may
// have that too.
func TestOddTags(t *testing.T) {
	w := newWorld(t)
	d := w.image("prod/app", "one", "v1")
	w.image("prod/strange", "two", "v1")
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		_, _ = rw.Write([]byte(`{"tags":["v1",null,"a:b"]}`))
		return true
	})
	tree := w.tree([]string{"prod"}, imageOf("app", entry(d, "v1")))
	r, got := w.run(tree, Options{})
	want := []string{"unexpected prod/app", "unexpected prod/strange", "unexpected prod/strange"}
	if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(r.Findings[0].Detail, `tag "(null)", tag "a:b"`) {
		t.Errorf("%+v (-want +got):\n%s", r.Findings, diff)
	}
	var left []string
	err := Snapshot(t.Context(), w.regs, w.Host+"/prod", SnapOptions{}, func(s *Snap) error {
		left = append(left, s.Name+" "+s.Left.String())
		return nil
	})
	if diff := cmp.Diff([]string{`app tag "(null)", tag "a:b"`, `strange tag "(null)", tag "a:b"`}, left); err != nil || diff != "" {
		t.Errorf("snapshot: %v (-want +got):\n%s", err, diff)
	}
}

// A name that is none, in a registry's list, is unexpected, left out of a snapshot, and in nobody's way.
func TestOddNames(t *testing.T) {
	w := newWorld(t)
	d := w.image("prod/app", "one", "v1")
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v2/_catalog" {
			return false
		}
		_, _ = rw.Write([]byte(`{"repositories":["prod/../x","prod/App","prod/app"]}`))
		return true
	})
	r, got := w.run(w.tree([]string{"prod"}, imageOf("app", entry(d, "v1"))), Options{})
	if diff := cmp.Diff([]string{"unexpected prod/../x", "unexpected prod/App"}, got); diff != "" || r.ExitCode != 4 {
		t.Errorf("code %d (-want +got):\n%s", r.ExitCode, diff)
	}
	var unusable, images []string
	err := Snapshot(t.Context(), w.regs, w.Host+"/prod", SnapOptions{}, func(s *Snap) error {
		if s.Unusable {
			unusable = append(unusable, s.Name)
		} else {
			images = append(images, s.Name)
		}
		return nil
	})
	if diff := cmp.Diff([][]string{{"../x", "App"}, {"app"}}, [][]string{unusable, images}); err != nil || diff != "" {
		t.Errorf("snapshot: %v (-want +got):\n%s", err, diff)
	}
}
