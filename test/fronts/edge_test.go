package fronts

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// requests are what clients ask, and what the edge must not let through. A path is as it is sent.
var requests = []struct {
	method, path string
	passes       bool
}{
	{"GET", "/v2", true},
	{"GET", "/v2/", true},
	{"HEAD", "/v2/", true},
	{"GET", "/v2/?ns=docker.io", true},
	{"GET", "/v2/a/b__c/manifests/latest", true},
	{"HEAD", "/v2/app/manifests/sha256:" + hex64, true},
	{"GET", "/v2/app/manifests/sha256%3A" + hex64, true},
	{"GET", "/v2/app/blobs/sha256:" + hex64, true},
	{"GET", "/v2/app/blobs/sha512:" + hex64 + hex64, true},
	{"GET", "/v2/blobs/blobs/blobs/sha256:" + hex64, true},
	{"GET", "/v2/app/referrers/sha256:" + hex64 + "?artifactType=a/b", true},
	{"GET", "/v2/app/tags/list?n=1&last=x", true},
	{"GET", "/v2/" + strings.Repeat("a", 255) + "/tags/list", true},
	{"GET", "/.well-known/oci-proxy/endpoints.json", true},
	{"GET", "/.well-known/oci-proxy/endpoints.atom/", true},
	{"GET", "/", true},
	{"GET", "/privacy/", true},
	{"GET", "/-/whoami", true},
	{"GET", "/-/status", true},

	{"POST", "/v2/app/blobs/uploads/", false},
	{"PUT", "/v2/app/manifests/latest", false},
	{"DELETE", "/v2/app/manifests/latest", false},
	{"OPTIONS", "/v2/", false},
	{"GET", "/v2/_catalog", false},
	{"GET", "/v2//", false},
	{"GET", "/v2/a/../b/tags/list", false},
	{"GET", "/v2/%61pp/tags/list", false},
	{"GET", "/v2/App/tags/list", false},
	{"GET", "/v2/app/tags/list/", false},
	{"GET", "/v2/app/blobs/sha256%253A" + hex64, false},
	{"GET", "//v2/", false},
	{"GET", "/./v2/", false},
	{"GET", "/-/live", false},
	{"GET", "/-/ready", false},
	{"GET", "/-/%72eady", false},
	{"GET", "/metrics", false},
	{"GET", "/explain?ip=192.0.2.1", false},
	{"GET", "/debug/pprof/", false},
	{"GET", "/x?/v2/", false},
}

