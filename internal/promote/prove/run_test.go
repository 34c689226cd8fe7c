package prove

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote/sign"
	"ociproxy/internal/set"
)

// If everything matches the manifests, Run finds nothing, with one request for each list and each manifest.
func TestClean(t *testing.T) {
	w := newWorld(t)
	a := w.image("prod/app", "one", "v1", "latest")
	idx := w.index("prod/app", "v2")
	nested := w.image("prod/eu/app", "one", "v1", "latest")
	tree := w.tree([]string{"prod"}, imageOf("app", entry(a, "v1", "latest"), entry(idx, `"v2"`))+imageOf("eu/app", entry(nested, "v1", "latest")))
	w.Asked()
	r, got := w.run(tree, Options{})
	if len(got) > 0 || !r.Clean() || r.ExitCode != 0 {
		t.Errorf("found %v, code %d", got, r.ExitCode)
	}
	if r.Repositories != 2 || r.Digests != 3 || r.Tags != 5 {
		t.Errorf("%+v", r)
	}
	lists := 0
	asked := w.Asked()
	for _, q := range asked {
		if strings.HasSuffix(q, "/tags/list") {
			lists++
		}
	}
	if lists != 3 { // Google's listing is tried at the prefix
		t.Errorf("%d lists: %q", lists, asked)
	}
	if r, got = w.run(tree, Options{Read: Blobs}); len(got) > 0 || r.BlobsRead != 8 {
		t.Errorf("found %v, %d blobs read", got, r.BlobsRead)
	}
}

// The test has each class of finding.
func TestFindings(t *testing.T) {
	gone, err := oci.ParseDigest("sha256:" + strings.Repeat("e", 64))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		images func(w *world) string
		opt    Options
		answer func(w *world) func(http.ResponseWriter, *http.Request) bool
		want   []string
		code   int
	}{
		"missing digest": {
			images: func(w *world) string {
				return imageOf("app", entry(w.image("prod/app", "one", "v1"), "v1"), entry(gone, "v2"))
			},
			want: []string{"missing prod/app@" + gone.String()}, code: 8,
		},
		"missing repository": {
			images: func(*world) string { return imageOf("app", entry(gone, "v2")) },
			want:   []string{"missing prod/app@" + gone.String()}, code: 8,
		},
		"lost": {
			images: func(*world) string { return imageOf("app", entry(gone, "v2")) },
			opt:    Options{Lost: map[oci.Digest]bool{gone: true}},
		},
		"missing tag": {
			images: func(w *world) string {
				return imageOf("app", entry(w.image("prod/app", "one", "v1"), "v1", "v2"))
			},
			want: []string{"missing prod/app:v2"}, code: 8,
		},
		"moved": {
			images: func(w *world) string {
				d := w.image("prod/app", "one")
				w.image("prod/app", "two", "v1")
				return imageOf("app", entry(d, "v1"))
			},
			want: []string{"moved prod/app:v1"}, code: 16,
		},
		"unexpected": {
			images: func(w *world) string {
				w.image("prod/other", "x", "v1")
				w.image("prod/allowed", "x", "v1")
				w.image("elsewhere/other", "x", "v1")
				w.image("prod/app", "two", "rogue", "nightly-1")
				return imageOf("app", entry(w.image("prod/app", "one", "v1"), "v1"))
			},
			opt:  Options{Allow: allow(t, "*/prod/allowed # old\n*/prod/app:nightly-*\n")},
			want: []string{"unexpected prod/app:rogue", "unexpected prod/other"}, code: 4,
		},
		"lists of what refers to an image": {
			images: func(w *world) string {
				d := w.image("prod/app", "one", "v1")
				w.image("prod/app", "sig", sign.SignatureTag(d))
				w.image("prod/app", "sig", sign.SignatureTag(gone))
				return imageOf("app", entry(d, "v1"))
			},
			want: []string{"unexpected prod/app:" + sign.SignatureTag(gone)}, code: 4,
		},
		"altered": {
			images: func(w *world) string {
				return imageOf("app", entry(w.image("prod/app", "one", "v1"), "v1"))
			},
			answer: func(*world) func(http.ResponseWriter, *http.Request) bool {
				return func(rw http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/sha256:") {
						return false
					}
					rw.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
					_, _ = rw.Write([]byte(`{"schemaVersion":2,"config":{},"layers":[]}`))
					return true
				}
			},
			want: []string{"altered prod/app@"}, code: 32,
		},
		"altered blob": {
			images: func(w *world) string {
				return imageOf("app", entry(w.image("prod/app", "one", "v1"), "v1"))
			},
			opt: Options{Read: Blobs},
			answer: func(*world) func(http.ResponseWriter, *http.Request) bool {
				return func(rw http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
						return false
					}
					_, _ = rw.Write([]byte("eno"))
					return true
				}
			},
			want: []string{"altered prod/app@", "altered prod/app@"}, code: 32,
		},
		"a blob that is gone": {
			images: func(w *world) string {
				return imageOf("app", entry(w.image("prod/app", "one", "v1"), "v1"))
			},
			opt: Options{Read: Blobs},
			answer: func(*world) func(http.ResponseWriter, *http.Request) bool {
				return func(rw http.ResponseWriter, r *http.Request) bool {
					if strings.Contains(r.URL.Path, "/blobs/") {
						http.NotFound(rw, r)
						return true
					}
					return false
				}
			},
			want: []string{"missing prod/app@", "missing prod/app@"}, code: 8,
		},
		"unreadable": {
			images: func(w *world) string {
				w.image("prod/app", "one", "v1")
				return imageOf("app", entry(gone, "v1"))
			},
			answer: func(*world) func(http.ResponseWriter, *http.Request) bool {
				return func(rw http.ResponseWriter, r *http.Request) bool {
					if strings.HasPrefix(r.URL.Path, "/v2/prod/app") {
						rw.WriteHeader(http.StatusForbidden)
						return true
					}
					return false
				}
			},
			want: []string{"unreadable prod/app"}, code: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tree := w.tree([]string{"prod"}, c.images(w))
			if c.answer != nil {
				w.Fail(c.answer(w))
			}
			r, got := w.run(tree, c.opt)
			for i := range got { // digests of images that the test made
				if i < len(c.want) && strings.HasSuffix(c.want[i], "@") && strings.HasPrefix(got[i], c.want[i]) {
					got[i] = c.want[i]
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, r.Findings)
			}
			if r.ExitCode != c.code {
				t.Errorf("code %d, want %d", r.ExitCode, c.code)
			}
		})
	}
}

