package edge_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/edge"
	"ociproxy/internal/oci"
)

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// FuzzRules compares the rules with the server: what its parser and its table of pages accept passes, and what passes
// is accepted, except for lengths.
func FuzzRules(f *testing.F) {
	for _, path := range []string{
		"/", "/v2", "/v2/", "/v2//", "/v2x", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/tags/list/", "/v2/a/b__c--d.e/tags/list",
		"/v2/a/blobs/sha256:" + hex64, "/v2/a/blobs/sha256%3A" + hex64, "/v2/a/blobs/sha256%3a" + hex64, "/v2/a/blobs/sha512:" + hex64 + hex64,
		"/v2/blobs/blobs/blobs/sha256:" + hex64, "/v2/a/manifests/latest", "/v2/a/manifests/sha256:" + hex64, "/v2/a/manifests/sha256+b64u:LCa0a2j_xo",
		"/v2/a/referrers/sha256:" + hex64, "/v2/A/tags/list", "/v2/a/blobs/sha256:0", "/v2/a/blobs/uploads/", "/v2/a/../b/tags/list", "/v2/%61/tags/list",
		"/v2/a/manifests/" + strings.Repeat("t", 128), "/v2/a/manifests/" + strings.Repeat("t", 129), "/v2/" + strings.Repeat("a", 256) + "/tags/list",
		"/privacy", "/privacy/", "/privacy//", "//", "/-/live", "/-/ready", "/-/ready/", "/-/whoami", "/-/status", "/-/status/", "/.well-known/oci-proxy/endpoints.json",
		"/xwell-known/oci-proxy/endpoints.json", "/metrics", "/config", "/explain", "/debug/pprof/", "/v2/a/manifests/x\n", "/-/ready\n",
	} {
		f.Add(path)
	}
	server := compile(f, edge.Server(nil))
	f.Fuzz(func(t *testing.T, path string) {
		var err error
		served := edge.PageAt(path) != edge.NoPage
		if strings.HasPrefix(path, "/v2") {
			_, err = oci.Parse(path, "")
			served = err == nil
		}
		passes := server.MatchString(path)
		switch {
		case served && !passes:
			t.Errorf("the server accepts %q, and the rules do not", path)
		case served && len(path) > edge.MaxPath:
			t.Errorf("%d bytes, more than MaxPath: %q", len(path), path)
		case passes && !served && !onlyTooLong(path, err):
			t.Errorf("the rules let %q through, and the server says %v", path, err)
		}
	})
}

// onlyTooLong reports whether the server refuses a path for a reason that the rules need not know: the length of the
// name, or what the digest's algorithm demands.
func onlyTooLong(path string, err error) bool {
	return errors.Is(err, oci.ErrNameInvalid) && len(path) > oci.MaxName || errors.Is(err, oci.ErrDigestInvalid)
}

func compile(t testing.TB, routes []edge.Route) *regexp.Regexp {
	t.Helper()
	var patterns []string
	for _, r := range routes {
		patterns = append(patterns, r.Pattern)
	}
	return regexp.MustCompile("^(?:" + strings.Join(patterns, "|") + ")$")
}

// TestEachKindHasARoute: a new kind of request cannot be forgotten at the edge.
func TestEachKindHasARoute(t *testing.T) {
	names := map[string]bool{}
	for _, r := range edge.Server(nil) {
		if r.Path == "" || r.Pattern == "" || r.For == "" {
			t.Errorf("route %+v is not complete", r)
		}
		names[r.Name] = true
	}
	for _, kind := range oci.Kinds() {
		if !names[kind.String()] {
			t.Errorf("%s has no route", kind)
		}
	}
}

// TestClientsDoNotReachHealth: what only the platform asks is not for the internet.
func TestClientsDoNotReachHealth(t *testing.T) {
	for path, want := range map[string]bool{
		"/v2/": true, "/-/whoami": true, "/-/status": true, "/": true, "/-/live": false, "/-/ready": false, "/metrics": false, "/explain": false,
	} {
		got, err := edge.Match(edge.Only(edge.Server(nil), edge.Clients), path)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", path, got, err, want)
		}
	}
}

// TestConfigClosesPages: a page that the config does not open is not let through.
func TestConfigClosesPages(t *testing.T) {
	var cfg config.Config
	names := func() (list []string) {
		for _, r := range edge.Server(&cfg)[len(oci.Kinds()):] {
			list = append(list, r.Name)
		}
		return list
	}
	if diff := cmp.Diff([]string{"endpoints", "endpoints feed", "live", "ready"}, names()); diff != "" {
		t.Errorf("closed (-want +got)\n%s", diff)
	}
	cfg.Pages.Status = "https://status.example.net/"
	cfg.Pages.Home, cfg.Pages.Privacy, cfg.Client.Whoami, cfg.Endpoints.Signed = "https://example.org/", "https://example.org/p", true, "list.json"
	if diff := cmp.Diff([]string{"home", "privacy", "status", "endpoints", "endpoints feed", "endpoints signed", "whoami", "live", "ready"}, names()); diff != "" {
		t.Errorf("open (-want +got)\n%s", diff)
	}
}

func TestStore(t *testing.T) {
	for _, prefix := range []string{"/", "images", "/images/", "/../x", "/a'b", "/a|b", "/a//b"} {
		if _, err := edge.Store(prefix); err == nil {
			t.Errorf("prefix %q is accepted", prefix)
		}
	}
	for _, prefix := range []string{"", "/images", "/v1.0/x_y"} {
		routes, err := edge.Store(prefix)
		if err != nil {
			t.Fatal(err)
		}
		rules := compile(t, routes)
		for path, want := range map[string]bool{
			"/containers/images/sha256:" + hex64:           true,
			"/containers/images/sha256%3A" + hex64:         true,
			"/containers/images/sha512:" + hex64 + hex64:   true,
			"/containers/images/sha512:" + hex64:           false,
			"/containers/images/sha256:" + hex64 + "/":     false,
			"/containers/images/sha256:" + hex64[1:] + "G": false,
			"/containers/images/":                          false,
			"/inventory/head.json":                         true,
			"/inventory/headxjson":                         false,
			"/inventory/seg/" + hex64:                      true,
			"/inventory/retired/" + hex64:                  false,
			"/inventory/":                                  false,
			"/":                                            false,
		} {
			if got := rules.MatchString(prefix + path); got != want {
				t.Errorf("%s%s: %v, want %v", prefix, path, got, want)
			}
		}
	}
}
