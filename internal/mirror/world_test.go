package mirror

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry/registrytest"
	"ociproxy/internal/targets"
	"ociproxy/internal/walk"
)

// world is a registry and some stores, all on loopback.
type world struct {
	*registrytest.Registry // the source
	t                      testing.TB
	stores                 []string // directories
	urls                   []string
	extra                  string // of the mirror stanza
	deny                   string // digests
}

func newWorld(t testing.TB, stores int, opt ...registrytest.Options) *world {
	w := &world{t: t, Registry: registrytest.New(t, append(opt, registrytest.Options{})[0])}
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

func (w *world) config() *config.Config {
	w.t.Helper()
	text := fmt.Sprintf(`version: 1
places: {onprem/a: {lat: 52.5, lon: 13.4, country: DE}}
upstreams: [{name: reg, url: "%s", place: gcp/us-central1, canonical: true, insecure: true}]
deny: {digests: [%s]}
mirror: {source: reg, repositories: {include: ["/.*/"]}, requestsPerSecond: 5000, spool: {dir: %q}%s}
stores:
`, w.URL, w.deny, w.t.TempDir(), w.extra)
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

// pass makes one pass.
func (w *world) pass(opt Options) *Report {
	w.t.Helper()
	return w.passOf(w.t.Context(), w.config(), opt)
}

func (w *world) passOf(ctx context.Context, cfg *config.Config, opt Options) *Report {
	w.t.Helper()
	src, err := walk.NewSource(cfg, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer src.Close()
	f, err := targets.Open(ctx, cfg, targets.Options{Source: src})
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
		if e.Name() != targets.Probe && strings.Contains(e.Name(), ":") {
			out[e.Name()] = info.Size()
		}
	}
	return out
}

func digest(t testing.TB, text string) oci.Digest {
	t.Helper()
	d, err := oci.ParseDigest(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
