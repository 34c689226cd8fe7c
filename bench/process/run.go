package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// interrupted is the exit code after a signal, as shells have it for SIGINT.
	interrupted = 130
	// grace is how long a benchmark may take to notice a signal: one that computes does not look.
	grace = 5 * time.Second
)

// Run calls run with a temporary directory, in which also lies what it and its programs put into temporary files, and returns
// the process's exit code. name is what messages and the directory are called.
//
// The context ends with the first SIGINT, SIGTERM or SIGHUP; soon after, Run returns even when run does not. Further ones change
// nothing: the kernel sends one for each thread of a parent that dies.
func Run(name string, run func(ctx context.Context, dir string) error) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	endWithGo()
	sweep()
	dir, err := newDir(name)
	if err == nil {
		err = os.Setenv("TMPDIR", dir.name)
	}
	if err == nil {
		err = within(ctx, dir, run)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, context.Cause(ctx))
		return interrupted
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// within waits for run, but not for long after the end of the context. The directory is removed in any case.
func within(ctx context.Context, dir *ownedDir, run func(ctx context.Context, dir string) error) error {
	done := make(chan error, 1)
	go func() {
		// Here, so that a panic does not go past it.
		defer func() { stopServers(); _ = dir.remove() }()
		done <- run(ctx, dir.name)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(grace):
			err = ctx.Err()
		}
	}
	stopServers()
	return errors.Join(err, dir.remove())
}
