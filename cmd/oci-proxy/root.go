package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

// app is one run of the program. It holds what the commands share.
type app struct {
	env            func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	format         cli.Format // of output and errors; set by --output
}

// execute parses args and runs the command they name.
func (a *app) execute(ctx context.Context, args []string) error {
	return cli.Execute(ctx, a.root(), args)
}

func (a *app) root() *cobra.Command {
	root := cli.Root(&cobra.Command{
		Use:   "oci-proxy",
		Short: "Send container pulls to the nearest, cheapest, healthy copy of each layer",
		Long: `oci-proxy stands behind a registry's name. For each pull it finds out the client's cloud and
region, and redirects the client to the nearest, cheapest, healthy copy of each layer. It stores no
images and moves no layer bytes itself.`,
		Example: `  oci-proxy init config.yaml                              # a first config from a few answers
  oci-proxy check config.yaml                             # is the config right?
  oci-proxy explain --config config.yaml --ip 192.0.2.7   # why would this client go there?
  oci-proxy serve --config config.yaml`,
	}, thisBuild(), a.initConfig(), a.serve(), a.check(), a.explain(), a.routes(), a.schema(), cli.VersionCommand(thisBuild(), &a.format))
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	return root
}
