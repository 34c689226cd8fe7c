package mirror

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/registry/registrytest"
)

// answers makes paths answer a text, with a status, in place of the registry.
func (w *world) answers(status int, texts map[string]string) {
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		text, ok := texts[r.URL.Path]
		if ok {
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(text))
		}
		return ok
	})
}

// A name or tag that is none costs nothing but itself, and is named if it is selected at all.
func TestOddNames(t *testing.T) {
	w := newWorld(t, 1)
	w.Image("app", "v1", "one")
	w.Image("lib", "v1", "two")
	w.answers(200, map[string]string{
		"/v2/_catalog":      `{"repositories":["UPPER/x",null,"app",7,"lib","other:x"]}`,
		"/v2/app/tags/list": `{"tags":[null,"v1","a:b",7]}`,
		"/v2/lib/tags/list": `{"tags":["v1"]}`,
	})
	r := w.pass(Options{})
	if r.Result != Partial || r.Images.Complete != 2 || r.Errors[SourceInvalid] != 5 || len(r.Errors) != 1 {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"UPPER/x", "other:x", "a:b", `repository "(null)"`, `repository "(7)"`, `tag "(null)"`} {
		if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return strings.Contains(p.Repository+p.Error, want) }) {
			t.Errorf("%s is not named: %+v", want, r.Problems)
		}
	}
	cfg := w.config()
	cfg.Mirror.Repositories.Include = []string{"lib", "/^app$/"}
	cfg.Mirror.Repositories.Exclude = []string{"app"}
	if r := w.passOf(t.Context(), cfg, Options{}); r.Result != Done || r.Images.Complete != 1 {
		t.Errorf("what is not selected is nobody's concern: %+v", r)
	}
}

// Thousands of odd names are counted, not listed.
func TestManyOddNames(t *testing.T) {
	w := newWorld(t, 1)
	w.Image("app", "v1", "one")
	var names []string
	for i := range 3000 {
		names = append(names, fmt.Sprintf(`"X%d"`, i))
	}
	w.answers(200, map[string]string{"/v2/_catalog": `{"repositories":[` + strings.Join(names, ",") + `,"app"]}`})
	if r := w.pass(Options{}); r.Images.Complete != 1 || r.Errors[SourceInvalid] != 3000 || len(r.Problems) > maxProblems {
		t.Errorf("%d complete, %v, %d listed", r.Images.Complete, r.Errors, len(r.Problems))
	}
}

// What only a list names and is gone is empty, whatever words the registry has for that: the pass is done. What the
// operator names is not.
func TestGone(t *testing.T) {
	for _, heads := range []bool{false, true} {
		w := newWorld(t, 1)
		w.Image("app", "v1", "one")
		w.Image("app", "v2", "two")
		if heads { // tags are resolved then
			w.pass(Options{})
		}
		status := http.StatusNotFound
		gone := map[string]string{
			"/v2/gone/tags/list":   `{"errors":[{"code":"NAME_UNKNOWN"}]}`,
			"/v2/app/manifests/v2": `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`,
			"/v2/_catalog":         "",
		}
		w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
			text, ok := gone[r.URL.Path]
			switch {
			case !ok:
				return false
			case text == "":
				_, _ = rw.Write([]byte(`{"repositories":["app","gone"]}`))
			default:
				rw.WriteHeader(status)
				_, _ = rw.Write([]byte(text))
			}
			return true
		})
		r := w.pass(Options{})
		if r.Result != Done || len(r.Problems) > 0 || r.Blobs.Skipped != 0 || len(r.Skipped) != 2 {
			t.Errorf("heads %t: %+v", heads, r)
		}
		cfg := w.config()
		cfg.Mirror.Repositories.List = []string{"gone"}
		if r := w.passOf(t.Context(), cfg, Options{}); r.Result != Partial || r.Errors[SourceGone] != 1 {
			t.Errorf("named: %+v", r)
		}
		for _, text := range []string{"404 page not found", "<html>", `{"errors":[{"code":"WHAT"}]}`} {
			gone["/v2/gone/tags/list"], gone["/v2/app/manifests/v2"] = text, text
			for status = range map[int]bool{404: true, 410: true} {
				if r := w.pass(Options{}); r.Result != Done || r.Vanished != 2 || len(r.Problems) > 0 {
					t.Errorf("%d %s: %+v", status, text, r)
				}
			}
		}
		status = http.StatusNotFound
		delete(gone, "/v2/_catalog")
		for _, path := range []string{"/v2/app/manifests/v1", "/v2/app/manifests/v2"} {
			gone[path] = "404 page not found"
		}
		if r := w.pass(Options{Full: true}); r.Result == Done || r.Errors[SourceGone] != 1 {
			t.Errorf("a source that says 404 of all that it lists: %+v", r)
		}
	}
}

// A tag that still leads to a manifest which the source does not have is not gone: something is wrong with the source, in
// each pass.
func TestTagToNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.extra = ", parallel: 1" // one tag after the other: the second one is resolved
	w.Image("app", "v1", "one")
	w.pass(Options{})
	two := w.Image("app", "v2", "two")
	w.answers(404, map[string]string{"/v2/app/manifests/" + string(two.Digest): ""})
	for range 2 {
		if r := w.pass(Options{}); r.Result != Partial || r.Vanished != 0 || r.Errors[SourceGone] != 1 {
			t.Fatalf("%+v", r)
		}
	}
}

