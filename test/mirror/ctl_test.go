package mirror

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
)

var build = sync.OnceValues(func() (string, error) {
	file := filepath.Join(parts.Dir(), "test", "oci-proxyctl")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", file, "./cmd/oci-proxyctl")
	cmd.Dir = parts.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/oci-proxyctl: %w\n%s", err, out)
	}
	return file, nil
})

// binary is the built oci-proxyctl; $OCIPROXYCTL_BINARY names one that was built before.
func binary(t testing.TB) string {
	t.Helper()
	if file := os.Getenv("OCIPROXYCTL_BINARY"); file != "" {
		return file
	}
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// ran is a program that has ended.
type ran struct {
	code           int // -1: a signal ended it
	stdout, stderr string
	peak           int64 // resident memory at most, in bytes
	took           time.Duration
}

func (r ran) String() string {
	return fmt.Sprintf("exit code %d\n%s\n%s", r.code, tail(r.stdout, 60), tail(r.stderr, 60))
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// testLimit is enough for any one command on small data.
const testLimit = 3 * time.Minute

// running is a program that may not have ended yet.
type running struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	began          time.Time
	done           chan error
}

// start starts oci-proxyctl.
func start(t testing.TB, env []string, args ...string) *running {
	t.Helper()
	r := &running{cmd: exec.CommandContext(t.Context(), binary(t), args...), began: time.Now(), done: make(chan error, 1)}
	r.cmd.Dir, r.cmd.Env = t.TempDir(), append(parts.Env(t), env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.cmd.WaitDelay = 5 * time.Second
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	return r
}

// wait waits for its end.
func (r *running) wait(t testing.TB, limit time.Duration) ran {
	t.Helper()
	select {
	case err := <-r.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
	case <-time.After(limit):
		_ = r.cmd.Process.Signal(syscall.SIGQUIT) // says where it hangs
		<-r.done
		t.Fatalf("%s still runs after %v\n%s", strings.Join(r.cmd.Args[1:], " "), limit, tail(r.stderr.String(), 200))
	}
	usage, _ := r.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return ran{code: r.cmd.ProcessState.ExitCode(), stdout: r.stdout.String(), stderr: r.stderr.String(),
		peak: usage.Maxrss << 10, took: time.Since(r.began)}
}

// ctl runs oci-proxyctl to its end.
func ctl(t testing.TB, limit time.Duration, env []string, args ...string) ran {
	t.Helper()
	r := start(t, env, args...).wait(t, limit)
	if r.took > 3*time.Second {
		t.Logf("%v: %v", args, r.took.Round(time.Millisecond))
	}
	return r
}

// decode reads the JSON document that a command printed.
func decode[T any](t testing.TB, text string) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("decode %.400q: %v", text, err)
	}
	return out
}
