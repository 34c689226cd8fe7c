// Package ctl builds and runs oci-proxyctl.
//
// It knows processes: how they end, their output, the memory they took. It must not know what commands do.
package ctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// Binary returns the path of the built oci-proxyctl. $OCIPROXYCTL_BINARY names one that was built before.
func Binary(t testing.TB) string {
	t.Helper()
	return parts.Build(t, "oci-proxyctl", "OCIPROXYCTL_BINARY")
}

// Ran is a program that has ended.
type Ran struct {
	Code           int // -1: a signal ended it
	Stdout, Stderr string
	Peak           int64 // highest resident memory in bytes, read ten times a second
	Took           time.Duration
}

func (r Ran) String() string {
	return fmt.Sprintf("exit code %d\n%s\n%s", r.Code, tail(r.Stdout, 60), tail(r.Stderr, 60))
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Limit is long enough for any one command on small data.
const Limit = 3 * time.Minute

// Running is a program that may not have ended yet.
type Running struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	began          time.Time
	done           chan error
	peak           int64 // read after done
}

// Start starts oci-proxyctl, with env added to a minimal environment.
func Start(t testing.TB, env []string, args ...string) *Running {
	t.Helper()
	r := &Running{cmd: exec.CommandContext(t.Context(), Binary(t), args...), began: time.Now(), done: make(chan error, 1)}
	r.cmd.Dir, r.cmd.Env = t.TempDir(), append(parts.Env(t), env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.cmd.WaitDelay = 5 * time.Second
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(ended)
	}()
	go func() {
		err := r.cmd.Wait()
		close(ended)
		<-watched
		r.done <- err
	}()
	return r
}

// watch reads the high-water mark of the program's memory. What the kernel reports about an ended child is not usable:
// before a child becomes another program it shares our memory, and the kernel counts that.
func (r *Running) watch(ended <-chan struct{}) {
	status := fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		text, err := os.ReadFile(status)
		if err != nil {
			continue
		}
		if _, rest, ok := strings.Cut(string(text), "\nVmHWM:"); ok {
			var kib int64
			if _, err := fmt.Sscan(rest, &kib); err == nil {
				r.peak = max(r.peak, kib<<10)
			}
		}
	}
}

// Wait waits for the program's end. Call it once.
func (r *Running) Wait(t testing.TB, limit time.Duration) Ran {
	t.Helper()
	select {
	case err := <-r.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
	case <-time.After(limit):
		_ = r.cmd.Process.Signal(syscall.SIGQUIT) // it prints where it hangs
		<-r.done
		t.Fatalf("%s still runs after %v\n%s", strings.Join(r.cmd.Args[1:], " "), limit, tail(r.stderr.String(), 200))
	}
	return Ran{Code: r.cmd.ProcessState.ExitCode(), Stdout: r.stdout.String(), Stderr: r.stderr.String(),
		Peak: r.peak, Took: time.Since(r.began)}
}

// Signal sends a signal. A program that has ended does not get it.
func (r *Running) Signal(sig os.Signal) { _ = r.cmd.Process.Signal(sig) }

// Run runs oci-proxyctl to its end.
func Run(t testing.TB, limit time.Duration, env []string, args ...string) Ran {
	t.Helper()
	r := Start(t, env, args...).Wait(t, limit)
	if r.Took > 3*time.Second {
		t.Logf("%v: %v", args, r.Took.Round(time.Millisecond))
	}
	return r
}

// Decode reads the JSON document that a command printed.
func Decode[T any](t testing.TB, text string) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("decode %.400q: %v", text, err)
	}
	return out
}
