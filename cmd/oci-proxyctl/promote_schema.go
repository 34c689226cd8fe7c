package main

import (
	"github.com/spf13/cobra"

	"ociproxy/docs"
	"ociproxy/internal/cli"
)

func (a *app) promoteSchema() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of manifests",
		Long: `schema prints the JSON schema of the files that promote reads, for editors and for checks in a
pipeline: an images.yaml, a promoter-manifest.yaml, or a plain manifest.`,
		Example: `  oci-proxyctl promote schema > promotion.schema.json
  # first line of a manifest, for editors with a YAML language server:
  # yaml-language-server: $schema=promotion.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(docs.PromotionSchema)
			return err
		},
	}
	cli.Exits(cmd)
	return cmd
}
