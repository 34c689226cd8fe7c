package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// Daemon is a running containerd.
type Daemon struct {
	Version int // major
	Socket  string

	ctr      string
	hostsDir string
	process  *parts.Process
}

// Start starts the distribution's containerd (version 1) or the one in containerd2/ (version 2).
func Start(t testing.TB, version int) *Daemon {
	t.Helper()
	return start(t, version, "")
}

// PodSubnet has the addresses of pods. They are addresses of documentation (RFC 5737), because crane follows no redirect to
// a private address.
const PodSubnet = "198.51.100.0/24"

// StartForPods starts the distribution's containerd for [Daemon.RunPod]. pause is the name of an image with the program of
// [BuildPause]. The daemon makes networks, so call it inside of [parts.Apart].
func StartForPods(t testing.TB, pause string) *Daemon {
	t.Helper()
	dir, plugins := t.TempDir(), filepath.Dir(parts.Find(t, "ptp"))
	network := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": {
		"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": %q}}]}
`, PodSubnet, filepath.Join(dir, "addresses"))
	if err := os.WriteFile(filepath.Join(dir, "pods.conflist"), []byte(network), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, 1, fmt.Sprintf(`
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
# In many containers root may not protect processes from the kernel when memory is short.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %q
conf_dir = %q
`, pause, plugins, dir))
}

// start starts a daemon. more is added to its configuration.
func start(t testing.TB, version int, more string) *Daemon {
	t.Helper()
	dir := parts.ShortDir(t)
	file := filepath.Join(dir, "config.toml")
	d := &Daemon{Version: version, hostsDir: filepath.Join(dir, "certs.d")}
	if err := os.WriteFile(file, []byte(d.config()+more), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start(t, dir, file)
	return d
}

// StartFile starts containerd as [Start] does, but with a config file of the caller's.
func StartFile(t testing.TB, version int, file string, env ...string) *Daemon {
	t.Helper()
	d := &Daemon{Version: version}
	d.start(t, parts.ShortDir(t), file, env...)
	return d
}

func (d *Daemon) start(t testing.TB, dir, file string, env ...string) {
	t.Helper()
	parts.NeedRoot(t)
	folder := ""
	if d.Version == 2 {
		folder = "containerd2/"
	}
	d.Socket, d.ctr = filepath.Join(dir, "c.sock"), parts.Find(t, folder+"ctr")
	d.process = parts.Start(t, parts.Spec{
		Path: parts.Find(t, folder+"containerd"),
		Args: []string{"--config", file, "--log-level", "warn", "--address", d.Socket,
			"--root", filepath.Join(dir, "root"), "--state", filepath.Join(dir, "state")},
		Env: env, Dir: dir,
		Ready: func() error {
			_, err := parts.Try(t, 5*time.Second, d.ctr, "--address", d.Socket, "version")
			return err
		},
	})
}

func (d *Daemon) config() string {
	if d.Version == 2 {
		// containerd fetches layers above 1 MiB in parallel pieces, each by a Range with an open end.
		return fmt.Sprintf(`version = 3
[plugins.'io.containerd.cri.v1.images']
snapshotter = "native"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = %q
[plugins.'io.containerd.transfer.v1.local']
config_path = %q
max_concurrent_downloads = 4
concurrent_layer_fetch_buffer = 1048576
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
platform = "linux/amd64"
snapshotter = "native"
`, d.hostsDir, d.hostsDir)
	}
	return fmt.Sprintf(`version = 2
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = %q
`, d.hostsDir)
}

// Mirror writes hosts.toml, so that containerd pulls the images of the named registry from the mirror. containerd asks
// the mirror with the registry's name in the query (?ns=). Only if that fails does it ask the registry itself, which
// does not exist.
func (d *Daemon) Mirror(t testing.TB, host, mirror string) {
	t.Helper()
	dir := filepath.Join(d.hostsDir, host)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("server = \"http://127.0.0.1:1\"\n[host.\"http://%s\"]\ncapabilities = [\"pull\", \"resolve\"]\n", mirror)
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Ctr runs ctr and returns what it printed.
func (d *Daemon) Ctr(t testing.TB, args ...string) string {
	t.Helper()
	return parts.Run(t, 3*time.Minute, d.ctr, append([]string{"--address", d.Socket, "--namespace", "test"}, args...)...)
}

// Pull pulls an image with ctr for the platform, unpacks it, and checks that all its content is there.
func (d *Daemon) Pull(t testing.TB, ref, platform string) {
	t.Helper()
	d.Ctr(t, "images", "pull", "--hosts-dir", d.hostsDir, "--platform", platform, "--snapshotter", "native", ref)
	if status := d.Ctr(t, "images", "check", "name=="+ref); !strings.Contains(status, "complete") {
		t.Fatalf("images check %s:\n%s", ref, status)
	}
}

// TryPull pulls like Pull, but returns the error.
func (d *Daemon) TryPull(t testing.TB, ref, platform string) error {
	t.Helper()
	_, err := parts.Try(t, 3*time.Minute, d.ctr, "--address", d.Socket, "--namespace", "test",
		"images", "pull", "--hosts-dir", d.hostsDir, "--platform", platform, "--snapshotter", "native", ref)
	return err
}

// Remove removes everything that Ctr pulled, with its content, so that the next pull starts from nothing.
func (d *Daemon) Remove(t testing.TB, ref string) {
	t.Helper()
	d.Ctr(t, "images", "remove", "--sync", ref)
}
