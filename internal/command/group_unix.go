//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

// withGroup puts a program into its own process group, so that the complete group can be killed.
func withGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
