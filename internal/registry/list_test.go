package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
)

const (
	hexA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hexB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var compareDigests = cmp.Comparer(func(a, b oci.Digest) bool { return a == b })

// Google's listing is recognized by its content, on any host: digests, untagged manifests, and the repositories below.
func TestGoogleListing(t *testing.T) {
	r, w := openWorld(t, serve(map[string]http.HandlerFunc{
		"/v2/project/images/tags/list": text(`{"child":["app","empty","team"],"manifest":{},"name":"project/images","tags":[]}`),
		"/v2/project/images/app/tags/list": text(`{"child":[],"manifest":{
			"sha256:` + hexB + `":{"imageSizeBytes":"7","mediaType":"application/vnd.oci.image.index.v1+json","timeCreatedMs":"1500000000000","timeUploadedMs":"1600000000000","tag":["v2","v1"]},
			"sha256:` + hexA + `":{"imageSizeBytes":"5","tag":[]}},"name":"project/images/app","tags":["v1","v2"]}`),
		"/v2/project/images/empty/tags/list":     text(`{"child":[],"manifest":{},"tags":[]}`),
		"/v2/project/images/team/tags/list":      text(`{"child":["tool"],"manifest":{},"tags":[]}`),
		"/v2/project/images/team/tool/tags/list": text(`{"child":[],"manifest":{},"tags":["x"]}`),
	}), func(o *Options) { o.Prefix = "project/images" })
	var names []string
	for f, err := range r.Find(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name)
		if f.Listing == nil || !f.Listing.All || f.Listing.Truncated {
			t.Errorf("%s: %+v", f.Name, f.Listing)
		}
	}
	if diff := cmp.Diff([]string{"app", "team/tool"}, names); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	if n := len(w.paths()); n != 6 {
		t.Errorf("%d requests: one a repository and one for /v2/", n)
	}
	got, err := r.List(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	a, b := digest(t, "sha256:"+hexA), digest(t, "sha256:"+hexB)
	want := &Listing{
		Tags: []Tag{{"v1", b}, {"v2", b}}, All: true,
		Manifests: []Listed{{Digest: a, Size: 5, Tags: []string{}}, {
			Digest: b, MediaType: "application/vnd.oci.image.index.v1+json", Size: 7,
			Created: time.UnixMilli(1500000000000), Uploaded: time.UnixMilli(1600000000000), Tags: []string{"v2", "v1"},
		}},
	}
	if diff := cmp.Diff(want, got, compareDigests); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
}

// Find returns a repository of Google's that cannot be listed, and the others too. The error, which means that some may
// be missing, comes last.
func TestGoogleListingFails(t *testing.T) {
	var children []string
	for i := range 20 {
		children = append(children, fmt.Sprintf(`"r%02d"`, i))
	}
	r, _ := openWorld(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/v2/p/tags/list":
			_, _ = fmt.Fprintf(w, `{"child":[%s],"manifest":{}}`, strings.Join(children, ","))
		case "/v2/p/r03/tags/list":
			w.WriteHeader(http.StatusForbidden)
		case "/v2/p/r04/tags/list":
			_, _ = io.WriteString(w, `{"child":["x","y"],"manifest":{},"tags":["v1"]}`)
		default:
			_, _ = io.WriteString(w, `{"child":[],"manifest":{},"tags":["v1"]}`)
		}
	}, func(o *Options) { o.Prefix = "p" })
	for range 2 {
		var names []string
		var last error
		for f, err := range r.Find(t.Context()) {
			if last = err; err != nil {
				continue
			}
			names = append(names, f.Name)
			if (f.Listing == nil) != (f.Name == "r03") {
				t.Errorf("%s: %+v", f.Name, f.Listing)
			}
		}
		if !errors.Is(last, ErrUnauthorized) || len(names) != 22 || !slices.Contains(names, "r04/y") {
			t.Errorf("%v, %v", names, last)
		}
	}
}

// Google cuts a list silently after as many entries as were asked for, and after ten thousand in any case.
func TestGoogleTruncated(t *testing.T) {
	for _, entries := range []int{999, 1000, 9999, 10_000} {
		r, w := openWorld(t, func(w http.ResponseWriter, req *http.Request) {
			var n int
			_, _ = fmt.Sscan(req.URL.Query().Get("n"), &n)
			var tags []string
			for i := range min(n, entries) {
				tags = append(tags, fmt.Sprintf(`"t%d"`, i))
			}
			_, _ = fmt.Fprintf(w, `{"child":[],"manifest":{},"tags":[%s]}`, strings.Join(tags, ","))
		})
		l, err := r.List(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Tags) != entries || l.Truncated != (entries == 10_000) {
			t.Errorf("%d entries: %d tags, truncated %v", entries, len(l.Tags), l.Truncated)
		}
		if n, more := len(w.paths()), entries >= 1000; n != 2 && !more || n != 3 && more {
			t.Errorf("%d entries: %d requests", entries, n)
		}
	}
}

