//go:build linux || darwin

package inventory_test

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
)

// fullDisk makes every write to a file fail until the returned function is called. Files can still be created.
func fullDisk(t *testing.T) (freed func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	none := was
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &none); err != nil {
		t.Skip("the size of files cannot be limited: ", err)
	}
	freed = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
	t.Cleanup(freed)
	return freed
}

// A full disk stops neither a refresh nor a reload, and the table does not mix up the stores.
//
// The limit holds for a complete process, also for what the go command makes a test binary write. So the test runs in a
// process of its own.
func TestFullDisk(t *testing.T) {
	const alone = "OCIPROXY_TEST_FULL_DISK"
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), alone+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestFullDisk")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	w := newWorld(t, t.TempDir())
	for i, name := range []string{"a", "b", "c"} {
		w.write(name, inventorytest.Blob(1), inventorytest.Blob(10+i))
	}
	f, live := w.follow("a", "b", "c")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	freed := fullDisk(t)
	w.write("a", inventorytest.Blob(20), inventorytest.Gone(1))
	if err := f.Refresh(t.Context()); err == nil {
		t.Error("nobody is told that the disk is full")
	}
	w.expect(live, "a", "b", "c")
	next, err := f.Follow(w.stores("c", "b"))
	if err != nil {
		t.Fatal(err)
	}
	w.expect(next, "c", "b")
	w.expect(live, "a", "b", "c") // the view of the old list
	if d := cmp.Diff([]int{0, 1}, believed(next)); d != "" {
		t.Errorf("believed (-want +got)\n%s", d)
	}
	freed()
	w.write("b", inventorytest.Blob(30))
	if err := f.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	w.expect(next, "c", "b")
	state(t, f, next, inventory.Current, "")
}
