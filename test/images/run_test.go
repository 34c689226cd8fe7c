package images

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"ociproxy/test/clients"
	"ociproxy/test/containerd"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

func digestOf(data []byte) string { return digest.FromBytes(data).String() }

// pulled pulls the image of a program from the registry into containerd.
func (m made) pulled(t *testing.T, program string) (ref string) {
	t.Helper()
	ref = m.registry + "/tools/" + program + ":" + version
	m.daemon.Ctr(t, "images", "pull", "--plain-http", "--platform", "linux/amd64", "--snapshotter", "native", ref)
	return ref
}

// pull runs the server from its image with a mounted config, and pulls an image through it. The blobs come from the
// store that the server chooses for the client's place. The server knows the feeds of its image, and no others.
func (m made) pull(t *testing.T) {
	d, ref := m.daemon, m.pulled(t, "oci-proxy")
	upstream, store := registry.Start(t), s3.Start(t, "us-east-1")
	img := image.New(t, 77, 20<<10, 300<<10)
	img.Push(t, upstream.Addr, "library/app", "v1")
	for _, b := range img.Arch["amd64"].Blobs {
		store.Put(t, b.Digest, b.Read(t))
	}
	config := proxy.Config{
		"location": "aws/us-east-1",
		"ranges": proxy.Map{
			"feeds":     proxy.List{proxy.Map{"provider": "aws", "url": "https://127.0.0.1:1/aws"}, proxy.Map{"provider": "gcp", "url": "https://127.0.0.1:1/gcp"}},
			"overrides": proxy.List{proxy.Map{"cidr": "127.0.0.0/8", "place": "aws/us-east-1"}},
		},
		"upstreams": proxy.List{proxy.Map{"name": "main", "url": upstream.URL, "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    proxy.List{proxy.Map{"name": "s3", "place": "aws/us-east-1", "url": store.URL, "serves": proxy.List{"aws"}, "insecure": true}},
		"limits":    proxy.Map{"checkTimeout": "5s", "drain": "1s"},
	}.Defaults(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // another user reads it
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.yaml")
	config.Write(t, file)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	mount := "type=bind,src=" + dir + ",dst=/etc/oci-proxy,options=rbind:ro"
	check := d.Run(t, "check", containerd.Container{Image: ref, Command: []string{bin + "oci-proxy", "check"}, Mounts: []string{mount}})
	listed := regexp.MustCompile(`(?m)^aws +\d{4}-\S+Z \(.*\) +\d+,\d{3} `)
	if code := check.Wait(t, time.Minute); code != 0 || !listed.MatchString(check.Output.String()) {
		t.Errorf("check: exit code %d\n%s", code, check.Output.Tail(40))
	}
	addr, admin := config["listen"].(string), config["admin"].(string)
	server := d.Run(t, "server", containerd.Container{
		Image: ref, Mounts: []string{mount}, HostNet: true, Ready: parts.HTTP("http://"+addr+"/-/ready", http.StatusOK),
	})
	confined(t, server)
	metrics := get(t, "http://"+admin+"/metrics")
	for _, want := range []string{
		`ociproxy_feed_prefixes\{feed="aws"\} [1-9]`, `ociproxy_feed_prefixes\{feed="gcp"\} [1-9]`,
		`ociproxy_feed_seed_timestamp_seconds\{feed="aws"\} 1\.[0-9e+]+`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(metrics) {
			t.Errorf("the metrics lack %s:\n%s", want, regexp.MustCompile(`(?m)^ociproxy_feed.*`).FindAllString(metrics, -1))
		}
	}
	mark := store.Mark()
	clients.CranePull(t, addr+"/library/app:v1", "linux/amd64")
	clients.SkopeoPull(t, addr+"/library/app:v1", "amd64")
	got := map[string]bool{}
	for _, a := range store.Since(mark) {
		if a.Operation == "GetObject" && a.Status < 300 && !strings.HasPrefix(a.Agent, "oci-proxy") {
			got[a.Digest] = true
		}
	}
	if len(got) != len(img.Arch["amd64"].Blobs) {
		t.Errorf("the store sent %d blobs to clients, want %d", len(got), len(img.Arch["amd64"].Blobs))
	}
	server.Signal(t, syscall.SIGTERM)
	if code := server.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("after SIGTERM: exit code %d\n%s", code, server.Output.Tail(20))
	}
}

// confined checks that a container's process is not root, has no capability, and cannot write to its root.
func confined(t *testing.T, r *containerd.Running) {
	t.Helper()
	status := r.Proc("status")
	for _, want := range []string{
		`Uid:\t65532\t65532\t65532\t65532`, `Gid:\t65532\t65532\t65532\t65532`, `CapEff:\t0+`, `CapBnd:\t0+`, `NoNewPrivs:\t1`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(status) {
			t.Errorf("the process lacks %q:\n%s", want, status)
		}
	}
	if mounts := r.Proc("mountinfo"); !regexp.MustCompile(`(?m)^\d+ \d+ \S+ \S+ / ro,`).MatchString(mounts) {
		t.Errorf("the root is not read-only:\n%s", mounts)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bin is the directory of the program in the images.
const bin = "/usr/local/bin/"

const scratch = "type=tmpfs,src=tmpfs,dst=/tmp,options=rw:nosuid:nodev:size=16m"

// demo does the same as `make demo`, in a container without a network.
func (m made) demo(t *testing.T) {
	d, ref := m.daemon, m.pulled(t, "oci-proxy-demo")
	once := d.Run(t, "once", containerd.Container{Image: ref, Command: []string{bin + "oci-proxy-demo", "--once"}, Mounts: []string{scratch}})
	const fine = "All 7 clients got every byte from where they should have."
	if code := once.Wait(t, 2*time.Minute); code != 0 || !strings.Contains(once.Output.String(), fine) {
		t.Errorf("--once: exit code %d\n%s", code, once.Output.Tail(60))
	}
	// The command of the README, on other ports.
	first := parts.FreePorts(t, 10)
	proxy := fmt.Sprintf("127.0.0.1:%d", first)
	served := d.Run(t, "published", containerd.Container{
		Image: ref, Command: []string{bin + "oci-proxy-demo", "--published", "--listen", proxy}, Mounts: []string{scratch}, HostNet: true,
		Ready: parts.HTTP("http://"+proxy+"/-/ready", http.StatusOK),
	})
	confined(t, served)
	clients.CranePull(t, proxy+"/sample/app:1.0", "linux/amd64")
	served.Signal(t, syscall.SIGTERM)
	if code := served.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("after SIGTERM: exit code %d\n%s", code, served.Output.Tail(20))
	}
}
