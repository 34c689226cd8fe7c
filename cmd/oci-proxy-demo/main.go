// Command oci-proxy-demo runs oci-proxy on loopback, together with everything around it: registries, stores in
// several clouds, and clients. See oci-proxy-demo --help.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/demo"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	// In the background of a shell, a read of the terminal fails instead of stopping the demo.
	signal.Ignore(syscall.SIGTTIN)
	os.Exit(run(ctx, os.Args[1:], typed(os.Stdin), os.Stdout, os.Stderr))
}

// typed returns the standard input if it is a terminal or a pipe, on which somebody may type. Else it returns nil.
func typed(stdin *os.File) io.Reader {
	if st, err := stdin.Stat(); cli.IsInteractive(stdin) || err == nil && st.Mode()&os.ModeNamedPipe != 0 {
		return stdin
	}
	return nil
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var format cli.Format
	err := cli.Execute(ctx, command(stdin, stdout, stderr, &format), args)
	return cli.Report(stderr, "oci-proxy-demo", format, err)
}

func command(stdin io.Reader, stdout, stderr io.Writer, format *cli.Format) *cobra.Command {
	opts := demo.Options{Stdin: stdin, Stdout: stdout, Stderr: stderr}
	cmd := &cobra.Command{
		Use:   "oci-proxy-demo",
		Short: "Run a small world on loopback: a registry, stores in several clouds, the proxy",
		Long: `oci-proxy-demo starts, in this process and on loopback only, two upstream
registries with a sample image, five stores in several clouds and regions, and the proxy in front
of them. Without flags it prints what you can try and the address of the console, and serves until
you press Ctrl-C. Meanwhile clients in nine places pull all the time, so that there is something to
see in the console; --idle leaves them out. Type the name of a store and press Enter to stop the
store, and again to start it. With --output json, each change of a store is a line too.

With --once it pulls the image as seven clients, prints where the proxy sent each of them, and exits
1 when a client did not get what it should.

With --fail STORE it stops a store while clients pull, and starts it again. It shows from where the
clients got their layers, when the proxy took the store out of service, and when the store was back
in service. It ends after about twenty seconds. The exit code is 1 when a pull failed or the store
did not come back into service.

In a container, --published makes the demo listen on every address, on ten ports from 5050 on.
Publish them on 127.0.0.1 of the host under the same numbers: the demo believes whoever reaches it.`,
		Example: `  oci-proxy-demo
  oci-proxy-demo --listen 127.0.0.1:5050
  oci-proxy-demo --idle
  oci-proxy-demo --once --output json
  oci-proxy-demo --fail aws-us-east-1`,
		Args: cobra.NoArgs,

		SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Output = format.String()
			return demo.Run(cmd.Context(), opts)
		},
	}
	cli.VersionFlag(cmd, cli.ThisBuild(version))
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.SetHelpTemplate(cmd.HelpTemplate() + cli.ExitsHelp)
	flags := cmd.Flags()
	flags.BoolVar(&opts.Once, "once", false, "pull as seven clients, print what happened, exit")
	flags.StringVar(&opts.Fail, "fail", "", "let this `store` fail and come back while clients pull")
	flags.BoolVar(&opts.Idle, "idle", false, "pull nothing while serving: the console shows only what you pull")
	flags.StringVar(&opts.Listen, "listen", "", "`address` of the proxy; on loopback; default: "+demo.DefaultListen+", else a free port")
	flags.BoolVar(&opts.Published, "published", false, "for containers: listen on every address, on ten ports from that of --listen on")
	cli.OutputFlag(cmd, format)
	// The flag was just defined, so no error is possible.
	_ = cmd.RegisterFlagCompletionFunc("fail", cobra.FixedCompletions(demo.Stores(), cobra.ShellCompDirectiveNoFileComp))
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "a client did not get what it should have"})
	return cmd
}
