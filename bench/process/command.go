package process

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Command is [exec.CommandContext] for a program that must not outlive us. The program has a process group of its own.
// When the context ends, the group is killed. When this process dies, the kernel kills the program. A program with
// children must be started so that the children end with it.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A grandchild that holds the output open must not keep Wait from returning.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// servers holds the stop functions of the programs that Start started.
var servers struct {
	sync.Mutex
	stops []func()
}

// Start starts a server that [Command] made. If cmd.Stderr is not set, the server's errors go to ours. stop kills the
// server and its children and waits until it has ended; the end of [Run] does the same. Start and stop are safe for
// concurrent use.
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