// A thousand vanished tags do not hide what else is skipped, nor the other way round.
func TestGoneIsNamed(t *testing.T) {
	w := newWorld(t, 1)
	w.Image("app", "v1", "one")
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf(`"t%d"`, i))
	}
	w.answers(200, map[string]string{
		"/v2/_catalog":      `{"repositories":["app","gone"]}`,
		"/v2/app/tags/list": `{"tags":["v1",` + strings.Join(names, ",") + `]}`,
	})
	check := func(what string, list []Skipped, vanished int64) {
		t.Helper()
		for _, want := range []string{"the repository is listed", "tag t0 is", "tag t299 is"} {
			if !slices.ContainsFunc(list, func(s Skipped) bool { return strings.HasPrefix(s.Why, want) }) {
				t.Errorf("%s: %q is not said", what, want)
			}
		}
		if vanished != 301 {
			t.Errorf("%s: %d vanished", what, vanished)
		}
	}
	plan := w.plan(Options{})
	check("plan", plan.LeftOut, plan.Vanished)
	r := w.pass(Options{})
	check("report", r.Skipped, r.Vanished)
	if r.Result != Done || plan.Result != Done || r.Blobs.Skipped != 0 {
		t.Errorf("%+v", r)
	}
}

// An image whose manifest cannot be read is seen, and failed: once, however many tags it has, where it is known at all.
func TestUnreadableManifests(t *testing.T) {
	for _, heads := range []bool{false, true} {
		w := newWorld(t, 1)
		w.Image("app", "v1", "one")
		w.Image("app", "v2", "two")
		if heads {
			w.pass(Options{})
		}
		w.PutRaw("app", "broken", []byte("<html>"))
		w.PutRaw("app", "again", []byte("<html>"))
		w.PutRaw("app", "number", []byte("7"))
		w.PutRaw("app", "denied", []byte("{}"))
		w.answers(403, map[string]string{"/v2/app/manifests/denied": ""})
		plan := w.plan(Options{})
		r := w.pass(Options{})
		for what, images := range map[string]ImagesReport{"plan": plan.Images, "pass": r.Images} {
			if images.Seen != 5 || images.Failed != 3 {
				t.Errorf("heads %t: %s: %+v", heads, what, images)
			}
		}
		if r.Result != Partial || r.Images.Complete != 2 {
			t.Errorf("heads %t: %+v", heads, r)
		}
	}
}

// A repository whose list breaks off is walked as far as it came.
func TestBrokenList(t *testing.T) {
	for _, link := range []string{`<https://elsewhere.test/v2/app/tags/list>; rel="next"`, `</v2/app/tags/list?last=v1>; rel="next"`, `<`} {
		w := newWorld(t, 1)
		w.Image("app", "v1", "one")
		w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v2/app/tags/list" {
				return false
			}
			if r.URL.Query().Has("last") {
				rw.WriteHeader(http.StatusBadGateway)
				return true
			}
			rw.Header().Set("Link", link)
			_, _ = rw.Write([]byte(`{"tags":["v1"]}`))
			return true
		})
		if r := w.pass(Options{}); r.Result != Partial || r.Images.Complete != 1 || len(r.Problems) != 1 || r.Problems[0].Repository != "app" {
			t.Errorf("%s: %+v", link, r)
		}
	}
}

// An index with an entry that cannot be followed is named and never complete; the images that it lists are copied.
func TestTornIndex(t *testing.T) {
	for _, entry := range []string{`null`, `{"digest":"x","size":1}`, `{"digest":"sha256:1","size":1}`, `{"size":-5,"digest":"` + sumOf("x") + `"}`} {
		w := newWorld(t, 1)
		a := w.Image("app", "", "one")
		raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,{"mediaType":%q,"digest":%q,"size":%d}]}`,
			ocispec.MediaTypeImageIndex, entry, a.MediaType, a.Digest, a.Size)
		index := w.PutRaw("app", "v1", []byte(raw))
		for range 2 {
			r := w.pass(Options{})
			if r.Result != Partial || r.Images.Complete != 1 || r.Errors[SourceInvalid] != 1 || r.Stores[0].Incomplete != 1 {
				t.Fatalf("%s: %+v", entry, r)
			}
			if !strings.Contains(r.Problems[0].Error+r.Problems[0].Reference, "v1") && !named(r, "app", index) {
				t.Errorf("%+v", r.Problems)
			}
		}
		w.wantSame(2)
	}
}

// A list of referrers with an odd entry is read but for that, and does not turn the asking off.
func TestOddReferrers(t *testing.T) {
	w := newWorld(t, 1, registrytest.Options{Referrers: true})
	w.extra = ", referrers: true"
	a, b := w.Image("app", "a", "one"), w.Image("app", "b", "two")
	sig := w.Artifact("app", "", a, "sig of a")
	w.Artifact("app", "", b, "sig of b")
	w.answers(200, map[string]string{"/v2/app/referrers/" + string(a.Digest): fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"manifests":[{"digest":"?"},{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageIndex, sig.MediaType, sig.Digest, sig.Size)})
	r := w.pass(Options{})
	if r.Result != Partial || r.Images.Complete != 4 || len(r.Problems) != 1 {
		t.Fatalf("%+v", r)
	}
	w.wantSame(8)
}
