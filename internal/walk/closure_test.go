package walk

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
)

// signed is an index with all kinds of things that are about it. Tags that say so are in the listing.
func signed(r *registrytest.Registry) map[string]ocispec.Descriptor {
	names := platforms(r)
	tagOf := func(name string) string { return strings.Replace(string(names[name].Digest), ":", "-", 1) }
	names["by API"] = r.Artifact("app", "", names["amd"], "by API")
	names["of that"] = r.Artifact("app", "", names["by API"], "of that")
	names["sig"] = r.Image("app", tagOf("all")+".sig", "sig")
	names["sig of sig"] = r.Image("app", tagOf("sig")+".sig", "sig of sig")
	names["listed"] = r.Image("app", "", "listed")
	names["list"] = r.Index("app", tagOf("arm"), names["listed"])
	names["stranger"] = r.Image("app", "sha256-"+strings.Repeat("0", 64)+".sig", "stranger")
	return names
}

func closure(t *testing.T, r *registrytest.Registry, d ocispec.Descriptor, denied ...oci.Digest) (*Closure, error) {
	t.Helper()
	reg := open(t, r).Registry
	l, err := reg.List(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	return NewCloser(reg, denied).Closure(t.Context(), "app", of(t, d), About(l.Tags))
}

// An image comes with what it lists and all that is about any of that, each once, in an order in which registries take it.
func TestClosure(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{Referrers: true})
	names := signed(r)
	c, err := closure(t, r, names["all"])
	if err != nil {
		t.Fatal(err)
	}
	called := record(names)
	var got []string
	for _, m := range c.Manifests {
		got = append(got, called.name(m.Digest))
		for _, child := range m.Children() {
			if !slices.Contains(got, called.name(child.Digest)) {
				t.Errorf("%s comes before %s", called.name(m.Digest), called.name(child.Digest))
			}
		}
	}
	if got[len(got)-1] != "all" || c.Root().Digest != of(t, names["all"]) {
		t.Errorf("the last is %s", got[len(got)-1])
	}
	want := []string{"all", "amd", "arm", "by API", "listed", "of that", "sig", "sig of sig"}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("manifests (-want +got)\n%s", diff)
	}
	if len(c.Blobs) != 3+2+2*5 { // layers and configs of the platforms, which share one; of five artifacts
		t.Errorf("%d blobs", len(c.Blobs))
	}
	tags := map[string]oci.Digest{}
	for tag, of := range map[string]string{"all": "sig", "sig": "sig of sig"} {
		tags[registry.FallbackTag(digest(t, string(names[tag].Digest)))+".sig"] = digest(t, string(names[of].Digest))
	}
	if !maps.Equal(tags, c.Tags) {
		t.Errorf("tags %v, want %v", c.Tags, tags)
	}
	if list := c.Indexes[registry.FallbackTag(of(t, names["arm"]))]; len(c.Indexes) != 1 || list.Digest != of(t, names["list"]) {
		t.Errorf("lists %v", c.Indexes)
	}
	if c.Manifest(of(t, names["sig"])) == nil || c.Manifest(of(t, names["stranger"])) != nil {
		t.Error("manifests are not found by their digests")
	}
}

// What is denied, or cannot be read, ends it, and the error says where. What refers to the image and is gone does not.
func TestClosureFails(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{Referrers: true})
	names := signed(r)
	for what, name := range map[string]string{"a platform": "arm", "the image": "all", "a layer": "one", "a blob of a signature": "sig of sig layer"} {
		d := digest(t, registrytest.Sum([]byte("sig of sig")))
		if known, ok := names[name]; ok {
			d = of(t, known)
		}
		if _, err := closure(t, r, names["all"], d); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "app@"+d.String()) {
			t.Errorf("%s is denied: %v", what, err)
		}
	}
	answer := func(name string, status int) {
		r.Fail(func(rw http.ResponseWriter, req *http.Request) bool {
			if req.Method != http.MethodGet || !strings.HasSuffix(req.URL.Path, "/manifests/"+string(names[name].Digest)) {
				return false
			}
			rw.WriteHeader(status)
			return true
		})
	}
	answer("amd", http.StatusForbidden)
	if _, err := closure(t, r, names["all"]); !errors.Is(err, registry.ErrUnauthorized) || !strings.HasPrefix(err.Error(), "app "+string(names["amd"].Digest)) {
		t.Errorf("a platform is not shown: %v", err)
	}
	answer("by API", http.StatusNotFound)
	c, err := closure(t, r, names["all"])
	if err != nil {
		t.Fatal(err)
	}
	if c.Manifest(of(t, names["by API"])) != nil || c.Manifest(of(t, names["sig"])) == nil {
		t.Error("a referrer that is gone, or one that is there")
	}
}
