package tutorial

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"ociproxy/test/clients"
	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
	"ociproxy/test/seaweedfs"
	"ociproxy/test/shop"
)

// TestVersitygw makes a bucket with the commands of docs/s3-compatible.md, and uses Berlin of examples/s3-compatible.yaml.
func TestVersitygw(t *testing.T) {
	example(t, "berlin", "objects.berlin.example.internal:7070", s3.Start(t, "us-east-1").Backend())
}

// TestSlowSeaweedFS does the same with Hamburg. Ceph, in Munich, does not run on this machine.
func TestSlowSeaweedFS(t *testing.T) {
	parts.Slow(t)
	example(t, "hamburg", "objects.hamburg.example.internal:8333", seaweedfs.Start(t, "us-east-1").Addr)
}

// example reduces the example to the store of one site, as its first comment says. It replaces the hosts, listens on
// free ports and takes this machine for a client of the site. Then it goes all the way, from an empty server to a pull.
func example(t *testing.T, site, host, server string) {
	reg, front := registry.Start(t), gate.New(t, server)
	img := image.New(t, 1, 10<<10, 1<<20)
	img.Push(t, reg.Addr, "team/app", "1.0")
	at := strings.NewReplacer(host, front.Addr, "registry.berlin.example.internal:5000", reg.Addr)

	makeBucket(t, front.URL)

	c := reduced(t, site, at)
	file := filepath.Join(t.TempDir(), "config.yaml")
	c.Write(t, file)
	keys := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(keys, []byte("["+site+"]\naws_access_key_id = test\naws_secret_access_key = test-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := slices.Concat(shop.Environment, []string{"AWS_SHARED_CREDENTIALS_FILE=" + keys})
	for _, args := range [][]string{{"mirror", "--dry-run"}, {"mirror"}, {"audit", "--deep"}} {
		if r := ctl.Run(t, ctl.Limit, env, append(args, "--config", file)...); r.Code != 0 {
			t.Fatalf("%v: %v", args, r)
		}
	}
	parts.Run(t, limit, proxy.Binary(t), "check", file, "--live", "--image", "team/app:1.0")
	p := proxy.StartFile(t, file, c)
	mark := reg.Mark()
	front.Take()
	clients.CranePull(t, p.Addr+"/team/app:1.0", "linux/amd64")

	want, got := map[string]bool{}, map[string]bool{}
	for _, blob := range img.Arch["amd64"].Blobs {
		want["/layers/containers/images/"+blob.Digest] = true
	}
	for _, e := range front.Take() {
		if e.Method == http.MethodGet && e.Status == http.StatusOK && strings.Contains(e.Path, "/containers/images/") && strings.HasPrefix(e.Agent, "crane") {
			got[e.Path] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what crane got from the store (-want +got)\n%s", diff)
	}
	for _, a := range reg.Since(mark) {
		if a.Method == http.MethodGet && strings.Contains(a.Path, "/blobs/") {
			t.Errorf("the registry sent %s", a.Path)
		}
	}
}

// reduced returns examples/s3-compatible.yaml with one site.
func reduced(t *testing.T, site string, at *strings.Replacer) proxy.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "examples", "s3-compatible.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c := map[string]any{}
	if err := yaml.Unmarshal([]byte(at.Replace(string(text))), &c); err != nil {
		t.Fatal(err)
	}
	one := func(list any, key, value string) proxy.Map {
		for _, entry := range list.(proxy.List) {
			if m := entry.(proxy.Map); m[key] == value {
				return m
			}
		}
		t.Fatalf("the example has no %s: %s", key, value)
		return nil
	}
	place := "onprem/" + site
	c["stores"] = proxy.List{one(c["stores"], "name", site)}
	ranges := c["ranges"].(proxy.Map)
	clients := one(ranges["overrides"], "place", place)
	clients["cidr"] = "127.0.0.0/8"
	ranges["overrides"] = proxy.List{clients}
	c["mirror"].(proxy.Map)["spool"] = proxy.Map{"dir": t.TempDir()} // runs on one machine each need their own
	return proxy.Config(c).With(proxy.Map{"listen": parts.FreeAddr(t), "admin": parts.FreeAddr(t)})
}

// makeBucket runs the commands of docs/s3-compatible.md as far as the config, in the root of the project.
func makeBucket(t *testing.T, url string) {
	t.Helper()
	dir := t.TempDir()
	link(t, filepath.Join(dir, "deploy"), filepath.Join(parts.Root(), "deploy"))
	s := newShell(t, shellOptions{dir: dir, env: shop.Environment})
	for _, one := range steps(t, "s3-compatible.md") {
		switch {
		case strings.HasPrefix(one.command, "store="):
			one.command = "store=" + url
		case strings.HasPrefix(one.command, "export AWS_ACCESS_KEY_ID="):
			continue // they are in the environment
		case strings.HasPrefix(one.command, "oci-proxyctl"):
			return
		}
		s.check(t, &one)
	}
	t.Fatal("docs/s3-compatible.md does not go on with the mirror")
}

func link(t *testing.T, name, file string) {
	t.Helper()
	if err := os.Symlink(file, name); err != nil {
		t.Fatal(err)
	}
}
