package containerd

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ociproxy/test/parts"
)

// BuildPause builds the program that holds the namespaces of pods, and returns its path. It needs Go, so call it outside of
// [parts.Apart].
func BuildPause(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pause")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", file, "./containerd/pause")
	cmd.Dir, cmd.Env = filepath.Join(parts.Root(), "test"), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build ./containerd/pause: %v\n%s", err, out)
	}
	return file
}
