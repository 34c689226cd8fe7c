package parts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"ociproxy/bench/process"
)

// Build builds a command of the main module and returns the path of the program. All processes that test it share one
// build. If variable is set in the environment, it names a program that was built before (for a release, or with
// coverage).
//
// The program is in the main module's own .bin/test, so that `go build` can find it up to date. Several working copies
// may share the installed parts, but their programs differ.
func Build(t testing.TB, name, variable string) string {
	t.Helper()
	if file := os.Getenv(variable); file != "" {
		return file
	}
	built.Lock()
	defer built.Unlock()
	if file := built.files[name]; file != "" {
		return file
	}
	file := filepath.Join(Root(), ".bin", "test", name)
	if err := build(Root(), file, "./cmd/"+name); err != nil {
		t.Fatal(err)
	}
	built.files[name] = file
	return file
}

// BuildTest builds a command of the tests' own module, such as ./infra/stub, and returns the path of the program.
func BuildTest(t testing.TB, command string, flags ...string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if file := built.files[command]; file != "" {
		return file
	}
	file := filepath.Join(Root(), ".bin", "test", filepath.Base(command))
	if err := build(filepath.Join(Root(), "test"), file, command, flags...); err != nil {
		t.Fatal(err)
	}
	built.files[command] = file
	return file
}

var built = struct {
	sync.Mutex
	files map[string]string // by name or path of the command
}{files: map[string]string{}}

// build writes file, one process at a time: a process must not start a program that another one is writing. dir is the
// directory of the module.
func build(dir, file, command string, flags ...string) error {
	return alone(file, func() error {
		// Build as `make build` does, so that the tests use the code that is shipped, and Go compiles it only once.
		args := slices.Concat([]string{"build", "-tags", process.Tags, "-trimpath"}, flags, []string{"-o", file, command})
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", command, err, out)
		}
		return nil
	})
}

// alone calls make, which makes file, while no other process does so.
func alone(file string, make func() error) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return make()
}
