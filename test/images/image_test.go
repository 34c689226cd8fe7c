package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/test/clients"
	"ociproxy/test/containerd"
	"ociproxy/test/parts"
	"ociproxy/test/registry"
)

// programs are the programs whose images the tests make for both architectures. oci-proxyctl is not one of them,
// because it takes minutes to compile for a second architecture. TestSlowToolImage makes its image for one.
const programs = "oci-proxy oci-proxy-demo"

// TestSlowImages makes the images once and runs all checks on them.
func TestSlowImages(t *testing.T) {
	parts.Slow(t)
	m := made{dist: t.TempDir(), seed: fetchSeed(t), registry: registry.Start(t).Addr, daemon: containerd.Start(t, 1)}
	makeImages(t, m.dist, m.seed, "PROGRAMS="+programs)
	t.Run("Content", m.content)
	t.Run("Push", m.push)
	t.Run("PushPrivately", m.pushPrivately)
	t.Run("Pull", m.pull)
	t.Run("Demo", m.demo)
	t.Run("Compose", m.compose)
}

// The image of the operators' tool runs without root. It can write only to mounts.
func TestSlowToolImage(t *testing.T) {
	parts.Slow(t)
	m := made{dist: t.TempDir(), registry: registry.Start(t).Addr, daemon: containerd.Start(t, 1)}
	said := makeImages(t, m.dist, "none", "PROGRAMS=oci-proxyctl", "PLATFORMS=linux/amd64", "IMAGE="+m.registry+"/tools/oci-proxyctl:"+version)
	t.Log(said)
	ref, tool := m.pulled(t, "oci-proxyctl"), bin+"oci-proxyctl"
	ran := m.daemon.Run(t, "version", containerd.Container{Image: ref, Command: []string{tool, "version"}})
	if code := ran.Wait(t, time.Minute); code != 0 || !strings.Contains(ran.Output.String(), "oci-proxyctl "+version+" linux/amd64") {
		t.Errorf("version: exit code %d\n%s", code, ran.Output)
	}
	list := t.TempDir()
	if err := errors.Join(os.Chmod(list, 0o755), os.WriteFile(filepath.Join(list, "own.csv"), []byte("192.0.2.0/24,aws/us-east-1\n"), 0o644),
		os.WriteFile(filepath.Join(list, "config.yaml"), []byte(`version: 1
location: aws/us-east-1
upstreams: [{name: main, url: "https://registry.example.org", place: aws/us-east-1, canonical: true}]
ranges: {feeds: [{provider: csv, file: own.csv}]}
`), 0o644)); err != nil {
		t.Fatal(err)
	}
	ran = m.daemon.Run(t, "fetch", containerd.Container{
		Image: ref, Command: []string{tool, "ranges", "fetch", "/tmp/seed"},
		Mounts: []string{scratch, "type=bind,src=" + list + ",dst=/etc/oci-proxy,options=rbind:ro"},
	})
	if code := ran.Wait(t, time.Minute); code != 0 || !regexp.MustCompile(`(?m)^csv +new `).MatchString(ran.Output.String()) {
		t.Errorf("ranges fetch: exit code %d\n%s", code, ran.Output)
	}
	ran = m.daemon.Run(t, "nowhere", containerd.Container{
		Image: ref, Command: []string{tool, "ranges", "fetch", "/seed", "--config", ""},
	})
	if code := ran.Wait(t, time.Minute); code != 1 || !strings.Contains(ran.Output.String(), "read-only file system") {
		t.Errorf("ranges fetch into the root: exit code %d\n%s", code, ran.Output)
	}
}

// maxServer is how many bytes a node may download for the server.
const maxServer = 25 << 20

func (m made) content(t *testing.T) {
	for program, wants := range map[string]struct {
		args  []string
		ports []string
		files []string // besides the files that all images have
	}{
		"oci-proxy": {args: []string{"serve"}, ports: []string{"8080/tcp"}, files: []string{
			"etc/ssl/certs/ca-certificates.crt", "var/cache/oci-proxy/", "var/lib/oci-proxy/seed/_fetched.json", "var/lib/oci-proxy/seed/aws.json",
			"var/lib/oci-proxy/seed/azure.json", "var/lib/oci-proxy/seed/linode.csv", "var/lib/oci-proxy/seed/vultr.json",
		}},
		"oci-proxy-demo": {args: []string{"--published"}, ports: []string{"5050/tcp"}},
	} {
		l := m.layout(t, program)
		_, index := l.index()
		var platforms []string
		for _, d := range index.Manifests {
			platforms = append(platforms, d.Platform.OS+"/"+d.Platform.Architecture)
			var manifest oci.Manifest
			var config oci.Image
			l.read(d, &manifest)
			l.read(manifest.Config, &config)
			c := config.Config
			entry := []string{bin + program}
			if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, entry) || !slices.Equal(c.Cmd, wants.args) ||
				!slices.Equal(slices.Collect(maps.Keys(c.ExposedPorts)), wants.ports) || config.Architecture != d.Platform.Architecture {
				t.Errorf("%s: %+v", program, config)
			}
			m.labels(t, program, config)
			if diff := cmp.Diff(c.Labels, manifest.Annotations); diff != "" || !maps.Equal(index.Annotations, c.Labels) {
				t.Errorf("%s: labels and annotations differ:\n%s%v", program, diff, index.Annotations)
			}
			var size int64
			var files []string
			for i, layer := range manifest.Layers {
				size += layer.Size
				files = append(files, l.unpack(layer, string(config.RootFS.DiffIDs[i]))...)
			}
			if size > maxServer {
				t.Errorf("%s: %d bytes", program, size)
			}
			t.Logf("%s %s: %.1f MiB", program, config.Architecture, float64(size)/(1<<20))
			for _, want := range append(wants.files, "etc/passwd", "licenses/LICENSE", "tmp/", "usr/local/bin/"+program) {
				if !slices.Contains(files, want) {
					t.Errorf("%s lacks %s: %q", program, want, files)
				}
			}
		}
		if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
			t.Errorf("%s: %s", program, diff)
		}
	}
}

