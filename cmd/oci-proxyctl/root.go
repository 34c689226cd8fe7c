package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/outbound"
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
	build := cli.ThisBuild(version)
	root := cli.Root(&cobra.Command{
		Use:   program,
		Short: "Operate the stores of oci-proxy",
		Long: `oci-proxyctl is the tool of the people who operate oci-proxy and its stores. It reads the same
config file as the server.`,
		Example: `  oci-proxyctl mirror --config config.yaml --dry-run       # what would be copied, and what it costs
  oci-proxyctl mirror --config config.yaml                 # fill the stores
  oci-proxyctl audit --config config.yaml                  # does every store have every blob?
  oci-proxyctl probe registry.example.org --image pause:3.9 # would every client get it?
  oci-proxyctl promote plan registry.example.org/ --out plan.json
  oci-proxyctl inventory verify --config config.yaml --store s3-use1 --random 20`,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if cmd.Parent() == nil || cmd.Name() == "version" {
				return
			}
			for _, fault := range outbound.EnvironmentFaults() {
				fmt.Fprintf(a.stderr, "warning: %v\n", fault)
			}
		},
	}, build, a.inventory(), a.audit(), a.config(), a.console(), a.endpoints(), a.front(), a.infra(), a.mirror(), a.plan(), a.probe(), a.promote(), a.purge(), a.ranges(), a.region(), a.replay(), a.report(), a.rollout(), a.store(), a.key(), a.record(),
		cli.VersionCommand(build, &a.format))
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	return root
}

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string