// TestSlowNginx: a real nginx with the generated rules lets what clients ask through to a real oci-proxy, and answers
// 404 to all else. What it refuses, the server would not have answered either, but for the pages of the platform.
func TestSlowNginx(t *testing.T) {
	parts.Slow(t)
	program := parts.Find(t, "nginx")
	cfg := proxy.Config{"location": "aws/us-east-1", "client": proxy.Map{"behind": "direct", "whoami": true},
		"pages":     proxy.Map{"home": "https://example.org/", "privacy": "https://example.org/privacy", "status": "https://status.example.net/"},
		"ranges":    proxy.Map{"cache": "", "feeds": proxy.List{}},
		"upstreams": proxy.List{proxy.Map{"name": "main", "url": "http://127.0.0.1:1", "insecure": true, "place": "aws/us-east-1", "canonical": true}}}
	p := proxy.Start(t, cfg)
	rules := parts.Run(t, time.Minute, proxy.Binary(t), "routes", "--config", p.File, "--format", "nginx")
	dir, addr := parts.ShortDir(t), parts.FreeAddr(t)
	write(t, filepath.Join(dir, "routes.conf"), rules)
	write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    include %[1]s/routes.conf;
    server {
        listen %[2]s;
        if ($oci_proxy_allowed = 0) { return 404; }
        location / {
            proxy_pass http://%[3]s;
            add_header X-Passed yes always;
        }
    }
}
`, dir, addr, p.Addr))
	parts.Start(t, parts.Spec{Path: program, Args: []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")},
		Ready: parts.Dial("tcp", addr), Abrupt: true})
	for _, r := range requests {
		code, passed := raw(t, addr, r.method, r.path)
		if passed != r.passes || !r.passes && code != http.StatusNotFound {
			t.Errorf("%s %s: %d, passed %v, want %v", r.method, r.path, code, passed, r.passes)
		}
		direct, _ := raw(t, p.Addr, r.method, r.path)
		platform := r.path == "/-/live" || r.path == "/-/ready"
		if served := direct != http.StatusNotFound && direct != http.StatusMethodNotAllowed && direct != http.StatusBadRequest; served != r.passes && !platform {
			t.Errorf("%s %s: the server answers %d, and the rules say %v", r.method, r.path, direct, r.passes)
		}
	}
}

// raw sends a request with a path that no client library changes.
func raw(t *testing.T, addr, method, path string) (code int, passed bool) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: registry.example.test\r\nConnection: close\r\n\r\n", method, path)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("X-Passed") == "yes"
}

// TestSlowCloudFront runs the generated functions, over the same requests. CloudFront gives a function the path without
// its query.
func TestSlowCloudFront(t *testing.T) {
	parts.Slow(t)
	node := parts.Find(t, "node")
	type event struct{ Method, URI string }
	// A function for a store also removes the query, and the escape of a digest's colon.
	run := func(code string, store bool, events []event) (passed []bool) {
		in, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "run.js")
		write(t, file, code+fmt.Sprintf(`
console.log(JSON.stringify(%[1]s.map(function (e) {
  const out = handler({ request: { method: e.Method, uri: e.URI, querystring: { versionId: { value: 'x' } }, headers: {} } });
  if (out.statusCode === 404) {
    return false;
  }
  const same = out.uri === (%[2]v ? e.URI.replace(/%%3a/i, ':') : e.URI);
  return same && out.statusCode === undefined && Object.keys(out.querystring).length === (%[2]v ? 0 : 1) || 'odd';
})));`, in, store))
		if err := json.Unmarshal([]byte(parts.Run(t, time.Minute, node, file)), &passed); err != nil {
			t.Fatal(err)
		}
		return passed
	}
	var events []event
	for _, r := range requests {
		path, _, _ := strings.Cut(r.path, "?")
		events = append(events, event{r.method, path})
	}
	code := parts.Run(t, time.Minute, proxy.Binary(t), "routes", "--config", "", "--format", "cloudfront")
	for i, passed := range run(code, false, events) {
		if passed != requests[i].passes {
			t.Errorf("%+v: %v, want %v", events[i], passed, requests[i].passes)
		}
	}
	long := "/v2/" + strings.Repeat("a", 600) + "/tags/list"
	store := parts.Run(t, time.Minute, proxy.Binary(t), "routes", "--for", "store", "--prefix", "/img", "--format", "cloudfront")
	if got := run(code, false, []event{{"GET", long}}); got[0] {
		t.Error("a path that is too long passes")
	}
	for uri, want := range map[string]bool{
		"/img/containers/images/sha256:" + hex64: true, "/img/containers/images/sha256%3A" + hex64: true, "/img/inventory/head.json": true,
		"/img/inventory/seg/" + hex64: true, "/img/": false, "/img/containers/images/": false, "/containers/images/sha256:" + hex64: false,
		"/img/inventory/lease": false, "/img/inventory/../config/x": false, "/img/containers/images/sha256:" + hex64 + ".bak": false,
	} {
		if got := run(store, true, []event{{"GET", uri}}); got[0] != want {
			t.Errorf("store %s: %v, want %v", uri, got[0], want)
		}
		if got := run(store, true, []event{{"PUT", uri}}); got[0] {
			t.Errorf("store PUT %s passes", uri)
		}
	}
}
