package demo

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNodes checks what registries and stores answer, and what they write into
// their ledgers.
func TestNodes(t *testing.T) {
	w := newTestWorld(t)
	img := w.image
	amd, arm := img.platforms["linux/amd64"], img.platforms["linux/arm64"]
	repo := "/v2/" + upstreamPrefix + "/" + imageName
	nowhere := "sha256:" + strings.Repeat("0", 64)
	tests := []struct {
		name, node, method, path, byteRange string

		status int
		header map[string]string
		body   string // a part of it
		digest string // in the ledger
		bytes  int64
	}{
		{name: "base", node: nodeUS, path: "/v2/", status: 200, body: "{}",
			header: map[string]string{"Docker-Distribution-Api-Version": "registry/2.0"}, bytes: 3},
		{name: "tag", node: nodeUS, path: repo + "/manifests/latest", status: 200, digest: img.index, bytes: 572,
			header: map[string]string{"Content-Type": typeIndex, "Docker-Content-Digest": img.index, "Content-Length": "572"}},
		{name: "tag, head", node: nodeUS, method: "HEAD", path: repo + "/manifests/latest", status: 200, digest: img.index,
			header: map[string]string{"Content-Type": typeIndex, "Docker-Content-Digest": img.index, "Content-Length": "572"}},
		{name: "unknown tag", node: nodeUS, path: repo + "/manifests/2.0", status: 404, body: "MANIFEST_UNKNOWN", bytes: -1},
		{name: "manifest", node: nodeUS, path: repo + "/manifests/" + arm.manifest, status: 200, digest: arm.manifest, bytes: 876,
			header: map[string]string{"Content-Type": typeManifest}},
		{name: "manifest the replica lacks", node: nodeEU, path: repo + "/manifests/" + arm.manifest, status: 404, body: "MANIFEST_UNKNOWN", bytes: -1},
		{name: "blob", node: nodeEU, path: repo + "/blobs/" + amd.blobs["data"], status: 200, digest: amd.blobs["data"], bytes: 485439,
			header: map[string]string{"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}},
		{name: "blob the replica lacks", node: nodeEU, path: repo + "/blobs/" + amd.blobs["runtime"], status: 404, body: "BLOB_UNKNOWN", bytes: -1},
		{name: "resumed blob", node: nodeUS, path: repo + "/blobs/" + amd.blobs["data"], byteRange: "bytes=485000-", status: 206,
			digest: amd.blobs["data"], bytes: 439, header: map[string]string{"Content-Range": "bytes 485000-485438/485439"}},
		{name: "another repository", node: nodeUS, path: "/v2/other/manifests/latest", status: 404, body: "NAME_UNKNOWN", bytes: -1},
		{name: "bad digest", node: nodeUS, path: repo + "/blobs/sha256:1", status: 400, body: "DIGEST_INVALID", bytes: -1},
		{name: "push", node: nodeUS, method: "POST", path: repo + "/blobs/uploads/", status: 405, body: "UNSUPPORTED", bytes: -1},
		{name: "referrers", node: nodeUS, path: repo + "/referrers/" + img.index, status: 200, body: `"manifests":[]`, bytes: 89},
		{name: "all tags", node: nodeUS, path: repo + "/tags/list", status: 200, body: `"tags":["0.9","1.0","latest","stable"]`,
			header: map[string]string{"Link": ""}, bytes: -1},
		{name: "first tags", node: nodeUS, path: repo + "/tags/list?n=2", status: 200, body: `"tags":["0.9","1.0"]`,
			header: map[string]string{"Link": "<" + repo + `/tags/list?last=1.0&n=2>; rel="next"`}, bytes: -1},
		{name: "last tags", node: nodeUS, path: repo + "/tags/list?n=2&last=1.0", status: 200, body: `"tags":["latest","stable"]`,
			header: map[string]string{"Link": ""}, bytes: -1},
		{name: "no tags", node: nodeUS, path: repo + "/tags/list?n=0", status: 200, body: `"tags":[]`,
			header: map[string]string{"Link": ""}, bytes: -1},

		{name: "stored blob", node: nodeSingapore, path: blobRoot + amd.blobs["base"], status: 200, digest: amd.blobs["base"], bytes: 1605780,
			header: map[string]string{"Cache-Control": "public, max-age=31536000, immutable, no-transform"}},
		{name: "stored blob, head", node: nodeSingapore, method: "HEAD", path: blobRoot + amd.blobs["base"], status: 200, digest: amd.blobs["base"],
			header: map[string]string{"Content-Length": "1605780"}},
		{name: "stored blob, escaped colon", node: nodeCDN, path: blobRoot + strings.Replace(amd.blobs["base"], ":", "%3A", 1), status: 200,
			digest: amd.blobs["base"], bytes: 1605780},
		{name: "resumed from a store", node: nodeCDN, path: blobRoot + amd.blobs["base"], byteRange: "bytes=-10", status: 206,
			digest: amd.blobs["base"], bytes: 10},
		{name: "missing in the store", node: nodeSingapore, path: blobRoot + amd.blobs["data"], status: 403, body: "AccessDenied", bytes: -1},
		{name: "missing in the store, head", node: nodeSingapore, method: "HEAD", path: blobRoot + amd.blobs["data"], status: 403},
		{name: "made up", node: nodeVirginia, path: blobRoot + nowhere, status: 403, body: "AccessDenied", bytes: -1},
		{name: "made up, Azure", node: nodeAzure, path: blobRoot + nowhere, status: 404, body: "BlobNotFound", bytes: -1},
		{name: "beside the blobs", node: nodeVirginia, path: "/" + amd.blobs["base"], status: 403, bytes: -1},
		{name: "put", node: nodeVirginia, method: "PUT", path: blobRoot + nowhere, status: 405, bytes: -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := w.node(tt.node)
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			var got entry
			l := newLedger(n.name, func(e entry) { got = e })
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Header.Set("User-Agent", agent+"somebody")
			if tt.byteRange != "" {
				r.Header.Set("Range", tt.byteRange)
			}
			rec := httptest.NewRecorder()
			l.wrap(n.handler).ServeHTTP(rec, r)
			if rec.Code != tt.status {
				t.Errorf("status %d, want %d", rec.Code, tt.status)
			}
			for name, want := range tt.header {
				if got := rec.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if !strings.Contains(rec.Body.String(), tt.body) {
				t.Errorf("body %q lacks %q", rec.Body, tt.body)
			}
			if tt.bytes < 0 { // an error or a list: its length does not matter
				tt.bytes = int64(rec.Body.Len())
			}
			want := entry{n.name, agent + "somebody", tt.method, tt.digest, tt.status, tt.bytes}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
			sent := map[string]int64{}
			if tt.digest != "" && tt.method == http.MethodGet {
				sent[tt.digest] = tt.bytes
			}
			if diff := cmp.Diff(sent, l.sent(t.Context(), "somebody")); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLedgerForgets checks that a ledger is bounded, because a demo may run for
// weeks.
func TestLedgerForgets(t *testing.T) {
	l := newLedger("x", nil)
	h := l.wrap(func(http.ResponseWriter, *http.Request) string { return "" })
	for range 3 * ledgerSize {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	if n := len(l.entries); n > ledgerSize {
		t.Errorf("%d entries", n)
	}
}

// TestFront checks that the front works like a load balancer: whatever a client
// claims, the last entry of the header is its real address.
func TestFront(t *testing.T) {
	tests := []struct {
		name   string
		claims []string
		want   string
	}{
		{"nothing", nil, "127.0.0.1"},
		{"one", []string{"192.0.2.7"}, "192.0.2.7, 127.0.0.1"},
		{"a list", []string{"192.0.2.7, 192.0.2.8"}, "192.0.2.7, 192.0.2.8, 127.0.0.1"},
		{"two headers", []string{"192.0.2.7", "192.0.2.8"}, "192.0.2.7, 192.0.2.8, 127.0.0.1"},
		{"an open end", []string{"192.0.2.7,"}, "192.0.2.7,, 127.0.0.1"},
	}
	var got []string
	var path string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, path = r.Header.Values(headerForwarded), r.URL.RequestURI()
	}))
	defer proxy.Close()
	transport := newTransport()
	defer transport.CloseIdleConnections()
	front := httptest.NewServer(newFront(proxy.Listener.Addr().String(), transport))
	defer front.Close()
	const target = "/v2/sample/app/tags/list?n=1"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header[headerForwarded] = tt.claims
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			drain(res.Body)
			_ = res.Body.Close()
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if path != target {
				t.Errorf("the proxy saw %s", path)
			}
		})
	}
}
