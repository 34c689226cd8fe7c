package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/google/go-containerregistry/pkg/registry"

	"ociproxy/internal/config"
	"ociproxy/internal/fleet"
	"ociproxy/internal/oci"
	"ociproxy/internal/walk"
)

// world is a registry and some stores, all on loopback.
type world struct {
	t      testing.TB
	source *httptest.Server
	stores []string // directories
	urls   []string
	extra  string // of the mirror stanza
	deny   string // digests

	mu    sync.Mutex
	log   []string // requests to the source: "GET /v2/…"
	fault func(http.ResponseWriter, *http.Request) bool
}

func newWorld(t testing.TB, stores int, opts ...registry.Option) *world {
	w := &world{t: t}
	handler := registry.New(append(opts, registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))...)
	w.source = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.log = append(w.log, r.Method+" "+r.URL.Path)
		fault := w.fault
		w.mu.Unlock()
		if fault != nil && fault(rw, r) {
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.source.Close)
	for range stores {
		dir := filepath.Join(t.TempDir(), "bucket")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(http.FileServer(http.Dir(dir)))
		t.Cleanup(s.Close)
		w.stores, w.urls = append(w.stores, dir), append(w.urls, s.URL)
	}
	return w
}

// spoil makes the source answer some requests itself.
func (w *world) spoil(f func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// asked returns the requests since the last call.
func (w *world) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

func (w *world) config() *config.Config {
	w.t.Helper()
	text := fmt.Sprintf(`version: 1
places: {onprem/a: {lat: 52.5, lon: 13.4, country: DE}}
upstreams: [{name: reg, url: "%s", place: gcp/us-central1, canonical: true, insecure: true}]
deny: {digests: [%s]}
mirror: {source: reg, repositories: {include: ["/.*/"]}, requestsPerSecond: 5000, spool: {dir: %q}%s}
stores:
`, w.source.URL, w.deny, w.t.TempDir(), w.extra)
	for i, dir := range w.stores {
		text += fmt.Sprintf(`  - {name: s%d, place: onprem/a, url: "%[2]s/containers/images/{digest}", inventory: {url: "%[2]s/inventory/"}, bucket: "file://%[3]s", serves: [all], insecure: true}
`, i, w.urls[i], dir)
	}
	cfg, err := config.Parse("test", []byte(text))
	if err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// config0 is the config of a world without stores: they are not opened.
func (w *world) config0() *config.Config {
	w.stores, w.urls = []string{w.t.TempDir()}, []string{w.source.URL}
	return w.config()
}

// pass makes one pass.
func (w *world) pass(opt Options) *Report {
	w.t.Helper()
	return w.passOf(w.t.Context(), w.config(), opt)
}

func (w *world) passOf(ctx context.Context, cfg *config.Config, opt Options) *Report {
	w.t.Helper()
	src, err := walk.NewSource(cfg, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer src.Close()
	f, err := fleet.Open(ctx, cfg, fleet.Options{Source: src})
	if err != nil {
		w.t.Fatal(err)
	}
	r := NewPass(src, f, opt).Run(ctx)
	if err := f.Close(ctx); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// held lists the blobs in a store, without the probe.
func (w *world) held(i int) map[string]int64 {
	w.t.Helper()
	out := map[string]int64{}
	entries, err := os.ReadDir(filepath.Join(w.stores[i], "containers/images"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Name() != fleet.Probe && strings.Contains(e.Name(), ":") {
			out[e.Name()] = info.Size()
		}
	}
	return out
}

// blob pushes a blob and describes it.
func (w *world) blob(repo, text string) ocispec.Descriptor {
	return w.blobOf(repo, text, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))))
}

func (w *world) blob512(repo, text string) ocispec.Descriptor {
	return w.blobOf(repo, text, fmt.Sprintf("sha512:%x", sha512.Sum512([]byte(text))))
}

func (w *world) blobOf(repo, text, digest string) ocispec.Descriptor {
	w.send(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+digest, "application/octet-stream", text, http.StatusCreated)
	return w.describe("application/vnd.oci.image.layer.v1.tar", digest, len(text))
}

func (w *world) describe(mediaType, digest string, size int) ocispec.Descriptor {
	var d ocispec.Descriptor
	raw := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, size)
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// put pushes a manifest and describes it.
func (w *world) put(repo, tag string, m any) ocispec.Descriptor {
	w.t.Helper()
	raw, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		w.t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
	ref := digest
	if tag != "" {
		ref = tag
	}
	w.send(http.MethodPut, "/v2/"+repo+"/manifests/"+ref, head.MediaType, string(raw), http.StatusCreated)
	return w.describe(head.MediaType, digest, len(raw))
}

// image pushes an image with a config and layers of these texts.
func (w *world) image(repo, tag string, texts ...string) ocispec.Descriptor {
	w.t.Helper()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: w.blob(repo, fmt.Sprintf(`{"of":%q}`, texts))}
	m.SchemaVersion = 2
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	for _, text := range texts {
		m.Layers = append(m.Layers, w.blob(repo, text))
	}
	return w.put(repo, tag, m)
}

func (w *world) index(repo, tag string, children ...ocispec.Descriptor) ocispec.Descriptor {
	m := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
	m.SchemaVersion = 2
	return w.put(repo, tag, m)
}

func (w *world) send(method, path, mediaType, body string, want int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.source.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := w.source.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		text, _ := io.ReadAll(resp.Body)
		w.t.Fatalf("%s %s: status %d: %s", method, path, resp.StatusCode, text)
	}
}

func digest(t testing.TB, text string) oci.Digest {
	t.Helper()
	d, err := oci.ParseDigest(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ocispecDigest is the sha256 digest of a text.
func ocispecDigest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }
