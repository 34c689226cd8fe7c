// Package clients runs the command line programs that pull images: crane, skopeo, podman, regctl, cosign.
//
// It knows their flags for registries on plain HTTP. It must not know what answers them.
package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// limit is how long one command may take. It is long because podman copies every layer on the vfs driver.
const limit = 3 * time.Minute

// CranePull pulls the image of a platform into a new OCI layout.
func CranePull(t testing.TB, ref, platform string) {
	t.Helper()
	parts.Run(t, limit, parts.Find(t, "crane"), "pull", "--insecure", "--platform", platform, "--format", "oci", ref,
		filepath.Join(t.TempDir(), "layout"))
}

// Crane runs crane.
func Crane(t testing.TB, args ...string) string {
	t.Helper()
	return parts.Run(t, limit, parts.Find(t, "crane"), append(args, "--insecure")...)
}

// SkopeoPull copies the image of an architecture into a new directory.
func SkopeoPull(t testing.TB, ref, arch string) {
	t.Helper()
	parts.Run(t, limit, parts.Find(t, "skopeo"), "--insecure-policy", "--override-os", "linux", "--override-arch", arch,
		"copy", "--src-tls-verify=false", "docker://"+ref, "dir:"+filepath.Join(t.TempDir(), "image"))
}

// SkopeoTags lists the tags of a repository.
func SkopeoTags(t testing.TB, repository string) string {
	t.Helper()
	return parts.Run(t, limit, parts.Find(t, "skopeo"), "list-tags", "--tls-verify=false", "docker://"+repository)
}

// PodmanPull pulls an image into a store of its own and returns the image's id.
func PodmanPull(t testing.TB, ref, arch string) string {
	t.Helper()
	parts.NeedRoot(t)
	dir := parts.ShortDir(t)
	// The machine's own configuration must not matter.
	policy, registries := filepath.Join(dir, "policy.json"), filepath.Join(dir, "registries.conf")
	for file, text := range map[string]string{
		policy: `{"default": [{"type": "insecureAcceptAnything"}]}`, registries: "unqualified-search-registries = []\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store := filepath.Join(dir, "store")
	return strings.TrimSpace(parts.Run(t, limit, parts.Find(t, "podman"), "--root", store, "--runroot", filepath.Join(dir, "run"),
		"--tmpdir", filepath.Join(dir, "tmp"), "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
		"pull", "--quiet", "--tls-verify=false", "--signature-policy", policy, "--arch", arch, "--os", "linux", ref))
}

// Regctl runs regctl. It talks to the registry host by plain HTTP.
func Regctl(t testing.TB, host string, args ...string) string {
	t.Helper()
	return parts.Run(t, limit, parts.Find(t, "regctl"), append([]string{"--host", "reg=" + host + ",tls=disabled"}, args...)...)
}

// Cosign runs cosign with an empty password for keys, in the given directory.
func Cosign(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return parts.Run(t, limit, "env", append([]string{"-C", dir, "COSIGN_PASSWORD=", parts.Find(t, "cosign")}, args...)...)
}