func allow(t *testing.T, text string) *Allow {
	t.Helper()
	a, err := ParseAllow("allowed", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// If a registry lists manifests without a tag, the platforms of an index belong to the index, and others are found.
func TestUntagged(t *testing.T) {
	w := newWorld(t)
	idx := w.index("prod/app", "v1")
	stray := w.image("prod/app", "stray")
	w.listDigests("prod/app")
	tree := w.tree([]string{"prod"}, imageOf("app", entry(idx, "v1")))
	_, got := w.run(tree, Options{})
	if diff := cmp.Diff([]string{"unexpected prod/app@" + stray.String()}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, got = w.run(tree, Options{Read: Lists}); got != nil {
		t.Errorf("by lists alone nobody knows, but: %v", got)
	}
}

// stores is a fixed set of stores.
type stores struct {
	names  []string
	fault  error // of the last store
	lacks  map[oci.Digest]int
	images map[oci.Digest]bool // complete in all stores
}

func (s *stores) Names() []string { return s.names }
func (s *stores) Fault(i int) error {
	if i == len(s.names)-1 {
		return s.fault
	}
	return nil
}

func (s *stores) Incomplete(d oci.Digest) (out set.Set) {
	if !s.images[d] {
		out.Add(0)
	}
	return out
}

func (s *stores) Lacking(d oci.Digest) (out set.Set) {
	if i, ok := s.lacks[d]; ok {
		out.Add(i)
	}
	return out
}

func TestStores(t *testing.T) {
	w := newWorld(t)
	d := w.image("prod/app", "one", "v1")
	w.image("eu/app", "one", "v1")
	tree := w.tree([]string{"prod", "eu"}, imageOf("app", entry(d, "v1")))
	c, err := w.regs.Parts(t.Context(), w.Host+"/prod/app", d)
	if err != nil {
		t.Fatal(err)
	}
	s := &stores{names: []string{"a", "b", "down"}, fault: errors.New("no answer"), lacks: map[oci.Digest]int{c.Blobs[0].Digest: 1, c.Blobs[1].Digest: 1}}
	for _, depth := range []Depth{Lists, Manifests} {
		r, got := w.run(tree, Options{Stores: s, Read: depth})
		if diff := cmp.Diff([]string{"unstored prod/app@" + d.String() + " in b", "unreadable down"}, got); diff != "" || r.ExitCode != 129 {
			t.Errorf("code %d, (-want +got):\n%s", r.ExitCode, diff)
		}
	}
	// With depth Lists, an image that the inventory has completely is not even read.
	s = &stores{names: []string{"a"}, images: map[oci.Digest]bool{d: true}}
	w.Asked()
	if _, got := w.run(tree, Options{Stores: s, Read: Lists}); got != nil {
		t.Error(got)
	}
	for _, q := range w.Asked() {
		if strings.HasPrefix(q, "GET") && strings.Contains(q, "/manifests/") {
			t.Error(q)
		}
	}
}

// Findings beyond the limit are still counted.
func TestLimit(t *testing.T) {
	w := newWorld(t)
	d := w.image("prod/app", "one", "v1", "x1", "x2", "x3")
	r, got := w.run(w.tree([]string{"prod"}, imageOf("app", entry(d, "v1"))), Options{Limit: 2})
	if len(got) != 2 || r.Omitted != 1 || r.Found[Unexpected] != 3 {
		t.Errorf("%v, %d omitted of %d", got, r.Omitted, r.Found[Unexpected])
	}
}

func TestAllow(t *testing.T) {
	a := allow(t, "# nothing here\nr.example/prod/old\nr.example/prod/**/debug\n*.example/team/app:nightly-* # builds\nr.example/x@sha256:*\n")
	for what, want := range map[string]bool{
		"r.example/prod/old": true, "r.example/prod/old:v1": true, "r.example/prod/old/more": false, "r.example/prod/older": false,
		"r.example/prod/a/b/debug:v1": true, "r.example/team/app:nightly-1": true, "r.example/team/app:v1": false, "r.example/team/app": false,
		"rxexample/prod/old": false, "r.example/x@sha256:12": true, "r.example/x": false,
	} {
		if got := a.allows(what); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	for _, text := range []string{"a b/c", "word"} {
		if _, err := ParseAllow("f", strings.NewReader("\n"+text)); err == nil || !strings.HasPrefix(err.Error(), "f:2: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Lists are no proof. Run asks for the digests of a repository without a list. It does not miss what was pushed a
// moment ago. It does not report what was deleted, although it is listed.
func TestListsAreNoProof(t *testing.T) {
	answers := func(path, body string, status int) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(body))
			return true
		}
	}
	const list, other = "/v2/prod/app/tags/list", "/v2/prod/other/tags/list"
	deleted := strings.Repeat("e", 64)
	for name, c := range map[string]struct {
		tags   []string
		answer func(http.ResponseWriter, *http.Request) bool
	}{
		"digests only, 404":  {nil, answers(list, `{"errors":[{"code":"NAME_UNKNOWN"}]}`, http.StatusNotFound)},
		"digests only, null": {nil, answers(list, `{"name":"prod/app","tags":null}`, http.StatusOK)},
		"late tag":           {[]string{"v1"}, answers(list, `{"name":"prod/app","tags":[]}`, http.StatusOK)},
		"late digest":        {nil, answers(list, `{"name":"prod/app","tags":[],"manifest":{},"child":[]}`, http.StatusOK)},
		"late move":          {[]string{"v1"}, answers(list, `{"tags":["v1"],"manifest":{"sha256:`+deleted+`":{"tag":["v1"]}}}`, http.StatusOK)},
		"tags of deleted":    {[]string{"v1"}, answers(list, `{"name":"prod/app","tags":["v0","v1"]}`, http.StatusOK)},
		"deleted digests":    {[]string{"v1"}, answers(list, `{"tags":["v1"],"manifest":{"sha256:`+deleted+`":{"tag":[]}}}`, http.StatusOK)},
		"deleted repository": {[]string{"v1"}, answers(other, `{"name":"prod/other","tags":["v0","v1"]}`, http.StatusOK)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.image("prod/app", "one", c.tags...)
			w.image("prod/other", "x")
			w.Fail(c.answer)
			if r, got := w.run(w.tree([]string{"prod"}, imageOf("app", entry(d, c.tags...))), Options{}); len(got) > 0 || r.ExitCode != 0 {
				t.Errorf("found %v", got)
			}
		})
	}
}
