package parts

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// janitor is a shell that outlives this process by a moment and ends what it left: programs with their children,
// mounts, directories. A test process that is killed, that panics or is over its time runs no cleanups.
type janitor struct {
	mu   sync.Mutex
	pipe *os.File // its standard input; the kernel closes our end, whatever we die of
}

// sweep reads `start GROUP` and `end GROUP` of process groups; at the end of its input it sweeps, below $1 too.
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
`

// sweeper is the janitor of this process. All temporary directories of its tests lie in one: that of [testing.T.TempDir]
// and those of the programs.
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends us by our group must not end it
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &janitor{pipe: write}, os.Setenv("TMPDIR", dir)
}

// dieWithGo lets the kernel end this process with the go command that started it: killed, that leaves its tests running.
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

// started and ended tell of a process group.
func (j *janitor) started(group int) { j.tell("start", group) }
func (j *janitor) ended(group int)   { j.tell("end", group) }

func (j *janitor) tell(verb string, group int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pipe != nil {
		_, _ = fmt.Fprintf(j.pipe, "%s %d\n", verb, group)
	}
}
