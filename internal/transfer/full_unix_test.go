//go:build linux || darwin

package transfer

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/set"
)

// TestFullDisk: when the disk takes no more, the blob that met this fails. Small blobs continue, and after a while
// large ones are tried again.
//
// The limit holds for a complete process, so the test runs in a process of its own.
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
	synctest.Test(t, func(t *testing.T) {
		signal.Ignore(syscall.SIGXFSZ)
		limit := func(n uint64) {
			var was syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
				t.Fatal(err)
			}
			was.Cur = n
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
				t.Skip("the size of files cannot be limited: ", err)
			}
		}
		o, heaps := newOrigin(), three()
		var full atomic.Int32
		e := engine(t, o, Options{Observe: func(ev Event) {
			if ev.Kind == Full {
				full.Add(1)
			}
		}}, heaps...)
		limit(2 * tiny)
		large := o.add(made(t, 1, 3*tiny))
		for _, r := range ensure(t, e, large, all3, set.Set{}) {
			if !errors.Is(r.Err, ErrSpace) {
				t.Errorf("no space, and yet %+v", r)
			}
		}
		start := time.Now()
		for _, r := range ensure(t, e, o.add(made(t, 2, 6_000)), all3, set.Set{}) {
			if r.Err != nil || time.Since(start) > 0 {
				t.Errorf("a small one: %+v after %s", r, time.Since(start))
			}
		}
		limit(1 << 30)
		for _, r := range ensure(t, e, large, all3, set.Set{}) {
			if r.Err != nil {
				t.Errorf("with space again: %+v", r)
			}
		}
		if d := time.Since(start); d < fullFor-time.Second || d > 2*fullFor {
			t.Errorf("tried again after %s", d)
		}
		synctest.Wait()
		if s := e.Stats(); full.Load() != 1 || s.Disk != 0 {
			t.Errorf("%d events, %d bytes taken", full.Load(), s.Disk)
		}
	})
}
