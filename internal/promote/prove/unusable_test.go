package prove

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An invalid tag is unexpected, is reported next to a snapshot, and does no harm. In a repository that may have
// anything, it is allowed too.
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

// An invalid repository name in a registry's list is unexpected, is left out of a snapshot, and does no harm.
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
