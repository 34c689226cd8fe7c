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

// endWithGo makes us end with `go run`, if that started us: when `go run` is killed, it does not notify its child.
func endWithGo() {
	parent := os.Getppid()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || string(bytes.TrimSpace(name)) != "go" {
		return
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
	if errno == 0 && os.Getppid() != parent {
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // the parent died before the call
	}
}
