package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Spec says how a program is started.
type Spec struct {
	Path string   // the program
	Args []string // its arguments, without the name
	Env  []string // added to a minimal environment: PATH, HOME (a temporary directory), no proxies
	Dir  string   // working directory; a temporary one when empty
	// Files are the files that are open in the program, from number 3 on.
	Files []*os.File
	// Ready is polled until it returns nil. Nil: do not wait.
	Ready func() error
	// Quiet keeps the output out of a failing test's log.
	Quiet bool
	// Abrupt ends the program by SIGKILL. Use it for a program that is slow to end after SIGTERM.
	Abrupt bool
}

// Process is a running program. At the end of the test it is ended with its complete process group.
type Process struct {
	Name   string
	Output *Output // standard output and error, interleaved

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been reaped
	err  error         // from Wait; read it after done
}

// Start starts the program and waits until it is ready. If a program exits before it is ready, the test fails and shows
// the program's output.
func Start(t testing.TB, s Spec) *Process {
	t.Helper()
	p, err := start(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func start(t testing.TB, s Spec) (*Process, error) {
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Dir = s.Dir
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	cmd.Env = append(Env(t), s.Env...)
	// The program has its own group, so that its children can be ended too. If the test binary is killed, the kernel
	// ends the program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{Name: filepath.Base(s.Path), Output: &Output{}, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Output, p.Output
	cmd.ExtraFiles = s.Files
	// A child that outlives the program must not keep Wait from returning.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	sweeper.started(cmd.Process.Pid)
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill(s.Abrupt)
		if t.Failed() && !s.Quiet {
			t.Logf("last output of %s:\n%s", p.Name, p.Output.Tail(20))
		}
	})
	if s.Ready == nil {
		return p, nil
	}
	err := poll(t.Context(), Ready, func() error {
		select {
		case <-p.done:
			return nil // checked below: stop polling
		default:
			return s.Ready()
		}
	})
	if !p.Running() {
		err = fmt.Errorf("it exited: %w", p.err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: not ready: %w\n%s", p.Name, strings.Join(s.Args, " "), err, p.Output.Tail(20))
	}
	return p, nil
}

// Running reports whether the program has not exited yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program alone, not to its children.
func (p *Process) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %s: %v", p.Name, err)
	}
}

// Wait waits until the program has exited and returns its exit code: -1 if a signal ended it.
func (p *Process) Wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("%s still runs after %v", p.Name, limit)
		return -1
	}
}

// kill ends the complete group: by SIGTERM, and after five seconds by SIGKILL.
func (p *Process) kill(abrupt bool) {
	group := -p.cmd.Process.Pid
	if !abrupt {
		_ = syscall.Kill(group, syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
		}
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.done
	sweeper.ended(p.cmd.Process.Pid)
}

// Run runs a program to its end within the limit and returns its standard output. If it fails, the test fails and shows
// all that the program printed.
func Run(t testing.TB, limit time.Duration, path string, args ...string) string {
	t.Helper()
	out, err := Try(t, limit, path, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// said is how many lines of each output of a program that failed are in the error. It is more than any tool says about
// faults that a test looks for: OpenTofu writes a dozen lines about each, in any order.
const said = 200

// Try runs a program like Run, but returns the failure to the caller, with the end of what the program printed.
func Try(t testing.TB, limit time.Duration, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var stdout, stderr Output
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = t.TempDir(), Env(t)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(path), strings.Join(args, " "), err,
			stdout.Tail(said), stderr.Tail(said))
	}
	return stdout.String(), nil
}

// Env returns the environment of every program: what it needs to run, and none of the developer's own settings.
func Env(t testing.TB) []string {
	return []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(),
		"OTEL_TRACES_EXPORTER=none", "NO_PROXY=*", "LANG=C.UTF-8"}
}
