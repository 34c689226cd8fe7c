package fastly

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"ociproxy/internal/accesslog"
	"ociproxy/test/parts"
)

const (
	digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	blob   = "/containers/images/" + digest
	long   = "/containers/images/sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
	broken = "/inventory/seg/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
)

func vcl(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "deploy/fastly/store.vcl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fastlyOnly is what Varnish cannot run.
var fastlyOnly = regexp.MustCompile(`(?ms)^ *# Fastly only$.*?^ *# end$`)

// spelled are the statements that Varnish writes in another way, in this order.
var spelled = [][2]string{
	{"#FASTLY ", "# "},
	{"return(lookup);", "return (hash);"},
	{"return(hash);", "return (lookup);"},
	{"return(pass);", "set beresp.uncacheable = true; return (deliver);"},
	{"set beresp.cacheable = true;", ""}, // Varnish caches every status that has a ttl
	{"set req.hash += req.url;", "hash_data(req.url);"},
	{"set req.hash += req.http.host;", "hash_data(req.http.host);"},
	{`error 405 "Method Not Allowed";`, `return (synth(405, "Method Not Allowed"));`},
	{`error 403 "Forbidden";`, `return (synth(403, "Forbidden"));`},
	{"sub vcl_fetch", "sub vcl_backend_response"},
	{"if (req.url ~ \"^/containers/images/\") {\n    set beresp", "if (bereq.url ~ \"^/containers/images/\") {\n    set beresp"},
}

// varnish returns the file as Varnish takes it. Each spelling must be there, so that none goes stale.
func varnish(t *testing.T, text, origin string) string {
	t.Helper()
	text = fastlyOnly.ReplaceAllString(text, "")
	for _, s := range spelled {
		if !strings.Contains(text, s[0]) {
			t.Errorf("store.vcl has no %q", s[0])
		}
		text = strings.ReplaceAll(text, s[0], s[1])
	}
	host, port, _ := strings.Cut(origin, ":")
	return fmt.Sprintf("vcl 4.1;\nbackend default { .host = %q; .port = %q; }\n%s", host, port, text)
}

// bucket is the store behind the cache.
type bucket struct {
	mu   sync.Mutex
	seen []string
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.seen = append(b.seen, r.Method+" "+r.URL.String()+r.Header.Get("Cookie")+r.Header.Get("Authorization"))
	b.mu.Unlock()
	switch r.URL.Path {
	case blob, long:
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable, no-transform")
		fmt.Fprint(w, "hello")
	case "/inventory/head.json":
		w.Header().Set("Cache-Control", "no-cache")
		fmt.Fprint(w, "{}")
	case broken:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

// since returns the requests after the first n.
func (b *bucket) since(n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen[n:])
}

// TestCache: what the cache lets through, and what it asks the bucket for.
func TestCache(t *testing.T) {
	var b bucket
	origin := httptest.NewServer(&b)
	t.Cleanup(origin.Close)
	file := filepath.Join(t.TempDir(), "store.vcl")
	if err := os.WriteFile(file, []byte(varnish(t, vcl(t), origin.Listener.Addr().String())), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := parts.FreeAddr(t)
	parts.Start(t, parts.Spec{Path: parts.Find(t, "varnishd"),
		Args:  []string{"-F", "-a", addr, "-f", file, "-n", parts.ShortDir(t), "-s", "malloc,16m", "-j", "none"},
		Ready: parts.Dial("tcp", addr)})
	absent := "/containers/images/sha256:" + strings.Repeat("0", 64)
	for _, tt := range []struct {
		what, method, path string
		status             int
		asks               []string
	}{
		{"a blob", "GET", blob, 200, []string{"GET " + blob}},
		{"the same with a query", "GET", blob + "?x=1", 200, nil},
		{"the same, escaped", "GET", strings.Replace(blob, "sha256:", "sha256%3A", 1), 200, nil},
		{"its headers", "HEAD", blob, 200, nil},
		{"a blob that is not there", "GET", absent, 403, []string{"GET " + absent}},
		{"the same a moment later", "GET", absent, 403, nil},
		{"the head of the inventory", "GET", "/inventory/head.json", 200, []string{"GET /inventory/head.json"}},
		{"the head again", "GET", "/inventory/head.json", 200, []string{"GET /inventory/head.json"}},
		{"a bucket that fails", "GET", broken, 503, []string{"GET " + broken}},
		{"the same again", "GET", broken, 503, []string{"GET " + broken}},
		{"a blob by sha512", "GET", long, 200, []string{"GET " + long}},
		{"the same, escaped", "GET", strings.Replace(long, "sha512:", "sha512%3a", 1), 200, nil},
		{"another object beside the inventory", "GET", "/inventory/other", 403, nil},
		{"two slashes", "GET", "/" + blob, 403, nil},
		{"a list", "GET", "/?list-type=2", 403, nil},
		{"another object", "GET", "/config/rings/a.json", 403, nil},
		{"a way out", "GET", "/inventory/../config", 403, nil},
		{"a digest that is too short", "GET", "/containers/images/sha256:00", 403, nil},
		{"an upload", "PUT", blob, 405, nil},
		{"a deletion", "DELETE", blob, 405, nil},
	} {
		before := len(b.since(0))
		if got := ask(t, tt.method, "http://"+addr+tt.path); got != tt.status {
			t.Errorf("%s: status %d, want %d", tt.what, got, tt.status)
		}
		if got := b.since(before); !slices.Equal(got, tt.asks) {
			t.Errorf("%s: the bucket got %q, want %q", tt.what, got, tt.asks)
		}
	}
}

// ask sends a request with what a client should not send, and returns the status.
func ask(t *testing.T, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", "a=b")
	req.Header.Set("Authorization", "Bearer x")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestFastlyOnly: what cannot run here is at least there.
func TestFastlyOnly(t *testing.T) {
	only := strings.Join(fastlyOnly.FindAllString(vcl(t), -1), "\n")
	for _, want := range []string{"set req.enable_segmented_caching = true;", "!segmented_caching.is_inner_req", "fastly.ff.visits_this_service == 0", `"FASTLYPURGE"`, `set req.http.Fastly-Purge-Requires-Auth = "1";`} {
		if !strings.Contains(only, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, macro := range []string{"recv", "hash", "fetch", "deliver", "log"} {
		if strings.Count(vcl(t), "\n#FASTLY "+macro+"\n") != 1 {
			t.Errorf("want the macro %s once, in a line of its own: Fastly puts its own code there", macro)
		}
	}
}

// TestLog: replay reads the line that the log statement writes.
func TestLog(t *testing.T) {
	_, statement, _ := strings.Cut(vcl(t), "    log ")
	statement, _, _ = strings.Cut(statement, ";\n  }")
	values := map[string]string{
		"req.service_id": "S", `strftime({"%Y-%m-%dT%H:%M:%SZ"}, time.start)`: "2026-11-30T12:00:00Z", "json.escape(req.method)": "GET",
		"json.escape(req.http.host)": "layers.example.org", "json.escape(req.url)": blob, "resp.status": "206", "resp.bytes_written": "4096",
		"json.escape(req.http.User-Agent)": "containerd/2.1", "client.ip": "198.51.100.7", "json.escape(req.proto)": "HTTP/2",
		"time.elapsed.msec": "12", `if(fastly_info.state ~ "^HIT", "true", "false")`: "true", "server.datacenter": "FRA", "fastly_info.state": "HIT-CLUSTER",
		"json.escape(req.http.Range)": "bytes=0-4095", "tls.client.protocol": "TLSv1.3",
	}
	var line strings.Builder
	for rest := strings.TrimSpace(statement); rest != ""; rest = strings.TrimSpace(rest) {
		after, long := strings.CutPrefix(rest, `{"`)
		end := `"}` // of a long string: the first one
		if !long {
			after, end = strings.TrimPrefix(rest, `"`), `"`
		}
		if after != rest {
			text, more, ok := strings.Cut(after, end)
			if !ok {
				t.Fatalf("no end of the string %q", rest)
			}
			line.WriteString(text)
			rest = more
			continue
		}
		found := ""
		for name := range values {
			if strings.HasPrefix(rest, name) && len(name) > len(found) {
				found = name
			}
		}
		if found == "" {
			t.Fatalf("what is %q?", rest)
		}
		line.WriteString(values[found])
		rest = rest[len(found):]
	}
	_, entry, _ := strings.Cut(line.String(), " :: ")
	var r accesslog.Reader
	var got []accesslog.Record
	err := r.Read(context.Background(), "fastly", strings.NewReader(entry+"\n"), func(rec *accesslog.Record) error {
		got = append(got, *rec)
		return nil
	})
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %+v of %s", err, r.Stats(), entry)
	}
	if g := got[0]; g.Method != "GET" || g.Path != blob || g.Status != 206 || g.Sent != 4096 || g.Client.String() != "198.51.100.7" ||
		g.UserAgent != "containerd/2.1" || g.Host != "layers.example.org" {
		t.Errorf("%+v", g)
	}
}
