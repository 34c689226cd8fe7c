package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// role is the environment variable that says what a process of this test binary plays: a benchmark, or `go run` that
// has started one.
const role = "OCIPROXY_TEST_ROLE"

func TestMain(m *testing.M) {
	switch how, _ := strings.CutPrefix(os.Getenv(role), "bench "); os.Getenv(role) {
	case "":
		os.Exit(m.Run()) //nolint:forbidigo // this is a main
	case "go":
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), role+"=bench waits")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		_ = cmd.Run()
	default:
		code := Run("test", func(ctx context.Context, dir string) error { return benchmark(ctx, dir, how) })
		os.Exit(code) //nolint:forbidigo // this is a main
	}
}

// benchmark starts a server, prints its process id, and ends in the way that how names.
func benchmark(ctx context.Context, dir, how string) error {
	if _, err := os.CreateTemp("", "large"); err != nil {
		return err
	}
	server := Command(ctx, "sleep", "1000")
	if how == "children" {
		server = Command(ctx, "sh", "-c", "sleep 1000 & echo $! >"+filepath.Join(dir, "child")+".new; mv "+filepath.Join(dir, "child")+"{.new,}; wait")
		server.Args[0] = "bash"
		server.Path, _ = exec.LookPath("bash")
	}
	if _, err := Start(server); err != nil {
		return err
	}
	pid := fmt.Sprint(server.Process.Pid)
	if how == "children" {
		err := Until(ctx, time.Minute, time.Millisecond, func() bool {
			child, err := os.ReadFile(filepath.Join(dir, "child"))
			pid = strings.TrimSpace(string(child))
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	fmt.Println(pid)
	switch how {
	case "fails":
		return errors.New("as told")
	case "panics":
		panic("as told")
	case "computes":
		select {}
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestRun(t *testing.T) {
	const none = syscall.Signal(0)
	for _, tt := range []struct {
		how  string
		sig  syscall.Signal
		code int
	}{
		{"waits", syscall.SIGINT, 130},
		{"waits", syscall.SIGTERM, 130},
		{"waits", syscall.SIGHUP, 130},
		{"computes", syscall.SIGTERM, 130},
		{"children", syscall.SIGTERM, 130},
		{"fails", none, 1},
		{"panics", none, 2},
	} {
		t.Run(fmt.Sprintf("%s, %v", tt.how, tt.sig), func(t *testing.T) {
			t.Parallel()
			b := start(t, t.TempDir(), os.Args[0], "bench "+tt.how)
			if tt.sig != none {
				b.signal(t, tt.sig)
			}
			_ = b.cmd.Wait()
			if code := b.cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if tt.how == "children" {
				// The child was killed too, but not by its parent, so Wait did not wait until it had ended.
				eventually(t, "the server's child ends", func() bool { return gone(b.server) })
			} else if !gone(b.server) {
				t.Error("the server is still there")
			}
			b.empty(t)
		})
	}
}

// A killed benchmark cannot clean up. The kernel ends its server, and the next run removes its directory, but not that
// of a benchmark that still runs.
func TestRunKilled(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	killed, runs := start(t, tmp, os.Args[0], "bench waits"), start(t, tmp, os.Args[0], "bench waits")
	killed.signal(t, syscall.SIGKILL)
	_ = killed.cmd.Wait()
	eventually(t, "the server of a killed benchmark ends", func() bool { return gone(killed.server) })
	if n := len(killed.left(t)); n != 2 {
		t.Fatalf("%d directories before the next start, want 2", n)
	}
	next := start(t, tmp, os.Args[0], "bench fails")
	_ = next.cmd.Wait()
	if n := len(next.left(t)); n != 1 || gone(runs.server) {
		t.Errorf("%d directories after the next start, want that of the other benchmark", n)
	}
	runs.signal(t, syscall.SIGTERM)
	_ = runs.cmd.Wait()
	runs.empty(t)
}

// `go run` passes on no signal except the terminal's, and when it ends, its child goes on.
func TestRunUnderGo(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			tool := filepath.Join(t.TempDir(), "go")
			if err := os.Symlink(os.Args[0], tool); err != nil {
				t.Fatal(err)
			}
			b := start(t, t.TempDir(), tool, "go")
			b.signal(t, sig)
			_ = b.cmd.Wait()
			eventually(t, "the server ends", func() bool { return gone(b.server) })
			eventually(t, "the directory goes", func() bool { return len(b.left(t)) == 0 })
		})
	}
}

// started is a benchmark in a process of its own.
type started struct {
	cmd    *exec.Cmd
	tmp    string
	server int
}

func start(t *testing.T, tmp, program, as string) *started {
	t.Helper()
	b := &started{cmd: exec.Command(program), tmp: tmp}
	b.cmd.Env = append(os.Environ(), role+"="+as, "TMPDIR="+tmp)
	// Use our own pipe: with cmd.StdoutPipe, Wait would wait for the server too.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.cmd.Stdout = w
	if testing.Verbose() {
		b.cmd.Stderr = os.Stderr
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		r.Close()
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		if b.server != 0 {
			_ = syscall.Kill(b.server, syscall.SIGKILL)
		}
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &b.server); err != nil {
		t.Fatalf("it says %q, want the server's process id", line)
	}
	return b
}

func (b *started) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := b.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// left returns what is in the temporary directory.
func (b *started) left(t *testing.T) []os.DirEntry {
	t.Helper()
	left, err := os.ReadDir(b.tmp)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func (b *started) empty(t *testing.T) {
	t.Helper()
	for _, e := range b.left(t) {
		t.Errorf("%s is left", e.Name())
	}
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	if err := Until(t.Context(), time.Minute, 5*time.Millisecond, done); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
