package promotesign

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/clients"
	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/registry"
)

// insecure are cosign's flags for registries on plain HTTP.
var insecure = []string{"--allow-http-registry", "--allow-insecure-registry"}

// TestSlowCosign signs an image with oci-proxyctl and with cosign, in either order. Each must verify what the other
// signed.
func TestSlowCosign(t *testing.T) {
	parts.Slow(t)
	reg := registry.Start(t)
	dir := t.TempDir()
	for _, name := range []string{"ours", "theirs"} {
		clients.Cosign(t, dir, "generate-key-pair", "--output-key-prefix", name)
	}
	sign := append([]string{"sign", "--key", "theirs.key", "--use-signing-config=false", "--tlog-upload=false", "-y"}, insecure...)
	verify := func(t *testing.T, key, ref string) {
		t.Helper()
		out := clients.Cosign(t, dir, append(append([]string{"verify", "--key", key + ".pub", "--insecure-ignore-tlog=true"}, insecure...), ref)...)
		if _, digest, _ := strings.Cut(ref, "@"); !strings.Contains(out, digest) {
			t.Errorf("cosign verify printed %s", out)
		}
	}
	for i, c := range []struct {
		name    string
		flags   []string
		ours    bool // we sign first
		classic bool // cosign writes into the same list
	}{
		{"classic after ours", []string{"--new-bundle-format=false"}, true, true},
		{"ours after classic", []string{"--new-bundle-format=false"}, false, true},
		{"ours after a bundle", nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := image.New(t, byte(10+i), 1<<10)
			repo := fmt.Sprintf("prod%d/app", i)
			img.Push(t, reg.Addr, repo, "v1")
			ref := reg.Addr + "/" + repo + "@" + img.Digest
			tree := plain(t, reg.Addr, repo, img.Digest)
			theirs := func() { clients.Cosign(t, dir, append(append(sign, c.flags...), ref)...) }
			if !c.ours {
				theirs()
			}
			signOurs(t, tree, dir, 1)
			if c.ours {
				verify(t, "ours", ref)
				theirs()
			}
			signOurs(t, tree, dir, 0)
			// If there is a bundle, cosign 3 reads nothing else.
			if c.classic {
				verify(t, "ours", ref)
			}
			verify(t, "theirs", ref)
			for key, code := range map[string]int{"ours": 0, "theirs": 0} {
				r := ctl.Run(t, ctl.Limit, nil, "promote", "verify", tree, "--key", filepath.Join(dir, key+".pub"))
				if r.Code != code {
					t.Errorf("promote verify with the key %s: %s", key, r)
				}
			}
		})
	}
}

// plain writes a manifest of one image that is in place.
func plain(t *testing.T, host, repo, digest string) string {
	t.Helper()
	dir, name := filepath.Split(repo)
	file := filepath.Join(t.TempDir(), "plain.yaml")
	text := fmt.Sprintf("registries:\n- {name: %s/staging, src: true}\n- {name: %s/%s}\nimages:\n- name: %s\n  dmap:\n    %q: [v1]\n",
		host, host, strings.TrimSuffix(dir, "/"), name, digest)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// signOurs signs with oci-proxyctl and expects want new signatures.
func signOurs(t *testing.T, tree, dir string, want int) {
	t.Helper()
	r := ctl.Run(t, ctl.Limit, []string{"COSIGN_PASSWORD="}, "promote", "sign", tree, "--sign-key", filepath.Join(dir, "ours.key"), "-o", "json")
	if r.Code != 0 || !strings.Contains(r.Stdout, fmt.Sprintf(`"signed": %d`, want)) {
		t.Fatalf("want %d new: %s", want, r)
	}
}
