// Command oci-proxyctl is the tool of the operators of oci-proxy and its stores. See oci-proxyctl --help.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ociproxy/internal/cli"
)

const program = "oci-proxyctl"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code. Nothing below it exits, and it may run several times in one process.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	err := a.execute(ctx, args)
	return cli.Report(stderr, program, a.format, err)
}
