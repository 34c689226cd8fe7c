package promote

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/test/clients"
	"ociproxy/test/containerd"
	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// insecure are cosign's flags for registries on plain HTTP.
var insecure = []string{"--allow-http-registry", "--allow-insecure-registry"}

// TestSlowSigned promotes multi-arch images that cosign signed in staging, and only those. It signs them in production
// with another key. Then cosign verifies them and containerd pulls them, through the proxy from several places.
func TestSlowSigned(t *testing.T) {
	parts.Slow(t)
	parts.NeedRoot(t)
	t.Parallel()
	w := newScene(t).world(t, source.Shape{Images: 1, Repos: 1, Seed: 90, Smallest: 1 << 10, Largest: 4 << 10})
	apps := w.projects[0]
	keys := t.TempDir()
	for _, name := range []string{"build", "release"} {
		clients.Cosign(t, keys, "generate-key-pair", "--output-key-prefix", name)
	}
	sign := append([]string{"sign", "--key", "build.key", "--use-signing-config=false", "--tlog-upload=false", "-y", "--recursive"}, insecure...)
	apps.images = nil
	for i, name := range []string{"signed", "unsigned"} {
		img := image.New(t, byte(100+i), 30<<10, 200<<10)
		repo := w.name + "/staging/library/" + name
		img.Push(t, w.staging.Addr, repo, "v1")
		apps.images = append(apps.images, source.Pushed{Repo: "library/" + name, Tag: "v1", Digest: img.Digest})
		if name == "signed" {
			// Use the name that the manifests have: a signature says which image it is for.
			clients.Cosign(t, keys, append(sign, w.front.Addr+"/"+repo+"@"+img.Digest)...)
		}
	}
	w.projects = []*project{apps}
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	all := w.writeTree(t, nil)
	signed := all[0]
	o := w.observe(t)
	o.mu.Lock()
	o.signs = true
	o.mu.Unlock()
	env := append([]string{"COSIGN_PASSWORD="}, shop.Environment...)
	run := func(more ...string) (report, ctl.Ran) {
		args := append([]string{"promote", "run", w.dir, "--confirm", "--policy-key", filepath.Join(keys, "build.pub"),
			"--sign-key", filepath.Join(keys, "release.key")}, w.runFlags(more...)...)
		return decodeRun(t, ctl.Run(t, ctl.Limit, env, args...))
	}
	const policy = 16
	got, r := run("--policy", "require")
	class(t, "run that requires signatures", r, partly|policy)
	if len(got.Failures) != 1 || got.Failures[0].Digest != all[1].digest {
		t.Errorf("failures: %+v", got.Failures)
	}
	o.look(t)
	if found, err := newAPI(w.prod[0].Addr).digest(w.repository(all[1], apps.to[0]), "v1"); found != "" || err != nil {
		t.Errorf("the unsigned image is visible: %q, %v", found, err)
	}
	verify := append([]string{"verify", "--insecure-ignore-tlog=true"}, insecure...)
	canonical := w.gates[0].Addr + "/" + w.repository(signed, apps.to[0]) + "@" + signed.digest
	hops := w.proxies(t)
	daemon := containerd.Start(t, 1)
	for place, h := range hops {
		at := h.Addr + "/" + signed.image + "@" + signed.digest
		// In staging, cosign 3 has signed in its new format. Where cosign finds that format, it reads the old one,
		// which our signatures have, only with a flag.
		for _, which := range [][]string{{"--key", "build.pub"}, {"--key", "release.pub", "--new-bundle-format=false"}} {
			if out := clients.Cosign(t, keys, append(append(slices.Clone(verify), which...), at)...); !strings.Contains(out, signed.digest) {
				t.Errorf("%s: cosign verify %v printed %s", place, which, out)
			}
		}
		host := strings.ReplaceAll(place, "/", "-") + ".registry.test"
		daemon.Mirror(t, host, h.Addr)
		ref := host + "/" + signed.image + ":v1"
		h.Take()
		daemon.Pull(t, ref, "linux/amd64")
		daemon.Remove(t, ref)
		stores := 0
		for _, x := range h.Take() {
			if x.Method == http.MethodGet && strings.Contains(x.Location, "/containers/images/") {
				stores++
			}
		}
		if aws := strings.HasPrefix(place, "aws/"); aws && stores == 0 {
			t.Errorf("%s: no blob of %s came from a store", place, ref)
		}
	}
	if out := clients.Cosign(t, keys, append(verify, "--key", "release.pub", "--new-bundle-format=false", canonical)...); !strings.Contains(out, signed.digest) {
		t.Errorf("cosign verify printed %s", out)
	}
	_, r = run("--policy", "warn")
	class(t, "run that warns", r, 0)
	o.look(t)
	for _, e := range all {
		if found, err := newAPI(w.prod[1].Addr).digest(w.repository(e, apps.to[1]), "v1"); found != e.digest {
			t.Errorf("%s:v1 is %q, %v", e.image, found, err)
		}
	}
	if r := w.promote(t, "verify", w.dir, "--config", w.file, "--rate", "5000", "--key", filepath.Join(keys, "release.pub")); r.Code != 0 {
		t.Errorf("verify with the key: %v", r)
	}
}
