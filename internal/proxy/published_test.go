package proxy

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/oci"
)

const publishedNames = "names: [{hosts: [registry.example]}, {hosts: [direct.example], role: direct, candidates: [va]}]\nendpoints: {notice: 24h}\ndeny:"

// get asks the handler for a page under a name, with headers.
func get(w *testWorld, method, host, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rw := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rw, r)
	return rw
}

// The list of each name is published, for GET and HEAD, with a strong tag that a client can ask with.
func TestPublishedLists(t *testing.T) {
	w := newWorld(t, "deny:", publishedNames, "serves: [internet]", "serves: [internet], announce: {from: 2999-01-01}")
	hosts := func(name string) map[endpoints.Kind]int {
		rw := get(w, http.MethodGet, name, endpoints.Path)
		l, err := endpoints.Parse(rw.Body.Bytes())
		if err != nil || rw.Code != 200 {
			t.Fatalf("%d: %v", rw.Code, err)
		}
		n := map[endpoints.Kind]int{}
		for _, e := range l.Endpoints {
			n[e.Kind]++
		}
		return n
	}
	for name, want := range map[string]map[endpoints.Kind]int{
		"registry.example":     {"registry": 1, "upstream": 2, "store": 2},
		"other.example":        {"registry": 1, "upstream": 2, "store": 2},
		"Direct.example.:8443": {"registry": 1, "upstream": 1, "store": 1},
	} {
		if diff := cmp.Diff(want, hosts(name)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	for path, kind := range map[string]string{endpoints.Path: "application/json", endpoints.AtomPath: "application/atom+xml"} {
		first := get(w, http.MethodGet, "registry.example", path)
		head := get(w, http.MethodHead, "registry.example", path)
		tag := first.Header().Get("Etag")
		if !strings.HasPrefix(tag, `"`) || len(tag) < 20 {
			t.Errorf("%s: tag %s", path, tag)
		}
		want := http.Header{"Cache-Control": {"public, max-age=300"}, "Content-Type": {kind}, "Etag": {tag}, "Content-Length": first.Header()["Content-Length"]}
		if diff := cmp.Diff(want, first.Header()); diff != "" || first.Body.Len() == 0 {
			t.Errorf("GET %s (-want +got)\n%s", path, diff)
		}
		if diff := cmp.Diff(want, head.Header()); diff != "" || head.Body.Len() != 0 || head.Code != 200 {
			t.Errorf("HEAD %s: %d, %d bytes (-want +got)\n%s", path, head.Code, head.Body.Len(), diff)
		}
		for _, tt := range []struct {
			known []string
			want  int
		}{
			{[]string{tag}, 304}, {[]string{`"x", W/` + tag}, 304}, {[]string{"*"}, 304}, {[]string{`"x"`, tag}, 304},
			{[]string{`"x"`}, 200}, {[]string{""}, 200}, {[]string{strings.Trim(tag, `"`)}, 200},
		} {
			var headers []string
			for _, k := range tt.known {
				headers = append(headers, "If-None-Match", k)
			}
			rw := get(w, http.MethodGet, "registry.example", path, headers...)
			if rw.Code != tt.want || (rw.Code == 304) != (rw.Body.Len() == 0) || rw.Header().Get("Etag") != tag {
				t.Errorf("%s If-None-Match %q: %d with %d bytes", path, tt.known, rw.Code, rw.Body.Len())
			}
			if rw.Code == 304 && (rw.Header().Get("Content-Length") != "" || rw.Header().Get("Cache-Control") == "") {
				t.Errorf("%s: 304 with %v", path, rw.Header())
			}
		}
	}
	feed := get(w, http.MethodGet, "registry.example", endpoints.AtomPath)
	if err := xml.Unmarshal(feed.Body.Bytes(), new(struct{})); err != nil || !strings.Contains(feed.Body.String(), "2999-01-01") {
		t.Errorf("%v\n%s", err, feed.Body)
	}
	if rw := get(w, http.MethodPost, "registry.example", endpoints.Path); rw.Code != 405 {
		t.Errorf("POST: %d", rw.Code)
	}
}

// Two servers with the same config publish the same bytes, whenever they started.
func TestPublishedListsAgree(t *testing.T) {
	one := newWorld(t)
	other, err := New(Options{Config: one.server.wiring.Load().file})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, path := range []string{endpoints.Path, endpoints.AtomPath} {
		a, b := get(one, "GET", "x", path), get(&testWorld{server: other}, "GET", "x", path)
		if a.Body.String() != b.Body.String() || a.Header().Get("Etag") != b.Header().Get("Etag") {
			t.Errorf("%s differs", path)
		}
	}
}

func envelopeOf(payload string) string {
	return `{"payloadType": "x", "payload": "` + payload + `", "signatures": [{"sig": "eA=="}]}`
}

// A pipe in place of the signed list must not stop the server: to open one waits for a writer.
func TestSignedListIsAPipe(t *testing.T) {
	cfg := *newWorld(t).server.wiring.Load().file
	cfg.Endpoints.Signed = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(cfg.Endpoints.Signed, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := signedList(&cfg); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Error(err)
	}
}

// A signed list is passed on byte by byte. Without one the answer is an error of the specification; a damaged one is
// refused, and the error names the key and the file.
func TestSignedList(t *testing.T) {
	w := newWorld(t)
	rw := get(w, "GET", "x", endpoints.SignedPath)
	if rw.Code != 404 || !strings.Contains(rw.Body.String(), oci.ErrUnsupported.Code) || rw.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", rw.Code, rw.Header(), rw.Body)
	}
	file := filepath.Join(t.TempDir(), "signed.json")
	cfg := *w.server.wiring.Load().file
	cfg.Endpoints.Signed = file
	cfg.Names = []config.Name{{Hosts: []string{"direct.example"}, Role: config.Direct, Candidates: []string{cfg.Canonical().Name}}}
	if _, err := New(Options{Config: &cfg}); err == nil || !strings.Contains(err.Error(), "endpoints.signed: open "+file) {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"{": "endpoints.signed: " + file, "{}" + strings.Repeat(" ", endpoints.MaxBytes): "more JSON than is accepted",
		"{}": "a DSSE envelope has", envelopeOf("e30=") + "\n": "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{Config: &cfg})
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.20q: %v, want %s", text, err, want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		rw := get(&testWorld{server: s}, "GET", "x", endpoints.SignedPath)
		if rw.Code != 200 || rw.Body.String() != text {
			t.Errorf("%d %q", rw.Code, rw.Body)
		}
		// The envelope is about all hosts, and a direct name publishes only its own.
		if rw := get(&testWorld{server: s}, "GET", "direct.example", endpoints.SignedPath); rw.Code != 404 {
			t.Errorf("direct name: %d %q", rw.Code, rw.Body)
		}
		s.Close()
	}
}

// A changed signed list is taken like a changed config.
func TestSignedListIsWatched(t *testing.T) {
	dir := t.TempDir()
	signed := filepath.Join(dir, "signed.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(signed, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := envelopeOf("MQ=="), envelopeOf("Mg==")
	write(first)
	r := start(t, filepath.Join(dir, "config.yaml"), newWorld(t), "deny:", "endpoints: {signed: signed.json}\ndeny:")
	now := func() string { return get(r.testWorld, "GET", "x", endpoints.SignedPath).Body.String() }
	if now() != first {
		t.Fatal(now())
	}
	write(second)
	poll(t, "the new list", func() bool { return now() == second })
}

// A page is rendered once. A request for it costs no more than the bookkeeping of the handler.
func TestPublishedListAllocations(t *testing.T) {
	w := benchWorld(t)
	h := w.server.Handler()
	for _, path := range []string{endpoints.Path, endpoints.AtomPath} {
		r, rw := getAs(awsClient, path), &discard{http.Header{}}
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(rw, r) }); n > 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
		r.Header.Set("If-None-Match", `"a", W/"b", "c"`)
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(rw, r) }); n > 0 {
			t.Errorf("%s with If-None-Match: %v allocations", path, n)
		}
	}
}