func (m made) labels(t *testing.T, program string, config oci.Image) {
	t.Helper()
	l := config.Config.Labels
	if l[oci.AnnotationTitle] != program || l[oci.AnnotationVersion] != version || l[oci.AnnotationLicenses] != "Apache-2.0" ||
		l[oci.AnnotationRevision] != revision(t) || l[oci.AnnotationDescription] == "" {
		t.Errorf("%s: labels %v", program, l)
	}
	if at, err := time.Parse(time.RFC3339, l[oci.AnnotationCreated]); err != nil || !at.Equal(*config.Created) || at.Year() < 2025 {
		t.Errorf("%s: created %s, %v", program, l[oci.AnnotationCreated], err)
	}
	seeded := slices.Contains(config.Config.Env, "OCI_PROXY_SEED=/var/lib/oci-proxy/seed")
	_, err := time.Parse(time.RFC3339, l["oci-proxy.feeds.fetched"])
	if has := err == nil && l["oci-proxy.feed.aws"] != ""; seeded != has || has != (program == "oci-proxy") {
		t.Errorf("%s: feeds: %v, %q", program, l, config.Config.Env)
	}
}

// unpack lists a layer's files. It checks that only root can change the files that the programs need not write.
func (l layout) unpack(d oci.Descriptor, diff string) (files []string) {
	l.t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(l.blob(d)))
	if err != nil {
		l.t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		l.t.Fatal(err)
	}
	if got := digestOf(text); got != diff {
		l.t.Errorf("the layer is %s, its config says %s", got, diff)
	}
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			l.t.Fatal(err)
		}
		files = append(files, h.Name)
		own := slices.Contains([]string{"home/nonroot/", "var/cache/oci-proxy/"}, h.Name)
		if (h.Uid != 0) != own || h.Mode&0o022 != 0 && h.Name != "tmp/" || h.ModTime.Year() < 2024 {
			l.t.Errorf("%s: owner %d, mode %o, %v", h.Name, h.Uid, h.Mode, h.ModTime)
		}
	}
}

// When a registry asks for a login, it gets the login of Docker's configuration. Without that login it gets no images.
func (m made) pushPrivately(t *testing.T) {
	r := registry.StartPrivate(t)
	docker, name := t.TempDir(), "IMAGE="+r.Addr+"/any/name:"+version
	login := base64.StdEncoding.EncodeToString([]byte(registry.User + ":" + registry.Password))
	for _, tt := range []struct {
		auths, says string
		ok          bool
	}{
		{"{}", "401", false},
		{`{"` + r.Addr + `": {"auth": "` + login + `"}}`, r.Addr + "/any/name:" + version + "@sha256:", true},
	} {
		if err := os.WriteFile(filepath.Join(docker, "config.json"), []byte(`{"auths": `+tt.auths+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := tryImages(t, m.dist, m.seed, docker, "PROGRAMS=oci-proxy-demo", name)
		if (err == nil) != tt.ok || !strings.Contains(out, tt.says) || strings.Contains(out, login) {
			t.Errorf("%s: %v\n%s", tt.auths, err, out)
		}
	}
}

// A second build, in another place, pushes images with the same digests to a registry. A dry run pushes nothing.
func (m made) push(t *testing.T) {
	name := m.registry + "/tools/oci-proxy:" + version
	dry := makeImages(t, m.dist, m.seed, "PROGRAMS="+programs, "IMAGE="+name, "IMAGE_FLAGS=-dry-run")
	if got := clients.Crane(t, "catalog", m.registry); strings.TrimSpace(got) != "" {
		t.Errorf("a dry run pushed %s", got)
	}
	said := makeImages(t, t.TempDir(), m.seed, "PROGRAMS="+programs, "IMAGE="+name)
	for program := range strings.FieldsSeq(programs) {
		first, _ := m.layout(t, program).index()
		repository := m.registry + "/tools/" + program
		if got := strings.TrimSpace(clients.Crane(t, "digest", repository+":"+version)); got != first.Digest.String() {
			t.Errorf("%s: %s, then %s", program, first.Digest, got)
		}
		if !strings.Contains(said, repository+":"+version+"@"+first.Digest.String()) || !strings.Contains(dry, first.Digest.String()) {
			t.Errorf("%s: it does not tell the digest %s:\n%s%s", program, first.Digest, dry, said)
		}
		for _, platform := range []string{"linux/amd64", "linux/arm64"} {
			clients.CranePull(t, repository+":"+version, platform)
		}
	}
}
