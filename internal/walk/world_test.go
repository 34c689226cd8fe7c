package walk

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configOf is a config that mirrors all of a registry.
func configOf(t testing.TB, r *registrytest.Registry) *config.Config {
	t.Helper()
	text := fmt.Sprintf(`version: 1
places: {onprem/a: {lat: 52.5, lon: 13.4, country: DE}}
upstreams: [{name: reg, url: "%s", place: gcp/us-central1, canonical: true, insecure: true}]
mirror: {source: reg, repositories: {include: ["/.*/"]}, requestsPerSecond: 5000, spool: {dir: %q}}
`, r.URL, t.TempDir())
	cfg, err := config.Parse("test", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// open makes a source of a registry. The config may be changed.
func open(t testing.TB, r *registrytest.Registry, change ...func(*config.Config)) *Source {
	t.Helper()
	cfg := configOf(t, r)
	for _, f := range change {
		f(cfg)
	}
	s, err := NewSource(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func digest(t testing.TB, text string) oci.Digest {
	t.Helper()
	d, err := oci.ParseDigest(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// of is the digest that a descriptor has.
func of(t testing.TB, d ocispec.Descriptor) oci.Digest { return digest(t, string(d.Digest)) }
