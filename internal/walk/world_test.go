package walk

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a registry on loopback.
type world struct {
	t      testing.TB
	source *httptest.Server
}

func newWorld(t testing.TB) *world {
	w := &world{t: t}
	w.source = httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
	t.Cleanup(w.source.Close)
	return w
}

func (w *world) config() *config.Config {
	w.t.Helper()
	text := fmt.Sprintf(`version: 1
places: {onprem/a: {lat: 52.5, lon: 13.4, country: DE}}
upstreams: [{name: reg, url: "%s", place: gcp/us-central1, canonical: true, insecure: true}]
mirror: {source: reg, repositories: {include: ["/.*/"]}, requestsPerSecond: 5000, spool: {dir: %q}}
`, w.source.URL, w.t.TempDir())
	cfg, err := config.Parse("test", []byte(text))
	if err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

func (w *world) blob(repo, text string) ocispec.Descriptor {
	d := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	w.send(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d, "application/octet-stream", text)
	return w.describe("application/vnd.oci.image.layer.v1.tar", d, len(text))
}

func (w *world) describe(mediaType, digest string, size int) (d ocispec.Descriptor) {
	raw := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, size)
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

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
	w.send(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, head.MediaType, string(raw))
	return w.describe(head.MediaType, fmt.Sprintf("sha256:%x", sha256.Sum256(raw)), len(raw))
}

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

func (w *world) send(method, path, mediaType, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.source.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := w.source.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
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
