//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/wait"
)

// A program that hangs is killed with all its children, including those that keep its output open.
func TestKilledWithItsGroup(t *testing.T) {
	for name, script := range map[string]string{
		"it hangs":            "echo $$; exec sleep 1000",
		"its child hangs":     "sleep 1000 & echo $!; wait",
		"it ignores the end":  "trap '' TERM INT HUP; echo $$; while :; do sleep 1000; done",
		"a child in the pipe": "(echo $$; sleep 1000) | cat",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Run(t.Context(), Command{Name: "sh", Args: []string{"-c", script}, Within: 300 * time.Millisecond})
			if !errors.Is(err, ErrLate) || !strings.HasPrefix(err.Error(), "sh: within 300ms: ") {
				t.Fatalf("%v, want ErrLate", err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := wait.Until(ctx, 10*time.Millisecond, func() bool { return gone(pid) }); err != nil {
				t.Errorf("process %d lives on", pid)
			}
		})
	}
}

// gone reports whether the process does not exist or is only a zombie.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(string(state), "Z")
}

func TestRun(t *testing.T) {
	ended, cancel := context.WithCancelCause(t.Context())
	errEnough := errors.New("enough")
	cancel(errEnough)
	for name, tt := range map[string]struct {
		ctx    context.Context
		script string
		max    int64
		out    string
		want   string // of the error
		is     error
	}{
		"all is well":             {script: "cat; echo noise >&2", out: "input"},
		"a child stays":           {script: "echo done; sleep 5 >&1 &", out: "done\n"},
		"it fails":                {script: "echo out; echo first >&2; printf 'last\\n\\tline' >&2; exit 3", out: "out\n", want: "sh: exit status 3: first last line"},
		"it says too much":        {script: "head -c 100000 /dev/zero", max: 1000, want: "sh: " + ErrOutput.Error(), is: ErrOutput},
		"much on standard error":  {script: fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x >&2; exit 1", 10*maxReason), want: "sh: exit status 1: " + strings.Repeat("x", maxReason)},
		"the caller has given up": {ctx: ended, script: "sleep 1000", want: "sh: enough", is: errEnough},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			out, err := Run(ctx, Command{Name: "sh", Args: []string{"-c", tt.script}, Stdin: strings.NewReader("input"), MaxOutput: tt.max})
			if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if string(out) != tt.out && tt.max == 0 {
				t.Errorf("wrote %q, want %q", out, tt.out)
			}
		})
	}
	if _, err := Run(t.Context(), Command{Name: "no-such-program"}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}
