package main

import (
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/demo"
)

func (a *app) demo() *cobra.Command {
	opts := demo.Options{Stdout: a.stdout, Stderr: a.stderr}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small world on loopback: a registry, stores in several clouds, the proxy",
		Long: `demo starts, in this process and on loopback only, an upstream registry with a sample image,
stores in several clouds and regions, and the proxy in front of them. Without --once it prints
what to try and serves until it is stopped. With --once it pulls the image as seven clients,
prints where each was sent, and exits 1 when anything is not as it should be.

With --fail STORE it lets a store fail and come back while clients pull, and shows what happens: who
got their layers from where, when the proxy took the store out of service and when it came back.
It ends after some twenty seconds, with 1 when a pull failed or the store did not come back.`,
		Example: `  oci-proxy demo
  oci-proxy demo --listen 127.0.0.1:5050
  oci-proxy demo --once --output json
  oci-proxy demo --fail aws-us-east-1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Output = a.format.String()
			return demo.Run(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Once, "once", false, "pull as seven clients, print what happened, exit")
	cmd.Flags().StringVar(&opts.Fail, "fail", "", "let this `store` fail and come back while clients pull")
	_ = cmd.RegisterFlagCompletionFunc("fail", cobra.FixedCompletions(demo.Stores(), cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringVar(&opts.Listen, "listen", "", "`address` of the proxy; on loopback; default: "+demo.DefaultListen+", else a free port")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "a client did not get what it should have"})
	return cmd
}
