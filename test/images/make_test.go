package images

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/test/containerd"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
)

// version is the version of the images that the tests make.
const version = "v1.2.3-test"

// made is the output of `make image`.
type made struct {
	dist string // its DIST
	seed string

	registry string // host:port to which the images were pushed
	daemon   *containerd.Daemon
}

// makeImages runs make image with more variables. The programs are built as always, so Go's cache has most of the code.
func makeImages(t *testing.T, dist, seed string, variables ...string) string {
	t.Helper()
	out, err := tryImages(t, dist, seed, t.TempDir(), variables...)
	if err != nil {
		t.Fatalf("make image %q: %v\n%s", variables, err, out)
	}
	return out
}

// tryImages is makeImages with a directory of Docker's configuration. It returns the error.
func tryImages(t *testing.T, dist, seed, docker string, variables ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"image", "DIST=" + dist, "SEED=" + seed, "VERSION=" + version}, variables...)...)
	cmd.Dir = parts.Root()
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+docker)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// fetchSeed fills a directory with the real feeds. It uses oci-proxyctl ranges fetch.
func fetchSeed(t *testing.T) string {
	t.Helper()
	data := filepath.Join(parts.Root(), "..", "shared", "data", "ranges")
	if _, err := os.Stat(data); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("OCIPROXY_REQUIRE_DATA") == "1" {
			t.Fatalf("the real feeds are missing: %v", err)
		}
		t.Skipf("the real feeds are missing: %v", err)
	}
	config := fmt.Sprintf(`version: 1
location: aws/us-east-1
upstreams: [{name: main, url: "https://registry.example.org", place: aws/us-east-1, canonical: true}]
ranges:
  feeds:
    - {provider: aws, file: %[1]s/aws-ip-ranges.json}
    - {provider: gcp, file: %[1]s/gcp-cloud.json}
    - {provider: azure, file: %[1]s/azure-servicetags.json}
    - {provider: oracle, file: %[1]s/oracle-public_ip_ranges.json}
    - {provider: exoscale, file: %[1]s/exoscale-prefixes.json}
    - {provider: geofeed, cloud: digitalocean, file: %[1]s/digitalocean-geofeed.csv}
    - {provider: geofeed, cloud: linode, file: %[1]s/linode-geofeed.csv}
    - {provider: vultr, file: %[1]s/vultr-geofeed.json}
`, data)
	file, seed := filepath.Join(t.TempDir(), "config.yaml"), filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := ctl.Run(t, ctl.Limit, nil, "ranges", "fetch", seed, "--config", file); r.Code != 0 {
		t.Fatal(r)
	}
	return seed
}

// layout is an OCI image layout on disk.
type layout struct {
	t   *testing.T
	dir string
}

func (m made) layout(t *testing.T, program string) layout {
	return layout{t, filepath.Join(m.dist, "image", program)}
}

// read reads a document, and checks that the content has its digest.
func (l layout) read(d oci.Descriptor, v any) {
	l.t.Helper()
	text := l.blob(d)
	if err := json.Unmarshal(text, v); err != nil {
		l.t.Fatal(err)
	}
}

func (l layout) blob(d oci.Descriptor) []byte {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "blobs", "sha256", d.Digest.Encoded()))
	if err != nil {
		l.t.Fatal(err)
	}
	if int64(len(data)) != d.Size || digest.FromBytes(data) != d.Digest {
		l.t.Fatalf("%s in %s has other content", d.Digest, l.dir)
	}
	return data
}

// index returns the index of the program, and its descriptor.
func (l layout) index() (oci.Descriptor, oci.Index) {
	l.t.Helper()
	var top, index oci.Index
	text, err := os.ReadFile(filepath.Join(l.dir, "index.json"))
	if err == nil {
		err = json.Unmarshal(text, &top)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations[oci.AnnotationRefName] != version {
		l.t.Fatalf("%s: %+v", l.dir, top.Manifests)
	}
	l.read(top.Manifests[0], &index)
	return top.Manifests[0], index
}

// revision returns the commit of the working copy.
func revision(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", parts.Root(), "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
