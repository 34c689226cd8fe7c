// Command oci-proxy serves container runtimes that pull through one registry name. It sends each pull of a layer to
// the nearest, cheapest, healthy copy. See oci-proxy --help.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ociproxy/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code. Nothing below it exits, and it may run several times in one process.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	err := a.execute(ctx, args)
	return cli.Report(stderr, "oci-proxy", a.format, err)
}

// hangups turns SIGHUP into reload requests until ctx is done. Signals that arrive while a request is pending are
// merged into it. SIGHUP stays caught permanently, so that a SIGHUP during an orderly shutdown does not kill the
// process.
func hangups(ctx context.Context) <-chan struct{} {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	reload := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				select {
				case reload <- struct{}{}:
				default:
				}
			}
		}
	}()
	return reload
}
