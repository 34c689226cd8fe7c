package images

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"ociproxy/test/containerd"
	"ociproxy/test/parts"
)

// loadCompose reads compose.yaml with the library of Docker Compose: strictly, against the schema.
func loadCompose(ctx context.Context, env ...string) (*types.Project, error) {
	opts, err := cli.NewProjectOptions([]string{filepath.Join(parts.Root(), "compose.yaml")}, cli.WithEnv(env))
	if err != nil {
		return nil, err
	}
	return opts.LoadProject(ctx)
}

// demoService returns the one service of compose.yaml. It checks the settings that keep other machines on the network
// away from the demo.
func demoService(t *testing.T, image string) types.ServiceConfig {
	t.Helper()
	project, err := loadCompose(t.Context(), "DEMO_IMAGE="+image)
	if err != nil {
		t.Fatal(err)
	}
	s := project.Services["demo"]
	if len(project.Services) != 1 || s.Image != image || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
		!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) || s.User != "" || s.Privileged || len(s.Entrypoint) > 0 {
		t.Errorf("%+v", s)
	}
	for _, p := range s.Ports {
		if p.HostIP != "127.0.0.1" || p.Published != strconv.Itoa(int(p.Target)) {
			t.Errorf("port %+v: want the same port of loopback", p)
		}
	}
	return s
}

// TestCompose: the file is right, and the error says what is missing when the environment names no image.
func TestCompose(t *testing.T) {
	s := demoService(t, "registry.example/oci-proxy-demo:v1")
	if len(s.Ports) != 10 || s.Ports[0].Target != 5050 || s.Ports[9].Target != 5059 {
		t.Errorf("ports %+v", s.Ports)
	}
	for _, page := range []string{"README.md", "docs/images.md"} {
		text, err := os.ReadFile(filepath.Join(parts.Root(), page))
		if err != nil {
			t.Fatal(err)
		}
		// The image's own arguments are the same as in compose.yaml (TestSlowImages).
		if line := "\n$ docker run --rm -p 127.0.0.1:5050-5059:5050-5059 REGISTRY/oci-proxy-demo:VERSION\n"; !strings.Contains(string(text), line) {
			t.Errorf("%s does not have the line %q", page, line)
		}
	}
	if _, err := loadCompose(t.Context()); err == nil || !strings.Contains(err.Error(), "DEMO_IMAGE=REGISTRY/oci-proxy-demo:VERSION") {
		t.Errorf("without an image: %v", err)
	}
}

// compose runs the image with the settings of compose.yaml, in a network of its own, as Compose does. The container
// listens on the published ports and on no others. A client that has these ports on its loopback can pull.
func (m made) compose(t *testing.T) {
	d, ref := m.daemon, m.pulled(t, "oci-proxy-demo")
	s := demoService(t, ref)
	c := containerd.Container{Image: s.Image, Command: append([]string{bin + "oci-proxy-demo"}, s.Command...)}
	for _, dir := range s.Tmpfs {
		c.Mounts = append(c.Mounts, "type=tmpfs,src=tmpfs,dst="+dir+",options=rw:nosuid:nodev")
	}
	demo := d.Run(t, "compose", c)
	parts.Poll(t, time.Minute, "the demo in the container", func() error {
		_, err := demo.Net(parts.Find(t, "curl"), "--silent", "--show-error", "--fail", "http://127.0.0.1:5050/-/ready")
		return err
	})
	confined(t, demo)
	var published []string
	for _, p := range s.Ports {
		published = append(published, fmt.Sprintf("0.0.0.0:%d", p.Target))
	}
	slices.Sort(published)
	if diff := cmp.Diff(published, listening(t, demo.Proc("net/tcp"))); diff != "" {
		t.Errorf("ports (-published +listening)\n%s", diff)
	}
	if out, err := demo.Net(parts.Find(t, "crane"), "pull", "--insecure", "--format", "oci", "127.0.0.1:5050/sample/app:1.0", t.TempDir()); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	demo.Signal(t, syscall.SIGTERM)
	if code := demo.Wait(t, time.Duration(*s.StopGracePeriod)); code != 0 {
		t.Errorf("after SIGTERM: exit code %d\n%s", code, demo.Output.Tail(20))
	}
}

// listening returns the IPv4 addresses on which a process listens, from /proc/net/tcp.
func listening(t *testing.T, table string) (all []string) {
	t.Helper()
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != "0A" { // 0A is TCP_LISTEN
			continue
		}
		addr, port, _ := strings.Cut(f[1], ":")
		ip, err := hex.DecodeString(addr)
		n, perr := strconv.ParseUint(port, 16, 16)
		if err != nil || perr != nil {
			t.Fatalf("line %q", line)
		}
		all = append(all, fmt.Sprintf("%d.%d.%d.%d:%d", ip[3], ip[2], ip[1], ip[0], n))
	}
	slices.Sort(all)
	return all
}
