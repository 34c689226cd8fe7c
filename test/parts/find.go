package parts

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// Root returns the directory of the main module, the parent of this module.
func Root() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("parts: no caller information")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Dir returns the directory that scripts/parts.sh installs into: $OCIPROXY_PARTS, or .bin in the main module.
func Dir() string {
	if dir := os.Getenv("OCIPROXY_PARTS"); dir != "" {
		return dir
	}
	return filepath.Join(Root(), ".bin")
}

// Find returns the path of a program. It takes a name with a slash (containerd2/ctr), or a program that is installed in
// Dir, from Dir. It takes any other program from PATH.
//
// If there is no such program, Find skips the test. If OCIPROXY_REQUIRE_PARTS is set, Find fails the test, so that a
// run that must be complete cannot pass by testing nothing.
func Find(t testing.TB, name string) string {
	t.Helper()
	if file := filepath.Join(Dir(), name); executable(file) {
		return file
	}
	if filepath.Base(name) == name {
		if file, err := exec.LookPath(name); err == nil {
			return file
		}
		// Debian keeps daemons out of a user's PATH, and the plugins for the networks of pods too.
		for _, dir := range []string{"/usr/sbin", "/usr/lib/cni"} {
			if file := filepath.Join(dir, name); executable(file) {
				return file
			}
		}
	}
	missing(t, "no %s: `make parts` installs it", name)
	return ""
}

// ShortDir returns a temporary directory with a short name. The name from t.TempDir includes the test's name, and a
// socket's path has at most 107 bytes; podman wants less than 50.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "part")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return dir
}

// NeedRoot skips a test that only root can run, because containerd mounts file systems. If parts are required, it fails
// the test.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "this test needs root")
	}
}

// Slow skips a test that belongs to `make test-all` only.
func Slow(t testing.TB) {
	t.Helper()
	if os.Getenv("OCIPROXY_SLOW") == "" {
		t.Skip("slow: runs under `make test-all` (OCIPROXY_SLOW=1)")
	}
}

// Together runs n tests of a package at a time, unless -parallel says otherwise. It is for tests that wait more than
// they compute.
func Together(m *testing.M, n int) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set {
		if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// Exhaustive reports whether long tests try everything (OCIPROXY_SLOW=all, `make test-exhaustive`). If not, they try a
// part of it.
func Exhaustive() bool { return os.Getenv("OCIPROXY_SLOW") == "all" }

// OneIn returns a function that selects one case in n, always the same ones. If tests are [Exhaustive], it selects all.
func OneIn(n int) (takes func() bool) {
	i := -1
	return func() bool { i++; return Exhaustive() || i%n == 0 }
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("OCIPROXY_REQUIRE_PARTS") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Source returns the directory of a module's source, which scripts/parts.sh links. Without it the test is skipped, or
// fails, as with [Find].
func Source(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(Dir(), name)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		missing(t, "no %s: `make parts` links it", name)
	}
	return dir
}
