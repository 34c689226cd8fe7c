package registry

import (
	"net/url"
	"strings"
	"testing"
	"unicode"

	"ociproxy/internal/oci"
)

// For any manifest that a registry sends, the result is valid and bounded, and has each digest once.
func FuzzParseManifest(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `{"manifests":[` + wire("a/b", hexA, 1) + `]}`,
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + wire("a/b", hexA, 2) + `,"layers":[` + wire("a/b", hexB, 3) + `,` + wire("a/b", hexB, 3) + `]}`,
		`{"blobs":[` + wire("a/b", hexA, 1, `,"urls":["x"],"annotations":{"a":"b"},"data":"e30="`) + `],"subject":` + wire("a/b", hexB, 9) + `}`,
		`{"fsLayers":[{"blobSum":"sha256:` + hexA + `"}],"signatures":[{"protected":"eyJmb3JtYXRMZW5ndGgiOjEsImZvcm1hdFRhaWwiOiJmUSJ9"}]}`,
		`{"layers":[{"digest":"sha512:` + hexA + hexB + `","size":-1}]}`,
		"{\"mediaType\":\"a\\u001b[31m\",\"layers\":[{\"digest\":\"x:y\",\"size\":1e3}]}",
	} {
		f.Add([]byte(s), "application/json; charset=utf-8")
	}
	f.Fuzz(func(t *testing.T, raw []byte, mediaType string) {
		m, err := ParseManifest(raw, mediaType)
		if err != nil {
			return
		}
		if m.Digest.IsZero() || !m.matches(m.Digest) || !m.matches(sum("sha512", raw)) || m.MediaType == "" {
			t.Fatalf("%+v", m.Descriptor)
		}
		seen := map[oci.Digest]bool{}
		for _, list := range [][]Descriptor{m.Children(), m.Blobs(), m.Skipped()} {
			for _, d := range list {
				if _, err := oci.ParseDigest(d.Digest.String()); err != nil || d.Size < -1 || seen[d.Digest] {
					t.Fatalf("%+v, seen %v", d, seen[d.Digest])
				}
				if strings.ContainsFunc(d.MediaType+d.Platform+d.ArtifactType+m.MediaType, unicode.IsControl) {
					t.Fatalf("control characters in %+v", d)
				}
				seen[d.Digest] = true
			}
		}
		if len(seen) > maxDescriptors+1 {
			t.Fatalf("%d descriptors", len(seen))
		}
	})
}

// Headers of a hostile registry lead to no other host, and never cause an endless pause.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{
		`</v2/a/tags/list?last=x>; rel="next"`, `<a>;rel=prev,<b>; title="a,b\"<"; rel="x next"`, `<//evil.test/x>`, `<https://registry.test:443/x>`,
		"120", "-1", "99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT", "bytes 1-2/3", "bytes */5", "bytes 5-1/9", "https:\\\\evil.test", "?x", "",
	} {
		f.Add(s)
	}
	base, err := url.Parse("https://registry.test/v2/a/tags/list?n=1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := follow(base, s); err == nil && (u.Host != base.Host || u.Scheme != "https" || u.User != nil) {
			t.Fatalf("%q leads to %s", s, u)
		}
		if first, last, total, err := contentRange(s); err == nil && first >= 0 && (first > last || last >= total) {
			t.Fatalf("range %q: %d-%d/%d", s, first, last, total)
		}
		if c := clean(s); len(c) > maxErrorText+len("…") || strings.ContainsFunc(c, unicode.IsControl) {
			t.Fatalf("%q is clean?", c)
		}
	})
}
