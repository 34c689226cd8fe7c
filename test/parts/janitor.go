package parts

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// janitor is a shell that outlives this process by a moment and cleans up after it: programs with their children,
// mounts, directories, control groups. It is needed because a test process runs no cleanups if it is killed, panics or
// exceeds its time limit.
type janitor struct {
	mu   sync.Mutex
	pipe *os.File // the shell's standard input; the kernel closes our end, however we die
}

// sweep reads `start GROUP` and `end GROUP` for process groups. At the end of its input it kills the remaining groups,
// and removes all mounts and files below $1, and the control groups that have its name (see [Cgroup]).
const sweep = `
trap '' HUP INT QUIT TERM
groups=
while read -r verb group; do
  rest=
  for g in $groups; do [ "$g" = "$group" ] || rest="$rest $g"; done
  groups=$rest
  [ "$verb" = end ] || groups="$groups $group"
done
for g in $groups; do kill -s KILL -- "-$g"; done
while read -r _ at _; do
  case $at in "$1"/*) umount -l "$at" ;; esac
done </proc/self/mounts
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
for group in /sys/fs/cgroup/"${1##*/}" /sys/fs/cgroup/*/"${1##*/}"; do
  [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || { sleep 1; find "$group" -depth -type d -exec rmdir {} +; }
done
`

// sweeper is the janitor of this process. All temporary directories of its tests, from [testing.T.TempDir] and of the
// programs, are in one directory.
var sweeper = func() *janitor {
	j, err := hire()
	if err != nil {
		fmt.Fprintln(os.Stderr, "parts: nobody will clean up should the tests be killed:", err)
		return &janitor{}
	}
	dieWithGo()
	return j
}()

func hire() (*janitor, error) {
	dir, err := os.MkdirTemp("", "oci")
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", sweep, "sh", dir)
	cmd.Dir, cmd.Stdin = "/", read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a kill of our group must not end it
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &janitor{pipe: write}, os.Setenv("TMPDIR", dir)
}

// dieWithGo makes the kernel end this process with the go command that started it. A killed go command leaves its tests
// running.
func dieWithGo() {
	parent := os.Getppid()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || strings.TrimSpace(string(comm)) != "go" {
		return
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	if os.Getppid() != parent {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}

// started and ended report a process group to the janitor.
func (j *janitor) started(group int) { j.tell("start", group) }
func (j *janitor) ended(group int)   { j.tell("end", group) }

func (j *janitor) tell(verb string, group int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pipe != nil {
		_, _ = fmt.Fprintf(j.pipe, "%s %d\n", verb, group)
	}
}
