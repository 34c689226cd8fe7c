package parts

import (
	"bufio"
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

// A test process that is killed leaves no programs, no children of programs, no directories, no mounts and no control
// groups.
func TestKilled(t *testing.T) {
	if os.Getenv("PARTS_VICTIM") != "" {
		victim(t)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "PARTS_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	var child int
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, e := fmt.Sscanf(line, "left %s %d", &dir, &child); e != nil {
		t.Fatalf("it said %q: %v, %v", line, e, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	Poll(t, Ready, "what a killed test left", func() error {
		if err := syscall.Kill(child, 0); err == nil && !zombie(child) {
			return fmt.Errorf("process %d lives", child)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %w", dir, err)
		}
		mounts, err := os.ReadFile("/proc/self/mounts")
		if strings.Contains(string(mounts), dir) {
			err = errors.New("a mount is left")
		}
		if groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + filepath.Base(dir)); len(groups) > 0 {
			err = errors.Join(err, fmt.Errorf("left: %v", groups))
		}
		return err
	})
}

// zombie reports whether the process has ended but was not reaped yet.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// victim starts a program that starts another one, prints both, and waits to be killed.
func victim(t *testing.T) {
	file := filepath.Join(t.TempDir(), "child")
	Start(t, Spec{
		Path: "/bin/sh", Args: []string{"-c", `sleep 600 & echo $! >"$1".new; mv "$1".new "$1"; wait`, "sh", file},
		Ready: func() error { _, err := os.Stat(file); return err },
	})
	child, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// Nothing of this without permission.
		_ = exec.Command("mount", "-t", "tmpfs", "tmpfs", t.TempDir()).Run()
		groups, _ := makeGroups(filepath.Base(os.Getenv("TMPDIR")))
		for _, group := range groups {
			_ = os.Mkdir(filepath.Join(group, "below"), 0o700)
		}
	}
	fmt.Printf("left %s %s", os.Getenv("TMPDIR"), child)
	<-time.After(Ready)
}
