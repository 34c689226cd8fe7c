package logsource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestUnreadable: a directory that may not be read is an error, also below a pattern, which would pass over it.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o700), os.WriteFile(filepath.Join(dir, name, "1.log"), []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	// Root may read everything, so a thread gives that up; it ends with the goroutine, as it stays locked.
	for _, name := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "a")} {
		if err := os.Chmod(name, 0o755); err != nil { //nolint:gosec // others must pass
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "b"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "b"), 0o700) }) //nolint:gosec // for the removal
	patterns := []string{"*/*.log", "b/*.log", "", "*/1.log", "[ab]/*"}
	found := make(chan error, len(patterns)+1)
	go func() {
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			const nobody = 65534
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		}
		for _, pattern := range append(patterns, "a/*") {
			s, err := Parse(t.Context(), filepath.Join(dir, pattern), Options{})
			if err != nil {
				found <- err
				continue
			}
			for _, e := range s.List(t.Context(), Days{}) {
				err = errors.Join(err, e)
			}
			found <- err
		}
	}()
	for _, pattern := range patterns {
		if err := <-found; !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	if err := <-found; err != nil {
		t.Errorf("a directory that may be read: %v", err)
	}
}
