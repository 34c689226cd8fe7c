package probe_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/proxy"
)

// ownPage is a line of haproxy that replaces a registry's errors.
const ownPage = `http-response return status 404 content-type text/plain string "not here" if { status 404 }`

// faults are what operators get wrong in a front, a store or a registry, as far as real programs can be made to do it.
func faults(t *testing.T, w *world) []broken {
	t.Helper()
	lines := func(host string, lines ...string) *fault { return &fault{lines: map[string][]string{host: lines}} }
	json := `content-type application/json string`
	layer := w.image.Arch["amd64"].Blobs[0]
	for _, b := range w.image.Arch["amd64"].Blobs {
		if b.Size > layer.Size {
			layer = b // the biggest: as other clients than itself, the probe asks for that and the smallest
		}
	}
	return []broken{
		{name: "certificate ends soon", check: "tls.expiry", detail: "in 3.0 days",
			front: &fault{certs: map[string]string{farHost: w.authority.Issue(t, 72*time.Hour, farHost).Together}}},
		{name: "certificate ended", check: "tls", detail: "expired",
			front: &fault{certs: map[string]string{farHost: w.authority.Issue(t, -time.Minute, farHost).Together}}},
		{name: "certificate of another name", check: "tls", detail: "not " + name,
			front: &fault{certs: map[string]string{name: w.authority.Issue(t, time.Hour, "other.example.test").Together}}},
		{name: "no HTTP/2", check: "h2", detail: "no HTTP/2", front: &fault{options: map[string]string{name: "alpn http/1.1"}}},
		{name: "no HTTP/1.1", check: "http1", detail: "", front: lines(farHost, "http-request silent-drop if HTTP_1.1"),
			args: []string{"--request-timeout", "2s"}},
		{name: "IPv6 of the name is broken", check: "ipv6", detail: "refused", front: &fault{binds: map[string][]string{name: {"127.0.0.1"}}}},
		{name: "IPv6 of a store is broken", check: "ipv6", detail: "refused", front: &fault{binds: map[string][]string{farHost: {"127.0.0.1"}}}},
		{name: "IPv4 of a store is broken", check: "ipv4", detail: "refused", front: &fault{binds: map[string][]string{farHost: {"[::1]"}}}},
		{name: "the clock of the front is wrong", check: "clock", detail: "differ by",
			front: lines(name, `http-response set-header Date "Mon, 30 Nov 2020 00:00:00 GMT"`)},
		{name: "the front wants a login", check: "ping", detail: "401", front: lines(name, "http-request return status 401")},
		{name: "the front drops the identity", check: "identity", detail: "does not take notice", front: lines(name, "http-request del-header Oci-Proxy-Probe")},
		{name: "the front writes another address", check: "address", detail: "another address",
			front: lines(name, "http-request set-header X-Forwarded-For 198.18.128.9")},
		{name: "the front lets answers be cached", check: "cache-control", detail: "no-store",
			front: lines(name, `http-response set-header Cache-Control "public, max-age=60"`)},
		{name: "the front answers HEAD itself", check: "head", detail: "Docker-Content-Digest",
			front: lines(name, "http-request return status 200 if METH_HEAD { path_sub /manifests/sha256: }")},
		{name: "the front lets uploads through", check: "method", detail: "202", front: lines(name, "http-request return status 202 if METH_POST")},
		{name: "the front has a catalog", check: "catalog", detail: "200",
			front: lines(name, `http-request return status 200 `+json+` "{}" if { path /v2/_catalog }`)},
		{name: "the front breaks on odd paths", check: "path", detail: "502", front: lines(name, "http-request return status 502 if { path_sub etc/passwd }")},
		{name: "the front has its own error pages", check: "unknown.tag", detail: "not an error of the specification",
			front: &fault{lines: map[string][]string{"canonical": {ownPage}, "replica": {ownPage}}}},
		{name: "the front fails for what is not there", check: "unknown.repository", detail: "503",
			front: lines(name, "http-request return status 503 if { path_sub /oci-proxy-probe/ }")},
		{name: "a list of tags that loops", check: "tags", detail: "loops",
			front: lines(name, `http-request return status 200 `+json+` "{}" hdr Link "</v2/app/tags/list?last=x>; rel=\"next\"" if { path_end /tags/list }`)},
		{name: "a tag that is gone", check: "tag", detail: "404", args: []string{"--image", "app:9.9"}},
		{name: "a manifest that is gone", check: "coherence", detail: "404",
			front: lines(name, "http-request return status 404 if { path_end "+w.image.Arch["arm64"].Digest+" }")},
		{name: "a manifest with other bytes", check: "manifest", detail: "are others",
			front: lines(name, `http-request return status 200 `+json+` "{}" if METH_GET { path_end `+w.image.Arch["amd64"].Digest+` }`)},
		{name: "a layer that is gone for another platform", check: "coherence", detail: "blob",
			front: lines(nearHost, "http-request return status 404 if { path_end "+w.image.Arch["arm64"].Blobs[0].Digest+" }")},
		{name: "no signature", check: "signature", detail: "no signature", args: []string{"--signed"}},
		{name: "a store answers 400 to ranges", check: "blob", detail: "400",
			front: lines(farHost, "http-request return status 400 if { req.hdr(range) -m found }")},
		{name: "a store starts again at a resumed pull", check: "resume", detail: "200, want 206",
			front: lines(nearHost, "http-request del-header Range if { req.hdr(range) -m end -- - }")},
		{name: "a store has no open range", check: "range.open", detail: "200",
			front: lines(nearHost, "http-request del-header Range if { req.hdr(range) -m end -- - }")},
		{name: "a store has no first byte", check: "range.first", detail: "403", front: lines(nearHost, `http-request return status 403 if { req.hdr(range) -m str "bytes=0-0" }`)},
		{name: "a store has no last bytes", check: "range.suffix", detail: "400", front: lines(nearHost, `http-request return status 400 if { req.hdr(range) -m beg "bytes=-" }`)},
		{name: "a web page instead of blobs", check: "blob", detail: "HTML",
			front: lines(farHost, `http-request return status 200 content-type text/html string "<html></html>"`)},
		{name: "a store redirects to plain HTTP", check: "blob", detail: "redirects from https",
			front: lines(farHost, "http-request redirect code 302 location http://"+farHost+"/x")},
		{name: "a blob is missing in a store", check: "blob", detail: "404", front: lines(farHost, "http-request return status 404 if METH_GET { path_end "+layer.Digest+" }")},
		{name: "made-up digests get 200", check: "unknown.digest", detail: "200",
			front: lines("canonical", "http-response return status 200 if { status 404 }")},
		{name: "a blob has other bytes", check: "layer", detail: "are others", change: func(t *testing.T) func() {
			file := w.near.File("blobs", "containers/images/"+layer.Digest)
			good, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bad := append([]byte(nil), good...)
			bad[len(bad)/2] ^= 1
			save := func(data []byte) {
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			save(bad)
			return func() { save(good) }
		}},
		{name: "a replica is behind", check: "tag.same", detail: "for self", change: func(t *testing.T) func() {
			image.New(t, 2, 10<<10, 20<<10).Push(t, w.canonical.Addr, "app", "1.0")
			return func() { w.image.Push(t, w.canonical.Addr, "app", "1.0") }
		}},
		{name: "a host that is not published", check: "endpoint", detail: farHost, args: []string{"--endpoints", w.list(t, farHost)}},
		{name: "another config than the given one", check: "decision", detail: "the config says", args: []string{"--config", w.other(t), "--as", "aws/us-east-1"}},
		{name: "bounds that are too small", check: "budget", detail: "30 requests", args: []string{"--max-requests", "30"}},
	}
}

// list writes the list of hosts that the config publishes, without one of them.
func (w *world) list(t *testing.T, without string) string {
	t.Helper()
	ran := ctl.Run(t, ctl.Limit, nil, "endpoints", "ls", "--config", w.proxy.File, "--output", "json")
	var list map[string]any
	if err := json.Unmarshal([]byte(ran.Stdout), &list); err != nil {
		t.Fatalf("%v\n%s", err, ran)
	}
	list["endpoints"] = slices.DeleteFunc(list["endpoints"].([]any), func(e any) bool { return e.(map[string]any)["host"] == without })
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "endpoints.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// other writes a config in which the near store is off.
func (w *world) other(t *testing.T) string {
	t.Helper()
	stores := append(proxy.List{}, w.config["stores"].(proxy.List)...)
	near := proxy.Map{}
	for k, v := range stores[0].(proxy.Map) {
		near[k] = v
	}
	near["state"] = "off"
	stores[0] = near
	file := filepath.Join(t.TempDir(), "other.yaml")
	w.config.With(proxy.Map{"stores": stores}).Write(t, file)
	return file
}
