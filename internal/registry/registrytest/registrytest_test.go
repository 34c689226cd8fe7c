package registrytest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("internal/poll.runtime_pollWait")) // the other client's idle connections
}

func open(t *testing.T, r *registrytest.Registry, change ...func(*registry.Options)) *registry.Registry {
	t.Helper()
	opt := registry.Options{URL: r.URL, Insecure: true, Budget: registry.NewBudget(10_000, 8)}
	for _, c := range change {
		c(&opt)
	}
	c, err := registry.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func parse(t *testing.T, d string) oci.Digest {
	t.Helper()
	out, err := oci.ParseDigest(d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Another client pushes an index, lists, and reads everything again.
func TestOtherClient(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{PerPage: 1})
	idx, err := random.Index(1000, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	var tags []name.Tag
	for _, tag := range []string{"v1", "v2", "v3"} {
		ref, err := name.NewTag(r.Host+"/team/app:"+tag, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(ref, idx); err != nil {
			t.Fatal(err)
		}
		tags = append(tags, ref)
	}
	r.Asked()
	if got, err := remote.List(tags[0].Context()); err != nil || !slices.Equal(got, []string{"v1", "v2", "v3"}) {
		t.Errorf("tags %q, %v", got, err)
	}
	pages := slices.DeleteFunc(r.Asked(), func(q string) bool { return !strings.HasSuffix(q, "/tags/list") })
	if len(pages) != 3 {
		t.Errorf("%d pages", len(pages))
	}
	if got, err := remote.Catalog(t.Context(), tags[0].Registry); err != nil || !slices.Equal(got, []string{"team/app"}) {
		t.Errorf("catalog %q, %v", got, err)
	}
	back, err := remote.Index(tags[2])
	if err != nil {
		t.Fatal(err)
	}
	m, err := back.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range m.Manifests {
		img, err := back.Image(child.Digest)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := img.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			body, err := l.Compressed()
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(body)
			if d, _ := l.Digest(); err != nil || registrytest.Sum(raw) != d.String() || !r.HasBlob("team/app", d.String()) {
				t.Errorf("layer %s: %d bytes, %v", d, len(raw), err)
			}
		}
	}
	if want, _ := idx.Digest(); r.Digest("team/app", "v2") != want.String() {
		t.Errorf("v2 is %q, want %s", r.Digest("team/app", "v2"), want)
	}
}

// Clients find what a test pushes directly, also its referrers, and also in the listing of Google's registries.
func TestPushed(t *testing.T) {
	at := time.UnixMilli(1_600_000_000_000)
	r := registrytest.New(t, registrytest.Options{Referrers: true, Now: func() time.Time { return at }})
	a, b := r.Image("team/app", "a", "base", "one"), r.Image("team/app", "", "base", "two")
	all := r.Index("team/app", "all", a, b)
	sig, other := r.Artifact("team/app", "", all, "signature"), r.Artifact("team/app", "", a, "about another")
	c := open(t, r)
	m, err := c.Manifest(t.Context(), "team/app", "all")
	if err != nil || m.Digest.String() != string(all.Digest) || len(m.Children()) != 2 || m.MediaType != ocispec.MediaTypeImageIndex {
		t.Fatalf("%+v, %v", m, err)
	}
	m, err = c.Manifest(t.Context(), "team/app", string(b.Digest))
	if err != nil || len(m.Blobs()) != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	body, _, err := c.OpenBlob(t.Context(), "team/app", m.Blobs()[1].Digest, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); string(text) != "se" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	refs, api, err := c.Referrers(t.Context(), "team/app", parse(t, string(all.Digest)))
	if err != nil || !api || len(refs) != 1 || refs[0].Digest.String() != string(sig.Digest) || refs[0].ArtifactType != ocispec.MediaTypeImageConfig {
		t.Errorf("referrers %+v, %v, %v", refs, api, err)
	}
	want := []string{"team/app:a " + a.Digest.Encoded()[:8], "team/app:all " + all.Digest.Encoded()[:8]}
	for _, d := range []ocispec.Descriptor{a, b, all, sig, other} {
		want = append(want, "team/app@"+string(d.Digest)+" "+d.Digest.Encoded()[:8])
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, r.Content()); diff != "" {
		t.Errorf("content (-want +got)\n%s", diff)
	}

	r.Change(func(o *registrytest.Options) { o.Digests = func(string) bool { return true } })
	r.Blob("team/other/deep", "x")
	var found []string
	for f, err := range open(t, r, func(o *registry.Options) { o.Prefix, o.Discovery = "team", registry.Google }).Find(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprintf("%s %d", f.Name, len(f.Listing.Manifests)))
		if f.Name != "app" {
			continue
		}
		for _, l := range f.Listing.Manifests {
			if l.Digest.String() == string(all.Digest) && (!l.Uploaded.Equal(at) || !slices.Equal(l.Tags, []string{"all"})) {
				t.Errorf("%+v", l)
			}
		}
		if len(f.Listing.Tags) != 2 || !f.Listing.All {
			t.Errorf("%+v", f.Listing)
		}
	}
	if diff := cmp.Diff([]string{"app 5"}, found); diff != "" { // deep has nothing to pull
		t.Errorf("found (-want +got)\n%s", diff)
	}

	r.Remove("team/app", "a")
	r.Remove("team/app", string(all.Digest))
	if r.Digest("team/app", "a") != "" || r.Digest("team/app", "all") != "" || r.Digest("team/app", string(a.Digest)) == "" {
		t.Errorf("after the removal: %q", r.Content())
	}
}

// Blobs belong to repositories. Another repository gets a blob by a mount, where that is allowed, or by an upload.
func TestMounts(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	text := "layer"
	d := parse(t, string(r.Blob("from", text).Digest))
	c := open(t, r)
	if _, err := c.StatBlob(t.Context(), "to", d); err == nil {
		t.Error("it is everywhere")
	}
	if ok, err := c.Mount(t.Context(), "to", d, "from"); !ok || err != nil || !r.HasBlob("to", d.String()) {
		t.Errorf("mounted %v, %v", ok, err)
	}
	if ok, err := c.Mount(t.Context(), "third", d, "nowhere"); ok || err != nil {
		t.Errorf("mounted from nowhere: %v, %v", ok, err)
	}
	r.Change(func(o *registrytest.Options) { o.NoMounts = true })
	if ok, err := c.Mount(t.Context(), "other", d, "from"); ok || err != nil {
		t.Errorf("mounted %v, %v", ok, err)
	}
	if err := c.PushBlob(t.Context(), "other", d, int64(len(text)), strings.NewReader(text)); err != nil || !r.HasBlob("other", d.String()) {
		t.Error(err)
	}
}

// These are single requests, good ones and bad ones, answered as the specification requires.
func TestRequests(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	img := r.Image("app", "v1", "layer")
	manifest := string(r.Manifest("app", "v1"))
	layer, gone := registrytest.Sum([]byte("layer")), "sha256:"+strings.Repeat("ab", 32)
	wide := "sha512:" + strings.Repeat("cd", 64)
	for _, tt := range []struct {
		request string // METHOD path
		body    string
		status  int
		text    string // a part of the answer
	}{
		{"GET /v2/", "", 200, ""},
		{"GET /", "", 404, "UNSUPPORTED"},
		{"GET /v2/app/manifests/v1", "", 200, manifest},
		{"HEAD /v2/app/manifests/v1", "", 200, ""},
		{"GET /v2/app/manifests/" + string(img.Digest), "", 200, manifest},
		{"GET /v2/app/manifests/v2", "", 404, "MANIFEST_UNKNOWN"},
		{"GET /v2/other/manifests/v1", "", 404, "MANIFEST_UNKNOWN"},
		{"GET /v2/App/manifests/v1", "", 400, "NAME_INVALID"},
		{"DELETE /v2/app/manifests/v1", "", 405, "UNSUPPORTED"},
		{"PUT /v2/app/manifests/v2", manifest, 201, ""},
		{"PUT /v2/app/manifests/" + string(img.Digest), manifest, 201, ""},
		{"PUT /v2/app/manifests/" + gone, manifest, 400, "DIGEST_INVALID"},
		{"PUT /v2/app/manifests/v3", "no JSON", 400, "MANIFEST_INVALID"},
		{"PUT /v2/app/manifests/-", manifest, 400, "MANIFEST_INVALID"},
		{"PUT /v2/other/manifests/v1", manifest, 404, "MANIFEST_BLOB_UNKNOWN"},
		{"PUT /v2/app/manifests/i", `{"manifests":[{"digest":"` + string(img.Digest) + `"},{"digest":"` + layer + `"}]}`, 201, ""},
		{"PUT /v2/app/manifests/i", `{"manifests":[{"digest":"` + gone + `"}]}`, 404, "MANIFEST_BLOB_UNKNOWN"},
		{"PUT /v2/app/manifests/f", `{"layers":[{"digest":"` + gone + `","urls":["https://elsewhere.test/"]}]}`, 201, ""},
		{"GET /v2/app/blobs/" + layer, "", 200, "layer"},
		{"HEAD /v2/app/blobs/" + layer, "", 200, ""},
		{"GET /v2/app/blobs/" + gone, "", 404, "BLOB_UNKNOWN"},
		{"GET /v2/other/blobs/" + layer, "", 404, "BLOB_UNKNOWN"},
		{"PUT /v2/app/blobs/" + layer, "", 405, "UNSUPPORTED"},
		{"POST /v2/app/blobs/uploads/?digest=" + layer, "layer", 201, ""},
		{"POST /v2/app/blobs/uploads/?digest=" + layer, "liar", 400, "DIGEST_INVALID"},
		{"POST /v2/app/blobs/uploads/?digest=" + wide, "x", 400, "DIGEST_INVALID"},
		{"PUT /v2/app/blobs/uploads/unheard?digest=" + layer, "layer", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"GET /v2/app/tags/list", "", 200, `{"name":"app","tags":["f","i","v1","v2"]}`},
		{"GET /v2/app/tags/list?n=1&last=i", "", 200, `{"name":"app","tags":["v1"]}`},
		{"GET /v2/app/tags/list?last=h", "", 200, `{"name":"app","tags":["i","v1","v2"]}`},
		{"GET /v2/app/tags/list?n=0", "", 200, `"tags":[]`},
		{"GET /v2/nothing/tags/list", "", 404, "NAME_UNKNOWN"},
		{"GET /v2/_catalog", "", 200, `"repositories":["app"`},
		{"GET /v2/app/referrers/" + string(img.Digest), "", 404, "UNSUPPORTED"},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		if resp, text := ask(t, r, method, path, tt.body); resp.StatusCode != tt.status || !strings.Contains(text, tt.text) {
			t.Errorf("%s: status %d %q, want %d %q", tt.request, resp.StatusCode, text, tt.status, tt.text)
		}
	}
	resp, _ := ask(t, r, http.MethodHead, "/v2/app/manifests/v1", "")
	if resp.ContentLength != img.Size || resp.Header.Get("Docker-Content-Digest") != string(img.Digest) || resp.Header.Get("Content-Type") != img.MediaType {
		t.Errorf("headers %v", resp.Header)
	}
	resp, _ = ask(t, r, http.MethodGet, "/v2/app/tags/list?n=2", "")
	if link := resp.Header.Get("Link"); link != `</v2/app/tags/list?last=i&n=2>; rel="next"` {
		t.Errorf("next page: %q", link)
	}
	resp, _ = ask(t, r, http.MethodGet, "/v2/app/tags/list?n=2&last=i", "")
	if link := resp.Header.Get("Link"); link != "" {
		t.Errorf("after the last page: %q", link)
	}
}

// An upload arrives in pieces, and pieces that do not fit are refused.
func TestChunks(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	resp, _ := ask(t, r, http.MethodPost, "/v2/app/blobs/uploads/", "")
	at := resp.Header.Get("Location")
	send := func(method, query, body string, header ...string) int {
		t.Helper()
		resp, _ := ask(t, r, method, at+query, body, header...)
		return resp.StatusCode
	}
	whole := registrytest.Sum([]byte("layer"))
	for _, tt := range []struct {
		what       string
		got, wants int
	}{
		{"first piece", send("PATCH", "", "la", "Content-Range", "0-1"), 202},
		{"a gap", send("PATCH", "", "er", "Content-Range", "3-4"), 416},
		{"second piece", send("PATCH", "", "ye", "Content-Range", "2-3"), 202},
		{"no digest", send("PUT", "", "r"), 400},
		{"wrong digest", send("PUT", "?digest="+whole, "s"), 400},
		{"the end", send("PUT", "?digest="+whole, "r"), 201},
		{"once more", send("PUT", "?digest="+whole, ""), 404},
	} {
		if tt.got != tt.wants {
			t.Errorf("%s: status %d, want %d", tt.what, tt.got, tt.wants)
		}
	}
	if !r.HasBlob("app", whole) {
		t.Error("the blob is not there")
	}
	resp, _ = ask(t, r, http.MethodPost, "/v2/app/blobs/uploads/", "")
	at = resp.Header.Get("Location")
	if given, after := send("DELETE", "", ""), send("PATCH", "", "x"); given != 204 || after != 404 {
		t.Errorf("given up: %d, then %d", given, after)
	}
}

// Faults come before the registry and before its wrapper. The log has all requests.
func TestFaults(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{Around: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			rw.Header().Set("Around", "yes")
			next.ServeHTTP(rw, req)
		})
	}})
	r.Fail(func(rw http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/v2/app/tags/list" {
			rw.WriteHeader(http.StatusTeapot)
			return true
		}
		return false
	})
	if resp, _ := ask(t, r, http.MethodGet, "/v2/app/tags/list", ""); resp.StatusCode != http.StatusTeapot || resp.Header.Get("Around") != "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if resp, _ := ask(t, r, http.MethodGet, "/v2/", ""); resp.StatusCode != http.StatusOK || resp.Header.Get("Around") != "yes" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if diff := cmp.Diff([]string{"GET /v2/app/tags/list", "GET /v2/"}, r.Asked()); diff != "" || r.Asked() != nil {
		t.Errorf("log (-want +got)\n%s", diff)
	}
	r.Fail(nil)
	if resp, _ := ask(t, r, http.MethodGet, "/v2/app/tags/list", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("well again: %s", resp.Status)
	}
}

func ask(t *testing.T, r *registrytest.Registry, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}