// The client follows pages on the same host only, for every form of the link, and not forever.
func TestPages(t *testing.T) {
	for name, c := range map[string]struct {
		link string // on the first page
		tags int
		err  error
	}{
		"none":             {tags: 1},
		"relative":         {link: `</v2/app/tags/list?last=a&n=1000>; rel="next"`, tags: 2},
		"without rel":      {link: `</v2/app/tags/list?last=a>`, tags: 2},
		"second of two":    {link: `</v2/other>; rel="prev", </v2/app/tags/list?last=a>; rel="next"`, tags: 2},
		"only the query":   {link: `<?last=a>; rel=next`, tags: 2},
		"absolute":         {link: `<https://registry.test/v2/app/tags/list?last=a>; rel="next"`, tags: 2},
		"default port":     {link: `<https://registry.test:443/v2/app/tags/list?last=a>; rel="next"`, tags: 2},
		"behind a proxy":   {link: `<http://registry.test/v2/app/tags/list?last=a>; rel="next"`, tags: 2},
		"another relation": {link: `</v2/app/tags/list?last=a>; rel="last"`, tags: 1},
		"another host":     {link: `<https://metadata.test/v2/app/tags/list?last=a>; rel="next"`, err: ErrBadAnswer},
		"another port":     {link: `<https://registry.test:1/v2/app/tags/list?last=a>; rel="next"`, err: ErrBadAnswer},
		"with credentials": {link: `<https://a:b@registry.test/v2/app/tags/list?last=a>; rel="next"`, err: ErrBadAnswer},
		"circle":           {link: `</v2/app/tags/list?n=1000>; rel="next"`, err: ErrBadAnswer},
		"half":             {link: `</v2/app/tags/list?last=a; rel="next"`, err: ErrBadAnswer},
		"no target":        {link: `/v2/app/tags/list?last=a; rel="next"`, err: ErrBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := openWorld(t, func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Query().Has("last") {
					_, _ = io.WriteString(w, `{"tags":["b"]}`)
					return
				}
				w.Header().Set("Link", c.link)
				_, _ = io.WriteString(w, `{"tags":["a"]}`)
			})
			l, err := r.List(t.Context(), "app")
			if !errors.Is(err, c.err) || err == nil && len(l.Tags) != c.tags {
				t.Errorf("%+v, %v", l, err)
			}
			for _, req := range w.seen {
				if req.URL.Host != "registry.test" || req.URL.Scheme != "https" {
					t.Errorf("asked %s", req.URL)
				}
			}
		})
	}
}

