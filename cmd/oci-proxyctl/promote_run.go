package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/apply"
)

func (a *app) promoteRun() *cobra.Command {
	var p promoteFlags
	var f applyFlags
	var confirm bool
	cmd := &cobra.Command{
		Use:   "run DIR",
		Short: "Make production match the manifests: plan, then apply",
		Long: `run makes a plan from the manifests in DIR and shows it. With --confirm it also carries out the
plan, as promote apply does. Without --confirm it writes nothing.

A project is a manifest in DIR with the images that it names. If it has an error, run holds it back:
it promotes nothing of it, nor of a project that may contradict it. Without a config, or with
--config '', run does not write to stores.`,
		Example: `  oci-proxyctl promote run tree/ --config config.yaml
  oci-proxyctl promote run tree/ --config config.yaml --confirm --audit-log promote.log
  oci-proxyctl promote run tree/ --config config.yaml --confirm --since HEAD~1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.runPromoteRun(cmd.Context(), args[0], confirm, &p, &f)
			if confirm {
				err = a.thenSign(cmd.Context(), args[0], &p, &f, err)
			}
			return err
		},
	}
	p.flags(a, cmd)
	f.flags(cmd)
	confirmFlag(cmd, &confirm)
	cli.OutputFlag(cmd, &a.format)
	runExits(cmd)
	return cmd
}

func (a *app) runPromoteRun(ctx context.Context, path string, confirm bool, p *promoteFlags, f *applyFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	file, err := atomicfile.Scratch("", "oci-proxy-plan")
	if err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	defer atomicfile.CloseScratch(file)
	p.storeTimeout = f.storeTimeout
	sum, err := a.planInto(ctx, path, file, p)
	if err != nil {
		return err
	}
	if a.format != cli.JSON {
		if err := a.writePlan(sum, ""); err != nil {
			return err
		}
	}
	if !confirm || sum.Planned == 0 {
		return a.planned(sum, confirm)
	}
	plan, err := apply.ReadPlan(file)
	if err != nil {
		return err
	}
	if a.format != cli.JSON {
		fmt.Fprintln(a.stdout)
	}
	report, err := a.apply(ctx, plan, p, f, true)
	if err != nil {
		return err
	}
	return a.applyResult(report, sum, p.config)
}

// planInto makes a plan and writes it to a file.
func (a *app) planInto(ctx context.Context, path string, file *os.File, flags *promoteFlags) (_ *promote.Summary, err error) {
	p, err := a.preparePlan(ctx, path, flags)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := p.close(ctx); err == nil {
			err = e
		}
	}()
	out := planOutput{}
	out.to(file)
	return p.make(ctx, promote.Header{
		Made: time.Now().UTC().Truncate(time.Second), By: program + " " + cli.ThisBuild(version).Version,
		Manifests: p.tree.Path, Hash: p.tree.Hash, Since: flags.since,
	}, &out)
}

// planned ends a run that writes nothing: either it is not allowed to, or there is nothing to write.
func (a *app) planned(sum *promote.Summary, confirm bool) error {
	if a.format == cli.JSON {
		if err := cli.WriteJSON(a.stdout, appliedPlan{Plan: sum}); err != nil {
			return err
		}
	} else if !confirm && sum.Planned > 0 {
		fmt.Fprintln(a.stdout, "Nothing was written: --confirm does it.")
	}
	if code := sum.Code(); code != 0 {
		return cli.Exit(code)
	}
	return nil
}
