//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

// withGroup puts a program into a process group of its own, which is killed as a whole.
func withGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