// A registry whose list never ends, or that sends nonsense, costs bounded time and memory.
func TestHostileLists(t *testing.T) {
	page := 0
	for name, c := range map[string]struct {
		h   http.HandlerFunc
		err error
	}{
		"endless pages": {func(w http.ResponseWriter, _ *http.Request) {
			page++
			w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?last=%d>; rel="next"`, page))
			_, _ = io.WriteString(w, `{"tags":[]}`)
		}, ErrTooLarge},
		"giant page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(1<<40))
		}, ErrTooLarge},
		"giant page, unannounced": {text(strings.Repeat(" ", maxPage+1), "Content-Length", ""), ErrTooLarge},
		"no JSON":                 {text("<html>"), ErrBadAnswer},
		"tags that are no list":   {text(`{"tags":"v1"}`), ErrBadAnswer},
		"manifests that are none": {text(`{"manifest":["x"]}`), ErrBadAnswer},
		"packed":                  {text(`{}`, "Content-Encoding", "br"), ErrBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := openWorld(t, c.h, func(o *Options) { o.Budget = NewBudget(1e6, 4) })
			if _, err := r.List(t.Context(), "app"); !errors.Is(err, c.err) {
				t.Error(err)
			}
		})
	}
}

// An invalid entry is left out and named. The other entries are read, also those on later pages.
func TestOddEntries(t *testing.T) {
	long := strings.Repeat("x", 129)
	odd := []string{`null`, `""`, `7`, `true`, `{"a":["b"]}`, `[]`, `"a:b"`, `"../x"`, `"` + long + `"`, `"a b"`, `".x"`, `"\u0000"`, `"ü"`}
	for _, entry := range odd {
		r, _ := openWorld(t, func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Has("last") {
				_, _ = fmt.Fprintf(w, `{"tags":["c",%s]}`, entry)
				return
			}
			w.Header().Set("Link", `</v2/app/tags/list?last=b>; rel="next"`)
			_, _ = fmt.Fprintf(w, `{"tags":["a",%s,"b"]}`, entry)
		})
		l, err := r.List(t.Context(), "app")
		if err != nil || len(l.Tags) != 3 || l.Unusable.Count != 2 || !errors.Is(l.Unusable.Err(), ErrUnusable) {
			t.Errorf("%s: %+v, %v", entry, l, err)
		}
	}
	for _, none := range []string{`{"tags":null}`, `{"tags":[]}`, `{}`} {
		r, _ := openWorld(t, text(none))
		if l, err := r.List(t.Context(), "app"); err != nil || len(l.Tags) != 0 || l.Unusable.Err() != nil {
			t.Errorf("%s: %+v, %v", none, l, err)
		}
	}
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf(`"a:%d"`, i))
	}
	r, _ := openWorld(t, text(`{"tags":["a",`+strings.Join(many, ",")+`]}`))
	l, err := r.List(t.Context(), "app")
	if err != nil || len(l.Tags) != 1 || l.Unusable.Count != 5000 || len(l.Unusable.First) != maxUnusable || len(l.Unusable.Err().Error()) > 500 {
		t.Errorf("%+v, %v", l, err)
	}
}

// In Google's listing, an invalid tag, digest or detail does not affect other entries. A manifest with a valid digest
// is kept.
func TestOddGoogleEntries(t *testing.T) {
	r, _ := openWorld(t, text(`{"child":[],"tags":["v1",null],"manifest":{
		"sha256:`+hexA+`":{"imageSizeBytes":{},"timeCreatedMs":[],"tag":["v1",7]}, "sha256:`+hexB+`":"?", "sha256:1":{"tag":["v2"]}}}`))
	l, err := r.List(t.Context(), "app")
	if err != nil || len(l.Manifests) != 2 || len(l.Tags) != 1 || l.Tags[0].Digest != digest(t, "sha256:"+hexA) || l.Unusable.Count != 3 {
		t.Errorf("%+v, %v", l, err)
	}
}

// What was read before an unreadable page is returned with the error.
func TestHalfAList(t *testing.T) {
	for _, second := range []http.HandlerFunc{text(`{"tags":7}`), http.NotFound, text("<html>")} {
		r, _ := openWorld(t, func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Has("last") {
				second(w, req)
				return
			}
			w.Header().Set("Link", `</v2/app/tags/list?last=b>; rel="next"`)
			_, _ = io.WriteString(w, `{"tags":["a","b"]}`)
		})
		if l, err := r.List(t.Context(), "app"); err == nil || errors.Is(err, ErrNotFound) || l == nil || len(l.Tags) != 2 {
			t.Errorf("%+v, %v", l, err)
		}
	}
	r, _ := openWorld(t, http.NotFound)
	l, err := r.List(t.Context(), "app")
	if gone, told := Gone(err); l != nil || !errors.Is(err, ErrNotFound) || !gone || told {
		t.Errorf("%+v, %v", l, err)
	}
}

// A repository counts as gone when the registry itself says so: by a code, by 410, or at least by 404. An answer of the
// token service, or of storage behind the registry, does not count.
func TestGone(t *testing.T) {
	unknown := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
	}
	elsewhere := func(w http.ResponseWriter, req *http.Request) {
		if req.Host == "storage.test" {
			http.NotFound(w, req)
			return
		}
		http.Redirect(w, req, "https://storage.test/x", http.StatusTemporaryRedirect)
	}
	for name, tt := range map[string]struct {
		h          http.HandlerFunc
		gone, told bool
	}{
		"code":      {unknown, true, true},
		"410":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }, true, true},
		"bare":      {http.NotFound, true, false},
		"elsewhere": {elsewhere, false, false},
		"tokens": {func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/token" {
				http.NotFound(w, req)
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://registry.test/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, false, false},
		"denied": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, false, false},
	} {
		r, _ := openWorld(t, tt.h)
		_, err := r.List(t.Context(), "app")
		if gone, told := Gone(err); err == nil || gone != tt.gone || told != tt.told {
			t.Errorf("%s: gone %t, told %t: %v", name, gone, told, err)
		}
	}
}

// An invalid name does not affect other names, in a catalog or in Google's tree, and is not requested.
func TestOddRepositories(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"catalog": serve(map[string]http.HandlerFunc{
			"/v2/p/tags/list": http.NotFound,
			"/v2/_catalog": func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Query().Has("last") {
					_, _ = io.WriteString(w, `{"repositories":["p/c"]}`)
					return
				}
				w.Header().Set("Link", `</v2/_catalog?last=p/b>; rel="next"`)
				_, _ = io.WriteString(w, `{"repositories":[null,7,"Else/where","p/UPPER","p/../x","p/a"]}`)
			},
		}),
		"google": serve(map[string]http.HandlerFunc{
			"/v2/p/tags/list":   text(`{"child":["UPPER","a","../x","gone","c"],"manifest":{}}`),
			"/v2/p/a/tags/list": text(`{"child":[],"manifest":{},"tags":["v1"]}`),
			"/v2/p/c/tags/list": text(`{"child":[],"manifest":{},"tags":["v1"]}`),
			"/v2/p/gone/tags/list": func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
			},
		}),
	} {
		r, w := openWorld(t, h, func(o *Options) { o.Prefix = "p" })
		var names, unusable []string
		for f, err := range r.Find(t.Context()) {
			switch {
			case err != nil:
				t.Fatalf("%s: %v", name, err)
			case f.Unusable:
				unusable = append(unusable, f.Name)
			default:
				names = append(names, f.Name)
			}
		}
		if !slices.Equal(names, []string{"a", "c"}) || !slices.Equal(unusable, []string{"UPPER", "../x"}) {
			t.Errorf("%s: %q, unusable %q", name, names, unusable)
		}
		if slices.ContainsFunc(w.paths(), func(p string) bool { return strings.Contains(p, "UPPER") || strings.Contains(p, "x/tags") }) {
			t.Errorf("%s: asked for %q", name, w.paths())
		}
	}
}

// The catalog is read where Google's listing is not available. Names outside the prefix are left out.
func TestCatalog(t *testing.T) {
	h := serve(map[string]http.HandlerFunc{
		"/v2/prod/tags/list": http.NotFound,
		"/v2/_catalog": func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Has("last") {
				_, _ = io.WriteString(w, `{"repositories":["prod/c","prodx/d","stage/e"]}`)
				return
			}
			w.Header().Set("Link", `</v2/_catalog?last=prod/b&n=2>; rel="next"`)
			_, _ = io.WriteString(w, `{"repositories":["prod","prod/a/b"]}`)
		},
	})
	for prefix, want := range map[string][]string{
		"prod": {"a/b", "c"}, "": {"prod", "prod/a/b", "prod/c", "prodx/d", "stage/e"}, "none": nil,
	} {
		r, _ := openWorld(t, h, func(o *Options) { o.Prefix = prefix })
		var got []string
		for name, err := range r.Repositories(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prefix %q (-want +got):\n%s", prefix, diff)
		}
		for range r.Repositories(t.Context()) {
			break // a reader may stop
		}
	}
	for _, d := range []Discovery{Auto, Google, Catalog} {
		r, _ := openWorld(t, http.NotFound, func(o *Options) { o.Discovery = d })
		var last error
		for _, err := range r.Repositories(t.Context()) {
			last = err
		}
		if !errors.Is(last, ErrNoCatalog) {
			t.Errorf("%d: %v", d, last)
		}
	}
}

// Invalid names and references are not sent to a registry.
func TestBadNames(t *testing.T) {
	r, w := openWorld(t, text(tagsBody))
	for _, repo := range []string{"", "A", "a/../b", "a%2fb", "a b", "a?x=1"} {
		if _, err := r.List(t.Context(), repo); err == nil {
			t.Errorf("repository %q is accepted", repo)
		}
	}
	for _, ref := range []string{"", "../x", "a b", "sha256:1", "v1?x"} {
		if _, err := r.Manifest(t.Context(), "app", ref); err == nil {
			t.Errorf("reference %q is accepted", ref)
		}
	}
	if n := len(w.paths()); n != 0 {
		t.Errorf("asked for %v", w.paths())
	}
	for _, o := range []Options{
		{}, {URL: "registry.test"}, {URL: "http://registry.test"}, {URL: "https://a:b@registry.test"}, {URL: "https://registry.test/v2"},
		{URL: "https://registry.test", Prefix: "A"}, {URL: "ftp://registry.test"},
	} {
		if _, err := Open(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
