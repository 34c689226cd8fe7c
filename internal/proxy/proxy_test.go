package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	absent = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
)

// origin is an upstream or a store that holds everything but `absent`.
type origin struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
	tags http.HandlerFunc
	// inventory serves what is below /inventory/.
	inventory http.Handler
	lacks     []string
	instead   http.HandlerFunc // answers all but inventories
	empty     bool             // the blob of the empty digest really is empty
}

// say replaces the origin's answers; nil restores them.
func (o *origin) say(instead http.HandlerFunc) {
	o.mu.Lock()
	o.instead = instead
	o.mu.Unlock()
}

func (o *origin) forget() {
	o.mu.Lock()
	o.seen = nil
	o.mu.Unlock()
}

func (o *origin) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.seen = append(o.seen, r.Method+" "+r.URL.String())
	tags, inventory, lacks, empty, instead := o.tags, o.inventory, o.lacks, o.empty, o.instead
	o.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, "/inventory/") && inventory != nil:
		http.StripPrefix("/inventory", inventory).ServeHTTP(rw, r)
	case instead != nil:
		instead(rw, r)
	case slices.ContainsFunc(lacks, func(d string) bool { return strings.HasSuffix(r.URL.Path, d) }):
		rw.WriteHeader(http.StatusNotFound)
	case strings.HasSuffix(r.URL.Path, "/tags/list") && tags != nil:
		tags(rw, r)
	case strings.Contains(r.URL.Path, absent):
		rw.WriteHeader(http.StatusForbidden)
	case empty && strings.HasSuffix(r.URL.Path, digest):
		rw.Header().Set("Content-Length", "0")
	default:
		rw.Header().Set("Content-Length", "1000")
	}
}

func (o *origin) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.seen...)
}

