package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ociproxy/test/clients"
	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
	"ociproxy/test/shop"
)

// TestInit is the first hour of a new operator: init writes a config for a registry and an empty bucket, check accepts
// it, the mirror fills the bucket, init gives the full bucket traffic, and the server runs on the file as it is.
func TestInit(t *testing.T) {
	const region = "lab"
	reg, store := registry.Start(t), s3.Start(t, region)
	img := image.New(t, 41, 3<<20, 1000)
	img.Push(t, reg.Addr, "library/app", "v1")
	listen, file := parts.FreeAddr(t), filepath.Join(t.TempDir(), "config.yaml")
	initialise := func(more ...string) string {
		t.Helper()
		return parts.Run(t, ctl.Limit, proxy.Binary(t), append([]string{"init", file, "--location", "onprem/lab@52.5,13.4,DE",
			"--registry", reg.URL, "--image", "library/app:v1", "--listen", listen,
			"--bucket", "s3://blobs?region=" + region + "&endpoint=http://" + store.Backend() + "&pathStyle=true"}, more...)...)
	}
	has := func(text string) {
		t.Helper()
		if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), text) {
			t.Fatalf("the config has no %q: %v\n%s", text, err, data)
		}
	}

	out := initialise()
	has("state: filling")
	for _, next := range []string{"oci-proxy check " + file, "oci-proxyctl mirror --config " + file, "oci-proxy serve --config " + file} {
		if !strings.Contains(out, next) {
			t.Errorf("init does not say what to do next, %q:\n%s", next, out)
		}
	}
	if text := parts.Run(t, ctl.Limit, proxy.Binary(t), "check", file, "--live"); !strings.Contains(text, "1 store, 0 warnings") {
		t.Errorf("check has a warning:\n%s", text)
	}
	if ran := ctl.Run(t, ctl.Limit, shop.Environment, "mirror", "--config", file, "--once"); ran.Code != 0 {
		t.Fatalf("mirror: %s", ran)
	}

	initialise("--force")
	has("state: active")
	// This machine may have another server: only the admin port and the cache move.
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	admin := parts.FreeAddr(t)
	for line, value := range map[string]string{"admin": admin, "  cache": t.TempDir()} {
		at := regexp.MustCompile(`(?m)^` + line + `: ".*"$`)
		if !at.Match(data) {
			t.Fatalf("the config has no line for %s:\n%s", line, data)
		}
		data = at.ReplaceAll(data, []byte(line+`: "`+value+`"`))
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	parts.Run(t, ctl.Limit, proxy.Binary(t), "check", file, "--live", "--image", "library/app:v1")

	p := proxy.StartFile(t, file, proxy.Config{"listen": listen, "admin": admin})
	mark := p.Output.Mark()
	clients.CranePull(t, p.Addr+"/library/app:v1", "linux/amd64")
	eventually(t, "the bucket serves the layers", func() error {
		sent := map[string]any{}
		for _, line := range p.Log(mark) {
			if line["kind"] == "blob" {
				sent[fmt.Sprint(line["reference"])] = line["candidate"]
			}
		}
		for _, b := range img.Arch["amd64"].Blobs {
			if sent[b.Digest] != "s3-lab" {
				return fmt.Errorf("%s is from %v", b.Digest, sent[b.Digest])
			}
		}
		return nil
	})
	if resp := do(t, http.MethodGet, p.URL("/-/ready"), nil); resp.StatusCode != http.StatusOK {
		t.Errorf("/-/ready: %s", resp.Status)
	}
}
