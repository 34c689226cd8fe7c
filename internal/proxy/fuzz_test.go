package proxy

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// Whatever a client sends, a Location begins with one of our own URLs, followed only by what the grammar allows.
func FuzzLocation(f *testing.F) {
	for _, seed := range []string{
		"GET /v2/a/b/blobs/" + digest, "GET /v2/a/manifests/v1?ns=x", "GET /v2/a/referrers/" + digest + "?artifactType=a/b",
		"GET /v2/a/tags/list?n=1&last=x", "GET http://evil.example/v2/a/manifests/v1", "GET //evil.example/v2/a/manifests/v1",
		"GET /v2/../../x", "GET /v2/%2e%2e/blobs/" + digest, "GET /v2/a%2Fb/manifests/v1", "GET /v2/a;b/manifests/v1",
		"GET /v2/a/manifests/v1%0d%0aLocation:%20x", "HEAD /v2/@evil/manifests/v1", "GET /v2/a\\b/manifests/v1", "OPTIONS *",
	} {
		f.Add(seed, "192.0.2.9", "registry.example")
	}
	w := newWorld(f)
	h := w.server.Handler()
	ours := regexp.MustCompile(`^(https://example\.org/registry|(` + regexp.QuoteMeta(w.us.URL) + "|" + regexp.QuoteMeta(w.eu.URL) + `)/v2/p/i/[a-z0-9._/-]+/(manifests|blobs)/[A-Za-z0-9._:+=-]+|` +
		regexp.QuoteMeta(w.us.URL) + `/v2/p/i/[a-z0-9._/-]+/referrers/[A-Za-z0-9._:+=-]+(\?artifactType=[A-Za-z0-9._%+-]+)?|(` +
		regexp.QuoteMeta(w.va.URL) + "|" + regexp.QuoteMeta(w.cdn.URL) + `)/b/sha(256|512):[0-9a-f]{64,128})$`)
	f.Fuzz(func(t *testing.T, request, forwarded, host string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request + " HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-For: " + forwarded + "\r\n\r\n")))
		if err != nil {
			t.Skip() // net/http refuses it before the handler
		}
		r.RemoteAddr = "127.0.0.1:1"
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		location := rec.Header().Get("Location")
		if location == "" {
			return
		}
		path, _, _ := strings.Cut(location, "?")
		if !ours.MatchString(location) || strings.Contains(path, "..") || strings.Contains(strings.TrimPrefix(path, "http://"), "//") && !strings.HasPrefix(path, "https://example.org") {
			t.Errorf("%q gave Location %q", request, location)
		}
	})
}

// Whatever an upstream sends for a tag list, the client gets a valid list, no longer than it asked for, with links to
// this server.
func FuzzTagList(f *testing.F) {
	for _, body := range []string{
		`{"name":"x","tags":["v1","v2","v3"],"manifest":{"sha256:x":{"tag":["v1"]}}}`, `{"tags":null}`, `{"tags":[1]}`, `{"tags":["a","\u0062",".."]}`, `[[[[`, `{"x":{"tags":["v9"]},"tags":["v1"],"tags":["v2"]}`,
	} {
		f.Add(body, `</v2/x/tags/list?n=2&last=v2>; rel="next"`, "n=2&last=v1")
		f.Add(body, `<?last=%2B%20>, <b>; rel=prev`, "")
	}
	link := regexp.MustCompile(`^</v2/a/b/tags/list\?(n=[0-9]+&)?last=[A-Za-z0-9._~%-]+>; rel="next"$`)
	f.Fuzz(func(t *testing.T, body, header, query string) {
		req, err := oci.Parse("/v2/a/b/tags/list", query)
		if err != nil {
			return
		}
		l, err := rewriteTags(strings.NewReader(body), http.Header{"Link": {header}}, req)
		if err != nil {
			return
		}
		var got struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(l.body, &got); err != nil || got.Name != "a/b" || got.Tags == nil || slices.ContainsFunc(got.Tags, func(s string) bool { return !oci.ValidTag(s) }) {
			t.Fatalf("%q: %v", l.body, err)
		}
		if req.N >= 0 && len(got.Tags) > req.N {
			t.Fatalf("%d tags, %d were asked for", len(got.Tags), req.N)
		}
		if l.link == "" {
			return
		}
		if !link.MatchString(l.link) {
			t.Fatalf("link %q", l.link)
		}
		_, next, _ := strings.Cut(strings.TrimSuffix(l.link, `>; rel="next"`), "?")
		if r, err := oci.Parse("/v2/a/b/tags/list", next); err != nil || r.Last == "" || r.Last == req.Last || req.N >= 0 && r.N != req.N {
			t.Fatalf("%q leads to %+v, %v", l.link, r, err)
		}
	})
}
