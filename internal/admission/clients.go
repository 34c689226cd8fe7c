package admission

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/command"
	"ociproxy/internal/wait"
)

// program is a client that is installed on this machine, or may be.
type program struct {
	needs []string // executables
	root  bool     // only root can run it without leaving files behind
	// ready returns why the client cannot be used although it is installed; nil: nothing to ask.
	ready func(ctx context.Context) string
	// pull pulls an image into dir, which is removed afterwards. ref has the host.
	pull func(ctx context.Context, s shell, ref, platform string) error
}

// programs are the clients, by the name of their finding.
var programs = map[string]program{
	"crane":      {needs: []string{"crane"}, pull: crane},
	"skopeo":     {needs: []string{"skopeo"}, pull: skopeo},
	"podman":     {needs: []string{"podman"}, root: true, pull: podman},
	"containerd": {needs: []string{"containerd", "ctr"}, root: true, pull: containerd},
	"docker":     {needs: []string{"docker"}, ready: dockerd, pull: docker},
}

// Programs returns the names of the clients that Run can use besides the built-in one.
func Programs() []string { return []string{"crane", "skopeo", "podman", "containerd", "docker"} }

// missing returns why the client cannot be used here; "" means that it can.
func (p program) missing(ctx context.Context) string {
	for _, name := range p.needs {
		if !command.Installed(name) {
			return name + " is not installed"
		}
	}
	if p.root && os.Geteuid() != 0 {
		return p.needs[0] + " needs root to keep its files in a directory of its own"
	}
	if p.ready != nil {
		return p.ready(ctx)
	}
	return ""
}

// shell runs the commands of one pull.
type shell struct {
	dir    string // for everything that the client writes
	env    []string
	within time.Duration
}

func (s shell) run(ctx context.Context, name string, args ...string) error {
	_, err := command.Run(ctx, command.Command{Name: name, Args: args, Dir: s.dir, Env: s.env, Within: s.within})
	return err
}

// path returns the path of a file or directory of the client.
func (s shell) path(name string) string { return filepath.Join(s.dir, name) }

// passed are the variables that clients get: how to reach servers, and no credentials.
var passed = []string{"PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "DOCKER_HOST"}

// with pulls an image with a client, in a directory of its own.
func (r *run) with(ctx context.Context, p program, host string, im image) (err error) {
	dir, err := atomicfile.MakeScratchDir("oci-proxy-admit-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Remove()) }()
	s := shell{dir: dir.Path, within: 2*time.Minute + r.patience(im.size)}
	for _, name := range passed {
		if v := r.opt.Getenv(name); v != "" {
			s.env = append(s.env, name+"="+v)
		}
	}
	for _, name := range []string{"HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"} {
		s.env = append(s.env, name+"="+dir.Path)
	}
	// Some clients insist on the file of DOCKER_CONFIG.
	if err := os.WriteFile(s.path("config.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	at := ":"
	if !im.ref.Digest.IsZero() {
		at = "@"
	}
	return p.pull(ctx, s, host+"/"+im.ref.Name+at+im.ref.Reference(), im.platform)
}

func crane(ctx context.Context, s shell, ref, platform string) error {
	return s.run(ctx, "crane", "pull", "--insecure", "--platform", platform, "--format", "oci", ref, s.path("layout"))
}

func skopeo(ctx context.Context, s shell, ref, platform string) error {
	system, arch, _ := strings.Cut(platform, "/")
	return s.run(ctx, "skopeo", "--insecure-policy", "--override-os", system, "--override-arch", arch,
		"copy", "--src-tls-verify=false", "docker://"+ref, "dir:"+s.path("image"))
}

func podman(ctx context.Context, s shell, ref, platform string) error {
	// The machine's own configuration must not matter.
	if err := errors.Join(
		os.WriteFile(s.path("policy.json"), []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o600),
		os.WriteFile(s.path("registries.conf"), []byte("unqualified-search-registries = []\n"), 0o600),
	); err != nil {
		return err
	}
	s.env = append(s.env, "CONTAINERS_REGISTRIES_CONF="+s.path("registries.conf"))
	system, arch, _ := strings.Cut(platform, "/")
	return s.run(ctx, "podman", "--root", s.path("root"), "--runroot", s.path("run"), "--tmpdir", s.path("tmp"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
		"pull", "--quiet", "--tls-verify=false", "--signature-policy", s.path("policy.json"), "--arch", arch, "--os", system, ref)
}

// containerdStarts is how long a daemon may take until it answers.
const containerdStarts = 30 * time.Second

// containerd starts a daemon of its own, and has it fetch the image without unpacking it.
func containerd(ctx context.Context, s shell, ref, platform string) error {
	config := fmt.Sprintf("version = 2\ndisabled_plugins = [%q]\n", "io.containerd.grpc.v1.cri")
	if err := os.WriteFile(s.path("config.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	socket := s.path("c.sock")
	daemon, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// When it ends too early, ctr fails.
		_ = s.run(daemon, "containerd", "--config", s.path("config.toml"), "--log-level", "error",
			"--address", socket, "--root", s.path("root"), "--state", s.path("state"))
	}()
	defer func() {
		stop()
		<-ended
	}()
	ctr := func(args ...string) error {
		return s.run(ctx, "ctr", append([]string{"--address", socket, "--namespace", "admission"}, args...)...)
	}
	starting, cancel := context.WithTimeout(ctx, containerdStarts)
	defer cancel()
	var last error
	if wait.Until(starting, 100*time.Millisecond, func() bool { last = ctr("version"); return last == nil }) != nil {
		return fmt.Errorf("containerd does not answer: %w", last)
	}
	return ctr("content", "fetch", "--plain-http", "--platform", platform, ref)
}

// dockerd returns why Docker's daemon cannot be used.
func dockerd(ctx context.Context) string {
	_, err := command.Run(ctx, command.Command{Name: "docker", Args: []string{"info", "--format", "{{.ID}}"}, Within: 10 * time.Second})
	if err != nil {
		return "no daemon answers: " + err.Error()
	}
	return ""
}

// docker has the machine's daemon pull the image, and removes it again unless it was there before.
func docker(ctx context.Context, s shell, ref, platform string) error {
	there := s.run(ctx, "docker", "image", "inspect", ref) == nil
	err := s.run(ctx, "docker", "pull", "--quiet", "--platform", platform, ref)
	if err == nil && !there {
		err = s.run(context.WithoutCancel(ctx), "docker", "image", "rm", ref)
	}
	return err
}

// ValidClient reports whether name is a client of [Programs].
func ValidClient(name string) bool { return slices.Contains(Programs(), name) }
