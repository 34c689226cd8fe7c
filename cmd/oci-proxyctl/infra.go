package main

import (
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

func (a *app) infra() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "infra",
		Short: "Make the infrastructure from the config, and compare the two",
		Long: `infra connects the config with the modules in deploy/terraform. The config is the one source: it
says which stores exist and what stands in front of the servers. The buckets, roles and load
balancers follow from it.`,
		Example: `  oci-proxyctl infra export --config config.yaml --out stores.auto.tfvars.json
  oci-proxyctl infra check --config config.yaml --tfvars stores.auto.tfvars.json
  tofu output -json | oci-proxyctl infra import --config config.yaml --outputs - --dry-run`,
	}, a.infraExport(), a.infraCheck(), a.infraImport())
}
