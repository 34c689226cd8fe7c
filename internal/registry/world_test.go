package registry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/time/rate"

	"ociproxy/internal/oci"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world answers requests without a network, so that a test may run on its own clock.
type world struct {
	http.Handler

	mu   sync.Mutex
	seen []*http.Request // without their bodies
}

// RoundTrip implements [http.RoundTripper]. A handler that wants the body to hang waits for the end of the request's
// context.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, context.Cause(req.Context())
	}
	w.mu.Lock()
	w.seen = append(w.seen, req.Clone(context.WithoutCancel(req.Context())))
	w.mu.Unlock()
	if req.Body == nil {
		req = req.Clone(req.Context())
		req.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, req)
	_, _ = io.Copy(io.Discard, req.Body)
	req.Body.Close()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = req
	if resp.Header.Get("Content-Length") == "" && req.Method != http.MethodHead {
		resp.ContentLength = int64(rec.Body.Len())
	}
	return resp, nil
}

// paths returns method, host, path and query of the requests so far.
func (w *world) paths() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, req := range w.seen {
		list = append(list, req.Method+" "+req.URL.Host+req.URL.RequestURI())
	}
	return list
}

const host = "https://registry.test"

// openWorld opens a registry on which h answers every request except /v2/, which requires no authentication.
func openWorld(t *testing.T, h http.HandlerFunc, change ...func(*Options)) (*Registry, *world) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("registry.test/v2/{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", h)
	w := &world{Handler: mux}
	r := open(t, host, append([]func(*Options){func(o *Options) {
		o.Transport, o.Prefix, o.Insecure = w, "", false
		o.Bandwidth = rate.NewLimiter(rate.Inf, 0)
	}}, change...)...)
	return r, w
}

// serve answers each path with its handler, and other paths with 404.
func serve(answers map[string]http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if h, ok := answers[req.URL.Path]; ok {
			h(w, req)
			return
		}
		http.NotFound(w, req)
	}
}

func text(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

var sum = oci.Sum

func digest(t testing.TB, s string) oci.Digest {
	t.Helper()
	d, err := oci.ParseDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func silent(http.ResponseWriter, *http.Request) {}
