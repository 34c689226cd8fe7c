package main

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/focus"
)

// reportFocus is the command that writes our estimate for the tools that finance has.
func (a *app) reportFocus() *cobra.Command {
	var how reporting
	cmd := &cobra.Command{
		Use:   "focus",
		Short: "Write the estimated cost as cost data in the format FOCUS",
		Long: `focus writes what report counts and prices as cost data in the format FOCUS ` + focus.WrittenVersion + ` (focus.finops.org),
a CSV file with a row for each meter and client place. The rows sum to the bill that report prints.
The columns x_ClientCloud and x_ClientRegion say where the clients are, x_Store which store served
them, and x_CostWithoutProxy what the same downloads would have cost from canonical.

The costs are estimates, not a bill of the provider: InvoiceId is empty. Do not load them beside the
provider's own cost data without a filter, because every cost would be there twice.

docs/reconciling-bills.md explains the columns.`,
		Example: `  oci-proxyctl report focus --config config.yaml --rollup s3://logs/rollup/ --out estimate.csv
  oci-proxyctl report focus --config config.yaml --prometheus http://prometheus:9090 --per day --out estimate.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runReportFocus(cmd.Context(), &how) },
	}
	a.sourceFlags(cmd, &how)
	outFlag(cmd, &how.out)
	cli.Exits(cmd, cli.Invalid, cli.ExitCode{Code: cli.CodeFailure, Means: "a source cannot be read, no source has anything of these days, or interrupted"})
	return cmd
}

func (a *app) runReportFocus(ctx context.Context, how *reporting) error {
	r, _, _, err := a.makeReport(ctx, how, true)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := focus.Write(&text, r.Charges()); err != nil {
		return err
	}
	if err := a.writeOut(text.Bytes(), how.out); err != nil || how.out == "" || how.out == "-" {
		return err
	}
	for _, w := range r.Warnings {
		a.warn("%s", cli.OneLine(w))
	}
	return nil
}