func newOrigin(t testing.TB) *origin {
	o := &origin{}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

// world of the tests: canonical in the US, a replica in Europe, a store in Virginia and one for the internet.
type testWorld struct {
	us, eu, va, cdn *origin
	server          *Server
	log             *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const yaml = `version: 1
client: {behind: {header: X-Forwarded-For, entry: 1}, whoami: true}
pages: {home: "https://example.org/registry"}
limits: {checkTimeout: 5s, drain: 0s}
ranges:
  overrides:
    - {cidr: 192.0.2.0/24, place: aws/us-east-1}
    - {cidr: "2001:db8::/32", place: aws/us-east-1}
    - {cidr: 198.51.100.0/24, place: gcp/europe-west1}
upstreams:
  - {name: us, url: "US", insecure: true, prefix: p/i, place: gcp/us-central1, canonical: true}
  - {name: eu, url: "EU", insecure: true, prefix: p/i, place: gcp/europe-west1}
stores:
  - {name: va, url: "VA/b/{digest}", insecure: true, place: aws/us-east-1, serves: [aws]}
  - {name: cdn, url: "CDN/b/{digest}", insecure: true, cdn: cloudfront, serves: [internet]}
deny: {repositories: [secret], digests: ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]}
`

func newWorld(t testing.TB, edit ...string) *testWorld {
	t.Helper()
	w := &testWorld{us: newOrigin(t), eu: newOrigin(t), va: newOrigin(t), cdn: newOrigin(t), log: &lockedBuffer{}}
	cfg, err := config.Parse("test.yaml", []byte(w.config(edit...)))
	if err != nil {
		t.Fatal(err)
	}
	w.server, err = New(Options{Config: cfg, Logger: slog.New(slog.NewJSONHandler(w.log, nil)), Client: &http.Client{Transport: &http.Transport{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	return w
}

func (w *testWorld) config(edit ...string) string {
	urls := strings.NewReplacer(`"US"`, quote(w.us), `"EU"`, quote(w.eu), "VA/", w.va.URL+"/", "CDN/", w.cdn.URL+"/")
	return urls.Replace(strings.NewReplacer(edit...).Replace(yaml))
}

func quote(o *origin) string { return `"` + o.URL + `"` }

// ask sends one request as a client of the given address, through the wire format so that nothing is cleaned up.
func (w *testWorld) ask(t testing.TB, client, request string, headers ...string) *http.Response {
	t.Helper()
	srv := httptest.NewServer(w.server.Handler())
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	method, target, _ := strings.Cut(request, " ")
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: registry.example\r\nX-Forwarded-For: %s\r\nConnection: close\r\n", method, target, client)
	for _, h := range headers {
		fmt.Fprintf(conn, "%s\r\n", h)
	}
	fmt.Fprint(conn, "\r\n")
	data, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(method, "http://registry.example/", nil)
	resp, err := http.ReadResponse(newReader(data), req)
	if err != nil {
		t.Fatalf("%s: %v in %q", request, err, data)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const (
	awsClient  = "192.0.2.9"
	gcpClient  = "198.51.100.9"
	homeClient = "203.0.113.9"
)

// another returns an AWS client of a network that never asked before.
func another() string { return fmt.Sprintf("2001:db8:%x::1", 0x1000+networks.Add(1)) } // tests use some below 0x1000

var networks atomic.Int32

func TestRequests(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		client, request string
		status          int
		location        string // with {us}, {eu}, {va}, {cdn}
		code            string // OCI error code
	}{
		{awsClient, "GET /v2/", 200, "", ""},
		{awsClient, "HEAD /v2", 200, "", ""},
		{awsClient, "GET /v2/a/b/blobs/" + digest, 307, "{va}/b/" + digest, ""},
		{awsClient, "HEAD /v2/a/b/blobs/" + digest, 307, "{va}/b/" + digest, ""},
		{another(), "GET /v2/a/b/blobs/" + strings.Replace(digest, ":", "%3A", 1), 307, "{va}/b/" + digest, ""},
		{another(), "GET /v2/a/b/blobs/" + digest + "?ns=docker.io", 307, "{va}/b/" + digest, ""},
		{awsClient, "GET /v2/a/b/blobs/" + absent, 307, "{us}/v2/p/i/a/b/blobs/" + absent, ""},
		{homeClient, "GET /v2/a/b/blobs/" + digest, 307, "{cdn}/b/" + digest, ""},
		{gcpClient, "GET /v2/a/b/blobs/" + digest, 307, "{eu}/v2/p/i/a/b/blobs/" + digest, ""},
		{gcpClient, "GET /v2/a/b/blobs/" + absent, 307, "{us}/v2/p/i/a/b/blobs/" + absent, ""},
		{gcpClient, "GET /v2/a/manifests/v1", 307, "{eu}/v2/p/i/a/manifests/v1", ""},
		{gcpClient, "GET /v2/a/manifests/" + digest, 307, "{eu}/v2/p/i/a/manifests/" + digest, ""},
		{awsClient, "GET /v2/a/manifests/" + digest, 307, "{us}/v2/p/i/a/manifests/" + digest, ""},
		{gcpClient, "GET /v2/a/manifests/" + strings.Replace(digest, ":", "-", 1) + ".sig", 307, "{us}/v2/p/i/a/manifests/" + strings.Replace(digest, ":", "-", 1) + ".sig", ""},
		{gcpClient, "GET /v2/a/referrers/" + digest + "?artifactType=application/spdx%2Bjson&x=1", 307, "{us}/v2/p/i/a/referrers/" + digest + "?artifactType=application%2Fspdx%2Bjson", ""},
		{awsClient, "GET /v2/secret/manifests/v1", 403, "", "DENIED"},
		{awsClient, "GET /v2/a/blobs/sha256:" + strings.Repeat("1", 64), 403, "", "DENIED"},
		{awsClient, "GET /v2/_catalog", 404, "", "UNSUPPORTED"},
		{awsClient, "GET /v2/A/manifests/v1", 400, "", "NAME_INVALID"},
		{awsClient, "GET /v2/a/blobs/sha256:12", 400, "", "DIGEST_INVALID"},
		{awsClient, "GET /v2/a/manifests/.x", 404, "", "MANIFEST_UNKNOWN"},
		{awsClient, "POST /v2/a/blobs/uploads/", 405, "", "UNSUPPORTED"},
		{awsClient, "DELETE /v2/a/manifests/v1", 405, "", "UNSUPPORTED"},
		{awsClient, "GET /", 307, "https://example.org/registry", ""},
		{awsClient, "GET /privacy", 404, "", "UNSUPPORTED"},
		{awsClient, "GET /-/live/", 200, "", ""},
		{awsClient, "GET /v2/a/tags/list?last=%zz", 400, "", "UNSUPPORTED"},
		{awsClient, "GET //", 404, "", "UNSUPPORTED"},
		{awsClient, "GET /privacy//", 404, "", "UNSUPPORTED"},
		{awsClient, "GET /robots.txt", 404, "", "UNSUPPORTED"},
		{awsClient, "GET /v3/", 404, "", "UNSUPPORTED"},
		{awsClient, "GET /-/live", 200, "", ""},
		{awsClient, "GET /-/ready", 200, "", ""},
	}
	places := strings.NewReplacer("{us}", w.us.URL, "{eu}", w.eu.URL, "{va}", w.va.URL, "{cdn}", w.cdn.URL)
	for _, tt := range tests {
		t.Run(tt.client+" "+tt.request, func(t *testing.T) {
			resp := w.ask(t, tt.client, tt.request)
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if got, want := resp.Header.Get("Location"), places.Replace(tt.location); got != want {
				t.Errorf("Location %q, want %q", got, want)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			got := body(t, resp)
			if tt.status == 307 && (got != "" || resp.Header.Get("Content-Length") != "0") {
				t.Errorf("a redirect with a body: %q", got)
			}
			if tt.code != "" && !strings.HasPrefix(tt.request, "HEAD") {
				var e struct {
					Errors []struct{ Code, Message string }
				}
				if err := json.Unmarshal([]byte(got), &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Code != tt.code {
					t.Errorf("body %s, want code %s", got, tt.code)
				}
			}
			if tt.status == 405 && resp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", resp.Header.Get("Allow"))
			}
		})
	}
}

// People add a slash at the end of a page.
func TestPagesWithASlash(t *testing.T) {
	w := newWorld(t, `pages: {home: "https://example.org/registry"}`, `pages: {home: "https://example.org/registry", privacy: "https://example.org/privacy", status: "https://status.example.net/index.html"}`)
	for request, want := range map[string]string{
		"GET /":         "https://example.org/registry",
		"GET /privacy":  "https://example.org/privacy",
		"GET /privacy/": "https://example.org/privacy",
		"GET /-/status": "https://status.example.net/index.html",
	} {
		if resp := w.ask(t, awsClient, request); resp.Header.Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", request, resp.StatusCode, resp.Header.Get("Location"), want)
		}
	}
}

// HEAD has the status and headers of GET and no body.
func TestHeadEqualsGet(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v2/", "/v2/A/manifests/v1", "/v2/a/blobs/" + digest, "/v2/_catalog", "/-/ready"} {
		get, head := w.ask(t, awsClient, "GET "+path), w.ask(t, awsClient, "HEAD "+path)
		if b := body(t, head); b != "" {
			t.Errorf("HEAD %s has a body: %q", path, b)
		}
		get.Header.Del("Date")
		head.Header.Del("Date")
		if fmt.Sprint(get.Status, get.Header) != fmt.Sprint(head.Status, head.Header) {
			t.Errorf("%s\nGET  %s %v\nHEAD %s %v", path, get.Status, get.Header, head.Status, head.Header)
		}
	}
}

// No input of a client can change where a Location leads.
func TestTricks(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("a", 8<<10)
	for _, request := range []string{
		"GET /v2/../../x", "GET /v2/%2e%2e/x/manifests/v1", "GET /v2/a%2Fb/manifests/v1", "GET /v2//a/manifests/v1",
		"GET //v2/a/manifests/v1", "GET /v2/a;x/manifests/v1", "GET /v2/a%00/manifests/v1", "GET /v2/a%0d%0aX:y/manifests/v1",
		"GET /v2/" + long + "/manifests/v1", "GET /v2/a/manifests/v1%0aLocation:x", "GET /v2/a/manifests/" + long,
		"GET /v2/a/blobs/" + digest + "/", "GET /v2/a/blobs/" + digest + "%23", "GET /v2/@evil.example/manifests/v1",
		"GET http://evil.example/v2/../x", "GET /%2e%2e/v2/a/manifests/v1", `GET /v2/a\b/manifests/v1`, "GET /V2/a/manifests/v1",
	} {
		resp := w.ask(t, awsClient, request)
		if resp.StatusCode < 400 || resp.Header.Get("Location") != "" {
			t.Errorf("%.60s: %d, Location %q", request, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	// The absolute form and an unusual Host are legal. Neither appears in the answer.
	for _, headers := range [][]string{nil, {"X-Forwarded-Host: evil.example"}, {"X-Original-URL: /v2/evil"}} {
		resp := w.ask(t, another(), "GET http://evil.example/v2/a/blobs/"+digest, headers...)
		if got := resp.Header.Get("Location"); got != w.va.URL+"/b/"+digest {
			t.Errorf("Location %q", got)
		}
	}
}

func TestASpooferGainsNothing(t *testing.T) {
	w := newWorld(t)
	resp := w.ask(t, awsClient+", "+homeClient, "GET /v2/a/blobs/"+digest) // the front appended the last entry
	if got := resp.Header.Get("Location"); got != w.cdn.URL+"/b/"+digest {
		t.Errorf("Location %q, want the store of the address that the front saw", got)
	}
}

func TestOneCheckPerDigest(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.ask(t, another(), "GET /v2/a/blobs/"+digest)
		w.ask(t, another(), "GET /v2/other/blobs/"+digest)
	}
	if got := w.va.requests(); len(got) != 1 || got[0] != "HEAD /b/"+digest {
		t.Errorf("the store was asked %v, want one HEAD", got)
	}
}

func TestCheckURL(t *testing.T) {
	w := newWorld(t, `cdn: cloudfront, `, `cdn: cloudfront, check: "VA/origin/{digest}", `)
	resp := w.ask(t, homeClient, "GET /v2/a/blobs/"+digest)
	if got := resp.Header.Get("Location"); got != w.cdn.URL+"/b/"+digest {
		t.Errorf("Location %q", got)
	}
	if got := w.va.requests(); len(got) != 1 || got[0] != "HEAD /origin/"+digest {
		t.Errorf("asked %v, want the check URL", got)
	}
	if got := w.cdn.requests(); len(got) != 0 {
		t.Errorf("the CDN itself was asked: %v", got)
	}
}

func TestMaxRPS(t *testing.T) {
	w := newWorld(t, "canonical: true}", "canonical: true, maxRPS: 0.001}")
	if resp := w.ask(t, awsClient, "GET /v2/a/manifests/v1"); resp.StatusCode != 307 {
		t.Fatalf("first: %d", resp.StatusCode)
	}
	resp := w.ask(t, awsClient, "GET /v2/a/manifests/v1")
	if resp.StatusCode == 307 && strings.HasPrefix(resp.Header.Get("Location"), w.us.URL) {
		t.Errorf("over its quota, but sent there")
	}
	resp = w.ask(t, awsClient, "GET /v2/a/referrers/"+digest) // only canonical may answer
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q, want 429", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

func TestMetricsAndBytes(t *testing.T) {
	w := newWorld(t)
	w.ask(t, awsClient, "GET /v2/a/blobs/"+digest)
	w.ask(t, another(), "GET /v2/a/blobs/"+digest, "Range: bytes=0-")
	w.ask(t, another(), "GET /v2/a/blobs/"+digest, "Range: bytes=500-")
	w.ask(t, awsClient, "HEAD /v2/a/blobs/"+digest)
	w.ask(t, homeClient, "GET /v2/A/x")
	rec := httptest.NewRecorder()
	w.server.AdminHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`ociproxy_redirects_total{candidate="va",cloud="aws",reason="nearest",region="us-east-1"} 4`,
		`ociproxy_redirected_bytes_total{candidate="va",cloud="aws",reason="nearest",region="us-east-1"} 2500`,
		`ociproxy_requests_total{code="307",kind="blob"} 4`,
		`ociproxy_requests_total{code="404",kind="invalid"} 1`,
		`ociproxy_client_address_total{source="header"} 4`,
		`ociproxy_existence_checks_total{candidate="va",result="held"} 1`,
		`ociproxy_existence_entries 1`,
		`ociproxy_config_info{deployment="",generation="0",hash="` + w.server.wiring.Load().cfg.Hash + `",ring=""} 1`,
	} {
		if !strings.Contains(rec.Body.String(), line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
}

func TestRequestLog(t *testing.T) {
	w := newWorld(t)
	w.ask(t, awsClient, "GET /v2/a/blobs/"+digest, "User-Agent: containerd/2.0")
	var line map[string]any
	if err := json.Unmarshal([]byte(w.log.String()), &line); err != nil {
		t.Fatalf("log %q: %v", w.log.String(), err)
	}
	for k, want := range map[string]any{
		"msg": "request", "kind": "blob", "status": 307.0, "weight": 1.0, "client": "192.0.2.0/24", "place": "aws/us-east-1",
		"candidate": "va", "reason": "nearest", "bytes": 1000.0, "user_agent": "containerd/2.0", "address_source": "header",
	} {
		if line[k] != want {
			t.Errorf("%s = %v, want %v", k, line[k], want)
		}
	}
}

func TestWhoami(t *testing.T) {
	w := newWorld(t)
	got := body(t, w.ask(t, gcpClient, "GET /-/whoami"))
	if want := `{"address":"198.51.100.9","source":"header","place":"gcp/europe-west1","by":"override"}` + "\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"": "va", "/v2/a/blobs/" + digest: "va", "/v2/a/blobs/" + absent: "us", "/v2/a/manifests/v1": "us", "/v2/a/tags/list": "us",
	} {
		e, err := w.server.Explain(t.Context(), netip.MustParseAddr(awsClient), path)
		if err != nil {
			t.Fatal(err)
		}
		if e.Answer.Candidate != want || e.Place != "aws/us-east-1" || len(e.Candidates) != 4 {
			t.Errorf("%s: %+v", path, e)
		}
		var text bytes.Buffer
		if err := e.WriteText(&text); err != nil || !strings.Contains(text.String(), "192.0.2.0/24 of overrides") {
			t.Errorf("text: %v\n%s", err, text.String())
		}
	}
	if _, err := w.server.Explain(t.Context(), netip.MustParseAddr(awsClient), "/v2/../x"); err == nil {
		t.Error("a bad path is explained")
	}
}

func TestClassesAreTheKinds(t *testing.T) {
	for _, k := range oci.Kinds() {
		if got := classNames[classOf(k)]; got != k.String() {
			t.Errorf("class of %s is %s", k, got)
		}
	}
}
