package main

import (
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

// thisBuild is what this binary was made from.
func thisBuild() cli.Build { return cli.ThisBuild(version) }

func (a *app) version() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return thisBuild().Write(a.stdout, "oci-proxy", a.format)
		},
	}
	a.outputFlag(cmd)
	cli.Exits(cmd)
	return cmd
}
