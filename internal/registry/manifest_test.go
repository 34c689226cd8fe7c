package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
)

func wire(mediaType, hex string, size int64, more ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%s","size":%d%s}`, mediaType, hex, size, strings.Join(more, ""))
}

func brief(list []Descriptor) (out []string) {
	for _, d := range list {
		out = append(out, fmt.Sprintf("%s %d", d.Digest.Hex()[:1], d.Size))
	}
	return out
}

// The references of a manifest are found for every kind of manifest.
func TestParseManifest(t *testing.T) {
	const x = "application/x"
	c := func(i int) string { return strings.Repeat(fmt.Sprintf("%x", i), 64) }
	type result struct {
		Type, Artifact           string
		Children, Blobs, Skipped []string
		Subject                  string
	}
	for name, test := range map[string]struct {
		body, header string
		want         result
	}{
		"image": {
			body: `{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + wire("application/vnd.oci.image.config.v1+json", c(1), 2) +
				`,"layers":[` + wire(x, c(2), 3) + "," + wire(x, c(2), 3) + "," + wire(x, c(3), 0) + `]}`,
			want: result{Type: "application/vnd.oci.image.manifest.v1+json", Artifact: "application/vnd.oci.image.config.v1+json", Blobs: []string{"1 2", "2 3", "3 0"}},
		},
		"index with platforms": {
			body:   `{"manifests":[` + wire(x, c(1), 2, `,"platform":{"os":"linux","architecture":"arm","variant":"v7"}`) + `,` + wire(x, c(2), 2) + `]}`,
			header: "application/vnd.docker.distribution.manifest.list.v2+json; charset=utf-8",
			want:   result{Type: dockerList, Children: []string{"1 2", "2 2"}},
		},
		"artifact manifest": {
			body:   `{"artifactType":"a/b","blobs":[` + wire(x, c(1), 1) + `],"subject":` + wire(x, c(2), 5) + `}`,
			header: ociArtifact, want: result{Type: ociArtifact, Artifact: "a/b", Blobs: []string{"1 1"}, Subject: "2"},
		},
		"embedded data and the empty descriptor": {
			body: `{"config":` + wire("application/vnd.oci.empty.v1+json", c(4), 2, `,"data":"e30="`) + `,"layers":[` + wire("application/vnd.oci.empty.v1+json", c(4), 2, `,"data":"e30="`) + `]}`,
			want: result{Type: "application/vnd.oci.image.manifest.v1+json", Artifact: "application/vnd.oci.empty.v1+json", Blobs: []string{"4 2"}},
		},
		"layers that are elsewhere": {
			body: `{"mediaType":"m/m","layers":[` + wire("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", c(1), 1, `,"urls":["https://x.test/1"]`) + `,` +
				wire("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", c(2), 2, `,"urls":["https://x.test/2"]`) + `,` +
				wire("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", c(3), 3) + `,` + wire(x, c(4), 4, `,"urls":["https://x.test/4"]`) + `]}`,
			want: result{Type: "m/m", Skipped: []string{"1 1", "2 2"}, Blobs: []string{"3 3", "4 4"}},
		},
		"schema 1": {
			body: `{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:` + c(1) + `"},{"blobSum":"sha256:` + c(1) + `"},{"blobSum":"sha256:` + c(2) + `"}]}`,
			want: result{Type: dockerSchema1, Blobs: []string{"1 -1", "2 -1"}},
		},
		"a kind nobody knows": {
			body: `{"mediaType":"future/kind","layers":[` + wire(x, c(1), 1) + `],"manifests":[` + wire(x, c(2), 2) + `],"config":null,"new":[1]}`,
			want: result{Type: "future/kind", Children: []string{"2 2"}, Blobs: []string{"1 1"}},
		},
		"its own word has precedence": {body: `{"mediaType":"a/b"}`, header: "c/d", want: result{Type: "a/b"}},
		"nothing at all":              {body: `{}`, header: "text/plain", want: result{Type: "application/json"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ParseManifest([]byte(test.body), test.header)
			if err != nil {
				t.Fatal(err)
			}
			got := result{m.MediaType, m.ArtifactType, brief(m.Children()), brief(m.Blobs()), brief(m.Skipped()), ""}
			if m.Subject() != nil {
				got.Subject = m.Subject().Digest.Hex()[:1]
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.Digest != sum("sha256", []byte(test.body)) || m.Size != int64(len(test.body)) {
				t.Errorf("descriptor %+v", m.Descriptor)
			}
		})
	}
	m, err := ParseManifest([]byte(`{"manifests":[`+wire(x, c(1), 2, `,"platform":{"os":"linux","architecture":"arm","variant":"v7"}`)+`]}`), "")
	if err != nil || m.Children()[0].Platform != "linux/arm/v7" {
		t.Errorf("%v, %v", m, err)
	}
}

// Manifests that cannot be valid are errors.
func TestInvalidManifests(t *testing.T) {
	many := strings.Repeat(wire("x/x", hexA, 1)+",", maxDescriptors) + wire("x/x", hexA, 1)
	for name, c := range map[string]struct {
		body string
		err  error
	}{
		"not JSON":           {"<html>", ErrInvalid},
		"a list":             {"[]", ErrInvalid},
		"a word":             {`"x"`, ErrInvalid},
		"two in one":         {"{}{}", ErrInvalid},
		"bad digest":         {`{"layers":[{"digest":"sha256:../x","size":1}]}`, ErrInvalid},
		"no digest":          {`{"config":{}}`, ErrInvalid},
		"negative":           {`{"layers":[` + wire("x/x", hexA, -1) + `]}`, ErrInvalid},
		"two sizes":          {`{"layers":[` + wire("x/x", hexA, 1) + `,` + wire("x/x", hexA, 2) + `]}`, ErrInvalid},
		"bad subject":        {`{"subject":{"digest":"x"}}`, ErrInvalid},
		"bad blobSum":        {`{"fsLayers":[{"blobSum":"x"}]}`, ErrInvalid},
		"huge size":          {`{"layers":[{"digest":"sha256:` + hexA + `","size":99999999999999999999}]}`, ErrInvalid},
		"impossible size":    {`{"layers":[` + wire("x/x", hexA, oci.MaxBlob+1) + `]}`, ErrInvalid},
		"another's key":      {`{"layers":[` + wire("x/x", hexA, 1) + `],"Layers":[` + wire("x/x", hexB, 1) + `]}`, ErrInvalid},
		"a key twice":        {`{"layers":[` + wire("x/x", hexA, 1) + `],"layers":[` + wire("x/x", hexB, 1) + `]}`, ErrInvalid},
		"deep":               {`{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, ErrTooLarge},
		"wide":               {`{"layers":[` + strings.Repeat("{},", MaxManifest/4) + `{}]}`, ErrTooLarge},
		"wide, unread":       {`{"x":[` + strings.Repeat("[],", MaxManifest/4) + `[]]}`, ErrTooLarge},
		"too many":           {`{"layers":[` + many + `]}`, ErrTooLarge},
		"too long":           {strings.Repeat(" ", MaxManifest+1), ErrTooLarge},
		"signature, none":    {`{"fsLayers":[],"signatures":[]}`, ErrInvalid},
		"signature, no text": {`{"fsLayers":[],"signatures":[1]}`, ErrInvalid},
		"signature, long":    {`{"fsLayers":[],"signatures":[{"protected":"eyJmb3JtYXRMZW5ndGgiOjk5OTk5LCJmb3JtYXRUYWlsIjoiIn0"}]}`, ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseManifest([]byte(c.body), ""); !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
		})
	}
}

// The bytes are compared with the requested digest, or with the digest that the registry reports.
func TestManifestDigest(t *testing.T) {
	const body, other = `{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, `{"mediaType":"a/b"}`
	for name, c := range map[string]struct {
		ref, header, body string
		want              string // the digest
		err               error
	}{
		"tag":                  {ref: "v1", body: body, want: sum("sha256", []byte(body)).String()},
		"tag, named":           {ref: "v1", header: sum("sha256", []byte(body)).String(), body: body, want: sum("sha256", []byte(body)).String()},
		"tag, sha512":          {ref: "v1", header: sum("sha512", []byte(body)).String(), body: body, want: sum("sha512", []byte(body)).String()},
		"tag, named otherwise": {ref: "v1", header: sum("sha256", []byte(other)).String(), body: body, err: ErrDigest},
		"tag, named in a word": {ref: "v1", header: "x", body: body, want: sum("sha256", []byte(body)).String()},
		"digest":               {ref: sum("sha256", []byte(body)).String(), body: body, want: sum("sha256", []byte(body)).String()},
		"sha512":               {ref: sum("sha512", []byte(body)).String(), body: body, want: sum("sha512", []byte(body)).String()},
		"digest, other bytes":  {ref: sum("sha256", []byte(body)).String(), body: other, err: ErrDigest},
		"digest, cut":          {ref: sum("sha256", []byte(body)).String(), body: body[:20], err: ErrDigest},
		"sha512, other bytes":  {ref: sum("sha512", []byte(body)).String(), body: other, err: ErrDigest},
		"an algorithm we lack": {ref: "blake3:" + hexA, body: body, err: ErrDigest},
		"digest, lying header": {ref: sum("sha256", []byte(body)).String(), header: sum("sha256", []byte(other)).String(), body: other, err: ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := openWorld(t, serve(map[string]http.HandlerFunc{"/v2/app/manifests/" + c.ref: text(c.body, "Docker-Content-Digest", c.header)}))
			m, err := r.Manifest(t.Context(), "app", c.ref)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err == nil && m.Digest.String() != c.want {
				t.Errorf("digest %s, want %s", m.Digest, c.want)
			}
		})
	}
}

// HEAD is enough when its answer has everything; otherwise the manifest is read.
func TestResolve(t *testing.T) {
	const index = "application/vnd.oci.image.index.v1+json"
	const body = `{"mediaType":"` + index + `","manifests":[]}`
	d := sum("sha256", []byte(body))
	for name, c := range map[string]struct {
		headers  []string
		status   int
		requests int
	}{
		"all":         {[]string{"Docker-Content-Digest", d.String(), "Content-Type", index, "Content-Length", fmt.Sprint(len(body))}, 200, 2},
		"no digest":   {[]string{"Content-Type", index, "Content-Length", fmt.Sprint(len(body))}, 200, 3},
		"no type":     {[]string{"Docker-Content-Digest", d.String(), "Content-Length", fmt.Sprint(len(body)), "Content-Type", "text/plain"}, 200, 3},
		"not allowed": {nil, 405, 3},
		"no length":   {[]string{"Docker-Content-Digest", d.String(), "Content-Type", index}, 200, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := openWorld(t, func(w http.ResponseWriter, req *http.Request) {
				if accept := strings.Join(req.Header["Accept"], ","); !strings.Contains(accept, index) || !strings.Contains(accept, dockerSchema1Signed) {
					t.Errorf("accept %q", accept)
				}
				if req.Method == http.MethodHead {
					text("", c.headers...)(w, req)
					if c.status != 200 {
						w.WriteHeader(c.status)
					}
					return
				}
				text(body, "Content-Type", index)(w, req)
			})
			got, err := r.Resolve(t.Context(), "app", "v1")
			want := Descriptor{Digest: d, MediaType: index, Size: int64(len(body))}
			if diff := cmp.Diff(want, got, compareDigests); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if n := len(w.paths()); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
	r, _ := openWorld(t, text("", "Docker-Content-Digest", "sha256:"+hexA, "Content-Type", index, "Content-Length", "2"))
	if _, err := r.Resolve(t.Context(), "app", "sha256:"+hexB); !errors.Is(err, ErrDigest) {
		t.Errorf("another digest: %v", err)
	}
}

// The child of an index is a manifest, unless its media type or the registry says otherwise.
func TestChild(t *testing.T) {
	const body = `{"mediaType":"a/b"}`
	d := sum("sha256", []byte(body))
	answers := map[string]http.HandlerFunc{"/v2/app/manifests/" + d.String(): text(body)}
	missing := digest(t, "sha256:"+hexA)
	for name, c := range map[string]struct {
		d        oci.Digest
		kind     string
		size     int64
		blob     bool
		err      error
		requests int
	}{
		"manifest":             {d: d, kind: "application/vnd.oci.image.manifest.v1+json", size: 19, requests: 2},
		"unknown kind":         {d: d, kind: "future/kind", size: 19, requests: 2},
		"another size":         {d: d, kind: "future/kind", size: 20, err: ErrInvalid, requests: 2},
		"unknown, a blob":      {d: missing, kind: "future/kind", blob: true, requests: 2},
		"layer of a cache":     {d: missing, kind: "application/vnd.oci.image.layer.v1.tar+gzip", blob: true},
		"config of a cache":    {d: missing, kind: "application/vnd.buildkit.cacheconfig.v0", blob: true},
		"manifest that is not": {d: missing, kind: "application/vnd.oci.image.index.v1+json", err: ErrNotFound, requests: 2},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := openWorld(t, serve(answers))
			m, blob, err := r.Child(t.Context(), "app", Descriptor{Digest: c.d, MediaType: c.kind, Size: c.size})
			if !errors.Is(err, c.err) || blob != c.blob || (m != nil) != (err == nil && !blob) {
				t.Errorf("%v, %v, %v", m, blob, err)
			}
			if n := len(w.paths()); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

// Referrers come from the API, page by page, or from the fallback tag. The absence of the API is found out once.
func TestReferrers(t *testing.T) {
	const index = "application/vnd.oci.image.index.v1+json"
	d := digest(t, "sha256:"+hexA)
	page := func(hex string) string {
		return `{"mediaType":"` + index + `","manifests":[` + wire("application/vnd.oci.image.manifest.v1+json", hex, 5, `,"artifactType":"a/b"`) + `]}`
	}
	r, _ := openWorld(t, serve(map[string]http.HandlerFunc{
		"/v2/app/referrers/" + d.String(): func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Has("last") {
				_, _ = io.WriteString(w, page(hexA))
				return
			}
			w.Header().Set("Link", `<?last=1>; rel="next"`)
			_, _ = io.WriteString(w, page(hexB))
		},
	}))
	refs, api, err := r.Referrers(t.Context(), "app", d)
	if diff := cmp.Diff([]string{"b 5", "a 5"}, brief(refs)); diff != "" || !api || err != nil || refs[0].ArtifactType != "a/b" {
		t.Errorf("%v, %v (-want +got):\n%s", api, err, diff)
	}
	refused := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		api      http.HandlerFunc
		requests int // in the second round
	}{
		"404":          {http.NotFound, 1},
		"405":          {refused(405, ""), 1},
		"a page":       {text("<html>"), 1},
		"no such repo": {refused(404, `{"errors":[{"code":"NAME_UNKNOWN"}]}`), 2},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := openWorld(t, serve(map[string]http.HandlerFunc{
				"/v2/app/referrers/" + d.String(): c.api, "/v2/app/manifests/sha256-" + hexA: text(page(hexB)),
			}))
			for round := range 2 {
				before := len(w.paths())
				refs, api, err := r.Referrers(t.Context(), "app", d)
				if len(refs) != 1 || api || err != nil {
					t.Errorf("%v, %v, %v", refs, api, err)
				}
				if n := len(w.paths()) - before; round == 1 && n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			}
			if refs, _, err := r.Referrers(t.Context(), "app", digest(t, "sha256:"+hexB)); len(refs) != 0 || err != nil {
				t.Errorf("of what nobody refers to: %v, %v", refs, err)
			}
		})
	}
	r, _ = openWorld(t, refused(403, ""))
	if _, _, err := r.Referrers(t.Context(), "app", d); !errors.Is(err, ErrUnauthorized) {
		t.Error(err)
	}
	if got, want := FallbackTag(sum("sha512", nil)), "sha512-"+sum("sha512", nil).Hex()[:64]; got != want {
		t.Errorf("fallback tag %s, want %s", got, want)
	}
}
