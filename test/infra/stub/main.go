// Command stub stands in for the Terraform providers aws, azurerm and google, which cannot be had in tests. It knows every
// argument of them with its type (test/infra/schema), so OpenTofu checks modules as with the real ones. It plans and applies,
// and creates nothing. What the real providers check beside names and types, it does not: enumerations, conflicts, limits.
//
// It is the provider that its file is named after: terraform-provider-aws.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"

	"ociproxy/test/infra/schema"
)

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-")
	if err := run(name); err != nil {
		fmt.Fprintf(os.Stderr, "terraform-provider-%s: %v\n", name, err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(name string) error {
	schemas, err := schema.Load(name)
	if err != nil {
		return err
	}
	p, err := newProvider(schemas)
	if err != nil {
		return err
	}
	return tf5server.Serve("registry.opentofu.org/hashicorp/"+name, func() tfprotov5.ProviderServer { return p })
}
