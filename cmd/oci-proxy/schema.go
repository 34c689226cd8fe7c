package main

import (
	"github.com/spf13/cobra"

	"ociproxy/docs"
	"ociproxy/internal/cli"
)

func (a *app) schema() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the config file",
		Long:  "schema prints the JSON schema of the config file, for editors and for checks in a pipeline.",
		Example: `  oci-proxy schema > oci-proxy.schema.json
  # first line of config.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=oci-proxy.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(docs.ConfigSchema)
			return err
		},
	}
	cli.Exits(cmd)
	return cmd
}
