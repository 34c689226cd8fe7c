package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/manifest"
)

func (a *app) promote() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "promote",
		Short: "Make production equal to what reviewed manifests say",
		Long: `promote reads manifests that say which digests of which staging registries belong in production, and
under which tags. The formats are those of the Kubernetes image promoter. A thin tree is a directory
DIR with DIR/manifests/<project>/promoter-manifest.yaml and DIR/images/<project>/images.yaml. A
plain manifest is one file with both.`,
		Example: `  oci-proxyctl promote check registry.example.org/
  oci-proxyctl promote fmt -w registry.example.org/
  oci-proxyctl promote plan registry.example.org/ --config config.yaml --out plan.json`,
	}, a.promoteCheck(), a.promoteFmt(), a.promotePlan(), a.promoteApply(), a.promoteRun(), a.promoteSign(), a.promoteSnapshot(),
		a.promoteSchema(), a.promoteVerify())
}

// manifests reads the part of a tree that may be promoted, and prints warnings. If strict, every warning is an error.
func (a *app) manifests(path string, strict bool) (*manifest.Tree, error) {
	tree, err := manifest.Load(path)
	if tree, err = tree.Hold(err, strict); err != nil {
		return nil, invalidManifests(err)
	}
	for _, f := range tree.Warnings {
		fmt.Fprint(a.stderr, "warning: ", f.Text())
	}
	return tree, nil
}

// invalidManifests gives faults in manifests the exit code for invalid input. It returns other errors unchanged.
func invalidManifests(err error) error {
	if faults, bad := errors.AsType[*manifest.Errors](err); bad {
		return &cli.Error{Err: faults, Hint: "promote check shows warnings too", Code: cli.CodeInvalid}
	}
	return err
}
