package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/manifest"
)

func (a *app) promote() *cobra.Command {
	return group(&cobra.Command{
		Use:   "promote",
		Short: "Make production equal to what reviewed manifests say",
		Long: `promote reads manifests that say which digests of which staging registries are production, and under which
tags. The formats are those of the Kubernetes image promoter: a thin tree is a directory DIR with
DIR/manifests/<project>/promoter-manifest.yaml and DIR/images/<project>/images.yaml; a plain manifest is one file
with both.`,
		Example: `  oci-proxyctl promote check registry.example.org/
  oci-proxyctl promote fmt -w registry.example.org/
  oci-proxyctl promote plan registry.example.org/ --config config.yaml -o plan.json`,
	}, a.promoteCheck(), a.promoteFmt(), a.promotePlan(), a.promoteApply(), a.promoteRun(), a.promoteSign(), a.promoteSnapshot(),
		a.promoteSchema(), a.promoteVerify())
}

// manifests reads what of a tree may be promoted; strict: every warning is an error. It tells of warnings.
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

// strictFlag is the flag of the commands that read manifests.
func strictFlag(cmd *cobra.Command, strict *bool) {
	cmd.Flags().BoolVar(strict, "strict", false, "take every warning about the manifests for an error")
}

// notNegative refuses numbers below zero for flags of cmd: they mean nothing, and would be taken for the default.
func notNegative(cmd *cobra.Command, flags ...string) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range flags {
			if text := cmd.Flag(name).Value.String(); strings.HasPrefix(text, "-") || text == "NaN" {
				return cli.Usage("leave it out for the default", "--%s %s: it cannot be negative", name, text)
			}
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

// invalidManifests gives the faults of manifests the exit code for invalid input. Other errors pass.
func invalidManifests(err error) error {
	if faults, bad := errors.AsType[*manifest.Errors](err); bad {
		return &cli.Error{Err: faults, Hint: "promote check shows warnings too", Code: cli.CodeInvalid}
	}
	return err
}
