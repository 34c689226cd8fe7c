package oci_test

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// These are request targets as sent over the wire and read by net/http. The URL parser of net/http must not open a way
// around Parse.
func TestParseTargets(t *testing.T) {
	for _, test := range []struct {
		target string
		want   error  // nil: it is accepted
		path   string // the path that Parse made of it
	}{
		{"/v2/pause/blobs/" + sha256, nil, "/v2/pause/blobs/" + sha256},
		{"/v2/pause/blobs/sha256%3A" + hex64, nil, "/v2/pause/blobs/" + sha256},
		{"/v2/pause/manifests/latest?ns=x#y", nil, "/v2/pause/manifests/latest"},
		// Absolute form: the path counts, and the server ignores the host.
		{"http://evil.example.org/v2/pause/manifests/latest", nil, "/v2/pause/manifests/latest"},
		{"http://user:password@evil.example.org/v2/pause/manifests/latest", nil, "/v2/pause/manifests/latest"},
		{"http://evil.example.org/v2/../x", oci.ErrUnsupported, ""},
		{"http://evil.example.org", oci.ErrUnsupported, ""},
		{"*", oci.ErrUnsupported, ""},
		{"//evil.example.org/v2/pause/manifests/latest", oci.ErrUnsupported, ""},
		{"/v2/../../x", oci.ErrUnsupported, ""},
		{"/v2/pause/../../etc/manifests/x", oci.ErrUnsupported, ""},
		{"/v2/%2e%2e/tags/list", oci.ErrUnsupported, ""},
		{"/v2/a%2Fb/tags/list", oci.ErrUnsupported, ""},
		{"/v2/%61/tags/list", oci.ErrUnsupported, ""},
		{"/v2/pause/manifests/a%00", oci.ErrUnsupported, ""},
		{"/v2/pause/manifests/a%0d%0ab", oci.ErrUnsupported, ""},
		{"/v2/pause/manifests/a;b", oci.ErrManifestUnknown, ""},
		{"/v2/a;b/tags/list", oci.ErrNameInvalid, ""},
		{"/v2/a\"b/tags/list", oci.ErrUnsupported, ""}, // net/http escapes the quote
		{"/v2/a<b>/tags/list", oci.ErrUnsupported, ""},
		{"/v2/ä/tags/list", oci.ErrUnsupported, ""},
		{"/v2/" + strings.Repeat("a", 8192) + "/tags/list", oci.ErrNameInvalid, ""},
	} {
		t.Run(test.target, func(t *testing.T) {
			raw := "GET " + test.target + " HTTP/1.1\r\nHost: registry.example.org\r\n\r\n"
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := oci.Parse(r.URL.EscapedPath(), r.URL.RawQuery)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("Parse(%q) = %v, want %v", r.URL.EscapedPath(), err, test.want)
			}
			if err == nil && got.Path() != test.path {
				t.Errorf("taken for %q, want %q", got.Path(), test.path)
			}
		})
	}
}

// net/http refuses these targets itself. If that changes, this test shows whether Parse refuses them.
func TestUnreadableTargets(t *testing.T) {
	for _, target := range []string{
		"/v2/pause/manifests/a\x00b",
		"/v2/pause/manifests/a\rb",
		"/v2/pause/manifests/a b",
		"/v2/pause/manifests/a%zz",
		"v2/pause/manifests/a",
	} {
		raw := "GET " + target + " HTTP/1.1\r\nHost: registry.example.org\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			continue
		}
		if _, err := oci.Parse(r.URL.EscapedPath(), r.URL.RawQuery); err == nil {
			t.Errorf("%q was accepted", target)
		}
	}
}
