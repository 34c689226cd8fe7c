//go:build linux

package process

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// endWithGo ends us when we were started by `go run` and that is killed, which tells its child nothing.
func endWithGo() {
	parent := os.Getppid()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || string(bytes.TrimSpace(name)) != "go" {
		return
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
	if errno == 0 && os.Getppid() != parent {
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // it died before we asked
	}
}
