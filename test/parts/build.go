package parts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"ociproxy/bench/process"
)

// Build builds a command of the main module, once for all the processes that test it, and returns the path of the
// program. When variable is set in the environment it names one that was built before (for a release, or with coverage).
//
// The program lies in the main module's own .bin/test, where `go build` finds it up to date: installed parts may be
// shared by several working copies, whose programs differ.
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
	if err := build(file, "./cmd/"+name); err != nil {
		t.Fatal(err)
	}
	built.files[name] = file
	return file
}

var built = struct {
	sync.Mutex
	files map[string]string // by name
}{files: map[string]string{}}

// build writes file, one process at a time: nobody may start a program that another is writing.
func build(file, command string) error {
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
	// As `make build` does: what is tested is what is shipped, and it is compiled once.
	cmd := exec.Command("go", "build", "-tags", process.Tags, "-trimpath", "-o", file, command)
	cmd.Dir, cmd.Env = Root(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", command, err, out)
	}
	return nil
}
