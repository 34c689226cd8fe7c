package doctor

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/oci"
)

// hostile is a registry of one image, that answers requests for its layer as it likes.
type hostile struct {
	layer    http.HandlerFunc
	size     string // of the layer, as the manifest says
	list     string
	requests atomic.Int64
	sent     atomic.Int64 // bytes of the layer
}

func (s *hostile) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	switch {
	case r.URL.Path == endpoints.Path && s.list != "":
		_, _ = io.WriteString(rw, s.list)
	case strings.Contains(r.URL.Path, "/manifests/"):
		_, _ = fmt.Fprintf(rw, `{"schemaVersion":2,"config":{"digest":%q,"size":%[2]s},"layers":[{"digest":%[1]q,"size":%[2]s}]}`, oci.Sum("sha256", []byte("layer")), s.size)
	case strings.Contains(r.URL.Path, "/blobs/"):
		s.layer(rw, r)
	}
}

// endless sends until the client has enough.
func (s *hostile) endless(rw http.ResponseWriter, _ *http.Request) {
	part := bytes.Repeat([]byte("x"), 64<<10)
	for s.sent.Load() < 64<<20 {
		if _, err := rw.Write(part); err != nil {
			return
		}
		s.sent.Add(int64(len(part)))
	}
}

// TestHostile: a registry, or somebody who answers in its place, cannot make the doctor speak other protocols, ask
// without end, read without end, or write to the terminal.
func TestHostile(t *testing.T) {
	var spoken sync.Map
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var listening sync.WaitGroup
	t.Cleanup(listening.Wait)
	t.Cleanup(func() { l.Close() })
	listening.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(time.Second))
			got := make([]byte, 100)
			n, _ := c.Read(got)
			spoken.Store(string(got[:n]), true)
			c.Close()
		}
	})
	to := func(location string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", location)
			rw.WriteHeader(http.StatusTemporaryRedirect)
		}
	}
	const refuses = "that clients do not follow"
	large := bytes.Repeat([]byte("x"), 9<<20)
	for name, tt := range map[string]struct {
		set             func(*hostile)
		program, script string // a part of what it says; "": the same as program
		code            int
	}{
		"gopher": {func(s *hostile) { s.layer = to("gopher://" + l.Addr().String() + "/_FLUSHALL%0d%0a") }, refuses, "", 4},
		"file":   {func(s *hostile) { s.layer = to("file:///etc/passwd") }, refuses, "", 4},
		"user":   {func(s *hostile) { s.layer = to("http://a:b@" + l.Addr().String() + "/x") }, refuses, "", 4},
		"glob":   {func(s *hostile) { s.layer = to("/v2/sample/app/blobs/[1-1000]") }, "more redirects than", "307", 4},
		"C1":     {func(s *hostile) { s.layer = to("http://evil\u009b31m.example/") }, refuses, "", 4},
		"escape": {func(s *hostile) {
			s.layer = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "application/xml")
				rw.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(rw, "<Code>AccessDenied</Code>")
			}
			s.list = "{\"format\":1,\"version\":\"v1\",\"endpoints\":[{\"host\":\"HOST\",\"port\":PORT,\"kind\":\"registry\",\"bucket\":\"arn:aws:s3:::\u009b31mx\x1b[31mx\"}]}"
		}, "denies a layer", "", 1},
		"endless": {func(s *hostile) { s.layer = s.endless }, "changes the bytes", "", 1},
		"number":  {func(s *hostile) { s.layer, s.size = http.NotFound, "99999999999999999999" }, "", "the image has no layer of at most", -1},
		"large": {func(s *hostile) {
			s.size = fmt.Sprint(len(large))
			s.layer = func(rw http.ResponseWriter, r *http.Request) {
				http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(large))
			}
		}, "no layer of at most 8 MiB", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &hostile{size: "5"}
			tt.set(s)
			web := httptest.NewServer(s)
			defer web.Close()
			at := web.Listener.Addr().String()
			host, port, _ := strings.Cut(at, ":")
			s.list = strings.NewReplacer("HOST", host, "PORT", port).Replace(s.list)
			target, err := ParseTarget(at + "/sample/app:1.0")
			if err != nil {
				t.Fatal(err)
			}
			check := func(who, out, says string) {
				t.Helper()
				if !strings.Contains(out, says) || strings.ContainsAny(out, "\x1b\u009b") {
					t.Errorf("%s says %q, want %s", who, out, says)
				}
				if n, sent := s.requests.Swap(0), s.sent.Swap(0); n > 30 || sent > 16<<20 {
					t.Errorf("%s: %d requests, %d bytes", who, n, sent)
				}
			}
			var out strings.Builder
			r := Examine(t.Context(), target, Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }})
			for _, format := range []cli.Format{cli.Text, cli.JSON} {
				if err := r.Write(&out, format, false); err != nil {
					t.Fatal(err)
				}
			}
			check("program", out.String(), tt.program)
			if tt.script == "" {
				tt.script = tt.program
			}
			said, code := script(t, nil, "-t", "3", at+"/sample/app:1.0")
			check("script", said, tt.script)
			if tt.code > 0 && (code != tt.code || r.ExitCode != code) {
				t.Errorf("exit codes %d and %d, want %d", r.ExitCode, code, tt.code)
			}
			spoken.Range(func(got, _ any) bool {
				if text, _ := got.(string); !strings.HasPrefix(text, "GET ") {
					t.Errorf("it sends %q", got)
				}
				return true
			})
			spoken.Clear()
		})
	}
}

// TestDowngrade: clients follow no redirect from HTTPS to plain HTTP.
func TestDowngrade(t *testing.T) {
	s := newSite(t)
	s.front = func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		http.Redirect(rw, r, "http://"+name(s.store)+"/x/:https://y", http.StatusFound)
		return true
	}
	const says = "redirects to an address that clients do not follow"
	for _, image := range []string{"", "/sample/app:1.0"} {
		if r := s.examine(t, image, Options{}); !strings.Contains(r.Sentence, says) || r.ExitCode != 4 {
			t.Errorf("%s", r.Sentence)
		}
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.registry.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"", "/sample/app:1.0"} {
		out, code := script(t, []string{"CURL_CA_BUNDLE=" + file}, "https://"+name(s.registry)+image)
		if !strings.Contains(out, says) || code != 4 {
			t.Errorf("exit code %d\n%s", code, out)
		}
	}
}
