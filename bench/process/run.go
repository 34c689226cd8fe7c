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
	// interrupted is the exit code after a signal; shells use it for SIGINT.
	interrupted = 130
	// grace is how long a benchmark may take to notice a signal. A benchmark that only computes never notices.
	grace = 5 * time.Second
)

// Run calls run with a temporary directory and returns the process's exit code. Temporary files of the benchmark and
// its programs go to the same directory. name is used in messages and in the directory's name.
//
// The context ends with the first SIGINT, SIGTERM or SIGHUP. Soon after, Run returns even if run does not. Further
// signals change nothing: the kernel sends one for each thread of a parent that dies.
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

// within calls run and waits for it, but not for long after the end of the context. It removes the directory in any
// case.
func within(ctx context.Context, dir *ownedDir, run func(ctx context.Context, dir string) error) error {
	done := make(chan error, 1)
	go func() {
		// Clean up in this goroutine, so that a panic cannot skip it.
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
