package process

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Command is [exec.CommandContext] for a program that must not outlive us: it has a process group of its own, which is killed
// whole when the context ends, and the kernel kills the program when this process dies. Programs with children of their own
// are started so that those end with them.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A grandchild that holds the output open must not keep Wait from returning.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// servers are the programs that Start started.
var servers struct {
	sync.Mutex
	stops []func()
}

// Start starts a program of [Command] that serves. Its errors go to ours where cmd.Stderr is not set. stop kills it with its
// children and waits for its end; the end of [Run] does it too. Safe for concurrent use, and so is stop.
func Start(cmd *exec.Cmd) (stop func(), err error) {
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return func() {}, err
	}
	stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	servers.Lock()
	servers.stops = append(servers.stops, stop)
	servers.Unlock()
	return stop, nil
}

func stopServers() {
	servers.Lock()
	defer servers.Unlock()
	for _, stop := range servers.stops {
		stop()
	}
	servers.stops = nil
}
