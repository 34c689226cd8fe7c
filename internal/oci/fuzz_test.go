package oci_test

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
)

// These are the bytes that a request may put into a Location.
var (
	safePath  = regexp.MustCompile(`^/v2/[A-Za-z0-9._:=+/-]*$`)
	safeQuery = regexp.MustCompile(`^[A-Za-z0-9._=&%~-]*$`)
)

// FuzzParse checks that an accepted request consists of safe bytes only, has no dot segment, and is the same request
// when it is parsed again. It also checks that the specification's patterns accept the same requests.
func FuzzParse(f *testing.F) {
	for _, path := range []string{
		"/v2/", "/v2/a/blobs/blobs/" + sha256, "/v2/a/manifests/sha256%3a" + hex64, "/v2/a/b/manifests/latest",
		"/v2/a/referrers/" + sha512, "/v2/a/tags/list", "/v2/_catalog", "/v2/../../x", "/v2/%2e%2e/tags/list",
		"/v2/a%2Fb/tags/list", "/v2//a/tags/list", "/v2/a;b/tags/list", "/v2/a\x00/tags/list",
		"/v2/a/manifests/x\r\nLocation: y", "http://evil.example.org/v2/a/tags/list", "/v2/a/blobs/x+y:Z=_-",
	} {
		f.Add(path, "")
		f.Add(path, "n=10&last=1.0&artifactType=application/vnd.example%2Bjson&ns=x")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		r, err := oci.Parse(path, query)
		if err != nil {
			var e *oci.Error
			if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 {
				t.Fatalf("error %#v", err)
			}
			if query == "" && parseOracle(path) {
				t.Fatalf("%q was refused, but is in the grammar", path)
			}
			return
		}
		if !parseOracle(path) {
			t.Fatalf("%q was accepted, but is not in the grammar", path)
		}
		out := r.Path()
		if !safePath.MatchString(out) || strings.Contains(out, "//") || strings.Contains(out, "/.") {
			t.Fatalf("unsafe path %q", out)
		}
		if !safeQuery.MatchString(r.Query) || len(r.Query) > 2048 {
			t.Fatalf("unsafe query %q", r.Query)
		}
		if u, err := url.Parse(out + "?" + r.Query); err != nil || u.EscapedPath() != out || u.RawQuery != r.Query || u.Host != "" {
			t.Fatalf("URL %v of %q, %v", u, out, err)
		}
		again, err := oci.Parse(out, r.Query)
		if err != nil {
			t.Fatalf("%q was accepted, its own spelling %q is not: %v", path, out, err)
		}
		if diff := cmp.Diff(r, again, comparable); diff != "" {
			t.Fatalf("round trip (-first +second)\n%s", diff)
		}
	})
}
