package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func digestOf(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

// image is the content of the test upstream: an index of two manifests, with three blobs each that stores may hold.
type image struct {
	manifests map[string][]byte // by tag and by digest
	types     map[string]string
	blobs     map[string][]byte
	child     string
}

func newImage() *image {
	im := &image{manifests: map[string][]byte{}, types: map[string]string{}, blobs: map[string][]byte{}}
	put := func(b []byte) map[string]any {
		im.blobs[digestOf(b)] = b
		return map[string]any{"mediaType": "application/octet-stream", "digest": digestOf(b), "size": len(b)}
	}
	foreign := map[string]any{"digest": digestOf([]byte("elsewhere")), "size": 9, "urls": []string{"https://example.test/x"}}
	manifest := func(arch string) []byte {
		return marshal(map[string]any{
			"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			"config": put([]byte(`{"architecture":"` + arch + `"}`)),
			"layers": []any{foreign, put(bytes.Repeat([]byte("layer of "+arch), 20_000)), put([]byte("small layer, but not the smallest"))},
		})
	}
	add := func(name, kind string, body []byte) {
		im.manifests[name], im.types[name] = body, kind
		im.manifests[digestOf(body)], im.types[digestOf(body)] = body, kind
	}
	var list []any
	for _, arch := range []string{"arm64", "amd64"} {
		body := manifest(arch)
		im.child = digestOf(body)
		add(im.child, "application/vnd.oci.image.manifest.v1+json", body)
		list = append(list, map[string]any{
			"digest": im.child, "size": len(body), "platform": map[string]any{"os": "linux", "architecture": arch},
		})
	}
	add("1.0", "application/vnd.oci.image.index.v1+json", marshal(map[string]any{"schemaVersion": 2, "manifests": list}))
	return im
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// serveBlob answers as a well-configured bucket does.
func (im *image) serveBlob(w http.ResponseWriter, r *http.Request, digest string) {
	content, ok := im.blobs[digest]
	if !ok {
		http.Error(w, "no such key", http.StatusForbidden)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable, no-transform")
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// store serves blobs under /images/.
func (im *image) store() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		im.serveBlob(w, r, strings.TrimPrefix(r.URL.Path, "/images/"))
	})
}

// registry serves repository app/web under prefix "p".
func (im *image) registry() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/p/app/web/blobs/{digest}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := im.blobs[r.PathValue("digest")]; !ok {
			http.NotFound(w, r)
			return
		}
		im.serveBlob(w, r, r.PathValue("digest"))
	})
	mux.HandleFunc("/v2/p/app/web/manifests/{ref}", func(w http.ResponseWriter, r *http.Request) {
		body, ok := im.manifests[r.PathValue("ref")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", im.types[r.PathValue("ref")])
		w.Header().Set("Docker-Content-Digest", digestOf(body))
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	})
	mux.HandleFunc("/v2/p/app/web/tags/list", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"name":"p/app/web","tags":["0.9","1.0","sha256-aa.sig"]}`))
	})
	return mux
}

// world is a canonical upstream, and whatever a test adds to it. Only the world can resolve its names.
type world struct {
	t     *testing.T
	cfg   *config.Config
	opts  Options
	hosts map[string]map[string]string // host → network → address
}

func newWorld(t *testing.T, registry http.Handler) *world {
	w := &world{t: t, hosts: map[string]map[string]string{}, cfg: &config.Config{}}
	w.opts = Options{
		Images: []string{"app/web:1.0"}, Timeout: time.Minute,
		Lookup: func(_ context.Context, network, host string) ([]netip.Addr, error) {
			if a := w.hosts[host][network]; a != "" {
				return []netip.Addr{netip.MustParseAddr(a)}, nil
			}
			return nil, nil
		},
	}
	w.upstream("canon", registry, true)
	return w
}

// serve starts h and returns its address, under a name that has an address in both families. The IPv6 "address" is the
// IPv4 address of loopback, because tests must run on machines without IPv6.
func (w *world) serve(name string, h http.Handler) string {
	srv := httptest.NewServer(h)
	w.t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hosts[name+".test"] = map[string]string{"ip4": "127.0.0.1", "ip6": "127.0.0.1"}
	return "http://" + name + ".test:" + u.Port()
}

func (w *world) upstream(name string, h http.Handler, canonical bool) *config.Upstream {
	w.cfg.Upstreams = append(w.cfg.Upstreams, config.Upstream{
		Name: name, URL: w.serve(name, h), Prefix: "p", Canonical: canonical,
		Place: place.Place{Cloud: "gcp", Region: "us-central1"}, State: config.Active,
	})
	return &w.cfg.Upstreams[len(w.cfg.Upstreams)-1]
}

func (w *world) store(name string, h http.Handler) *config.Store {
	w.cfg.Stores = append(w.cfg.Stores, config.Store{
		Name: name, URL: w.serve(name, h) + "/images/{digest}", State: config.Active,
		Place: place.Place{Cloud: "aws", Region: "us-east-1"},
	})
	s := &w.cfg.Stores[len(w.cfg.Stores)-1]
	s.Check = s.URL
	return s
}

func (w *world) live() *Report {
	w.t.Helper()
	r, err := Live(w.t.Context(), w.cfg, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// expect requires one finding of target, with this result, and with these words in its detail and hint.
func expect(t *testing.T, r *Report, target, check string, result Result, detail, hint string) {
	t.Helper()
	var seen []string
	for _, f := range r.Findings {
		if f.Target != target {
			continue
		}
		if f.Check == check && f.Result == result && strings.Contains(f.Detail, detail) && strings.Contains(f.Hint, hint) {
			if (f.Result == Failed || f.Result == Warning) && f.Hint == "" {
				t.Errorf("%s %s: a %s without a hint", target, check, f.Result)
			}
			return
		}
		seen = append(seen, fmt.Sprintf("%s %s: %s | %s", f.Check, f.Result, f.Detail, f.Hint))
	}
	t.Errorf("no finding %s %s %s %q (hint %q) among\n%s", target, check, result, detail, hint, strings.Join(seen, "\n"))
}

// isMadeUp reports whether a request names a digest that the image does not have.
func (im *image) isMadeUp(r *http.Request) bool {
	last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	_, blob := im.blobs[last]
	_, manifest := im.manifests[last]
	return !blob && !manifest
}
