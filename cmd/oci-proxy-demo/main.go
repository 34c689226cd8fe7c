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
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var format cli.Format
	err := cli.Execute(ctx, command(stdout, stderr, &format), args)
	return cli.Report(stderr, "oci-proxy-demo", format, err)
}

func command(stdout, stderr io.Writer, format *cli.Format) *cobra.Command {
	opts := demo.Options{Stdout: stdout, Stderr: stderr}
	cmd := &cobra.Command{
		Use:   "oci-proxy-demo",
		Short: "Run a small world on loopback: a registry, stores in several clouds, the proxy",
		Long: `oci-proxy-demo starts, in this process and on loopback only, two upstream
registries with a sample image, five stores in several clouds and regions, and the proxy in front
of them. Without flags it prints what you can try, and serves until you press Ctrl-C. With --once
it pulls the image as seven clients, prints where the proxy sent each of them, and exits 1 when a
client did not get what it should.

With --fail STORE it stops a store while clients pull, and starts it again. It shows from where the
clients got their layers, when the proxy took the store out of service, and when the store was back
in service. It ends after about twenty seconds. The exit code is 1 when a pull failed or the store
did not come back into service.`,
		Example: `  oci-proxy-demo
  oci-proxy-demo --listen 127.0.0.1:5050
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
	flags.StringVar(&opts.Listen, "listen", "", "`address` of the proxy; on loopback; default: "+demo.DefaultListen+", else a free port")
	cli.OutputFlag(cmd, format)
	// The flag was just defined, so no error is possible.
	_ = cmd.RegisterFlagCompletionFunc("fail", cobra.FixedCompletions(demo.Stores(), cobra.ShellCompDirectiveNoFileComp))
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "a client did not get what it should have"})
	return cmd
}
