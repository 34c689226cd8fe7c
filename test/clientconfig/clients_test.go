package clientconfig

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/test/containerd"
	"ociproxy/test/parts"
)

// limit is how long one command may take on a busy machine.
const limit = 3 * time.Minute

// client is a program that pulls.
type client struct {
	name    string   // as the page names it, with the version
	version []string // the command that prints the version
	// open prepares the client in a room. What it returns pulls the image.
	open func(t *testing.T, r *room) func(ref string) error
}

// room is where one client lives: a directory with its files.
type room struct {
	dir string
	env []string
	// blocks are those of the page that the client uses, with the names of this machine.
	blocks []block
}

// file returns the room's file of a block, of which the end of the path is given.
func (r *room) file(t *testing.T, end string) string {
	t.Helper()
	for _, b := range r.blocks {
		if strings.HasSuffix(b.path, end) {
			return b.path
		}
	}
	t.Fatalf("no block has the path …%s", end)
	return ""
}

// command returns the command of the block that is one, without the prompt. There is at most one more, which installs a
// certificate and is not returned.
func (r *room) command(t *testing.T) string {
	t.Helper()
	for _, b := range r.blocks {
		if b.path == "" && !strings.Contains(b.text, "install ") {
			return commandOf(b)
		}
	}
	t.Fatal("no block is a command")
	return ""
}

func commandOf(b block) string {
	return strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(b.text), "$ "), "sudo ")
}

// sh runs a command of the page in the room.
func (r *room) sh(t *testing.T, command string, env ...string) error {
	t.Helper()
	args := append([]string{"-C", r.dir}, append(slices.Clone(r.env), env...)...)
	_, err := parts.Try(t, limit, "/usr/bin/env", append(args, "sh", "-ec", command)...)
	return err
}

// cri pulls by containerd, over CRI, as a kubelet does.
func cri(version int) func(*testing.T, *room) func(string) error {
	return func(t *testing.T, r *room) func(string) error {
		d := containerd.StartFile(t, version, r.file(t, "/config.toml"), r.env...)
		return func(ref string) error { d.PullCRI(t, ref); return nil }
	}
}

// ctr runs the command of the page.
func ctr(version int) func(*testing.T, *room) func(string) error {
	folder := map[int]string{1: "", 2: "containerd2/"}[version]
	return func(t *testing.T, r *room) func(string) error {
		file := filepath.Join(r.dir, "empty.toml")
		write(t, file, "")
		d := containerd.StartFile(t, version, file, r.env...)
		path := "PATH=" + filepath.Dir(parts.Find(t, folder+"ctr")) + ":/usr/bin:/bin"
		return func(string) error {
			return r.sh(t, r.command(t), "CONTAINERD_ADDRESS="+d.Socket, "CONTAINERD_NAMESPACE=test", path)
		}
	}
}

// policy accepts images without a signature.
const policy = `{"default": [{"type": "insecureAcceptAnything"}]}`

// noRegistries keeps the machine's own registries.conf out of the test.
func noRegistries(t *testing.T, r *room) {
	t.Helper()
	write(t, filepath.Join(r.dir, ".config/containers/registries.conf"), "")
}

func skopeo(t *testing.T, r *room) func(string) error {
	noRegistries(t, r)
	program := parts.Find(t, "skopeo")
	return func(ref string) error {
		return r.sh(t, fmt.Sprintf("%s --insecure-policy --override-os linux --override-arch amd64 copy docker://%s dir:%s",
			program, ref, filepath.Join(t.TempDir(), "image")))
	}
}

// engine pulls by podman or buildah, into a store of its own.
func engine(program string, flags ...string) func(*testing.T, *room) func(string) error {
	return func(t *testing.T, r *room) func(string) error {
		parts.NeedRoot(t)
		noRegistries(t, r)
		file := filepath.Join(r.dir, "policy.json")
		write(t, file, policy)
		command := append([]string{parts.Find(t, program), "--root", filepath.Join(r.dir, "store"), "--runroot", filepath.Join(r.dir, "run"),
			"--storage-driver", "vfs"}, flags...)
		command = append(command, "pull", "--quiet", "--signature-policy", file, "--os", "linux", "--arch", "amd64")
		return func(ref string) error { return r.sh(t, strings.Join(append(command, ref), " ")) }
	}
}

// command runs the command of the page, a program of .bin.
func command(t *testing.T, r *room) func(string) error {
	return func(string) error {
		return r.sh(t, r.command(t), "PATH="+parts.Dir()+":/usr/bin:/bin")
	}
}

var (
	containerd1 = client{"containerd 1.6", []string{"containerd", "--version"}, cri(1)}
	ctr1        = client{"ctr 1.6", []string{"ctr", "--version"}, ctr(1)}
	containerd2 = client{"containerd 2.4", []string{"containerd2/containerd", "--version"}, cri(2)}
	ctr2        = client{"ctr 2.4", []string{"containerd2/ctr", "--version"}, ctr(2)}
	podman      = client{"podman 4.3", []string{"podman", "--version"}, engine("podman", "--cgroup-manager", "cgroupfs", "--events-backend", "file")}
	buildah     = client{"buildah 1.28", []string{"buildah", "--version"}, engine("buildah")}
	skopeo1     = client{"skopeo 1.9", []string{"skopeo", "--version"}, skopeo}
	crane       = client{"crane 0.22", []string{"crane", "version"}, command}
	regctl      = client{"regctl 0.11", []string{"regctl", "version"}, command}
)

// The versions that the page names are those that were tested.
func TestVersions(t *testing.T) {
	all := map[string]client{}
	for _, p := range pulls {
		if !p.slow {
			all[p.client.name] = p.client
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) { all[name].check(t) })
	}
}

func (c client) check(t *testing.T) {
	t.Helper()
	_, number, _ := strings.Cut(c.name, " ")
	if out := parts.Run(t, limit, parts.Find(t, c.version[0]), c.version[1:]...); !strings.Contains(out, number+".") {
		t.Errorf("%s says that it is %s", c.name, out)
	}
}
