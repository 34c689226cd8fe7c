package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

// reporting holds the flags of report.
type reporting struct {
	config, prometheus, begin, end, per, out string
	logs, rollups, billing                   []string
	top                                      int
}

// report is a command that also has commands below it: without one of them it prints the report.
func (a *app) report() *cobra.Command {
	var how reporting
	cmd := cli.Group(&cobra.Command{
		Use:   "report",
		Short: "Say what the traffic cost, and what the proxy saved",
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runReport(cmd.Context(), &how) }
	f := cmd.Flags()
	cli.ConfigFlag(cmd, &how.config, a.env)
	prometheusFlag(cmd, &how.prometheus)
	f.StringArrayVar(&how.logs, "logs", nil, "access `logs` of stores or of the proxy: a file, a pattern, s3://…, gs://…, azblob://…, or - for stdin; may be repeated")
	f.StringArrayVar(&how.rollups, "rollup", nil, "`directory` or URL of roll-ups; may be repeated")
	f.StringArrayVar(&how.billing, "billing", nil, "`file` with cost data in the format FOCUS (CSV, gzip or Parquet); may be repeated")
	f.StringVar(&how.begin, "begin", "", "first `day`, for example 2026-11-01; default: the first day of the last whole month")
	f.StringVar(&how.end, "end", "", "`day` after the last one; default: today")
	f.StringVar(&how.per, "per", "month", "`period` of the tables: day or month")
	f.IntVar(&how.top, "top", 20, "`number` of rows of a table to show; 0: all")
	notNegative(cmd, "top")
	for former, name := range map[string]string{"since": "begin", "until": "end", "by": "per"} {
		cli.FormerFlag(cmd, former, name)
	}
	outFlag(cmd, &how.out)
	cmd.SetFlagErrorFunc(fileIsOut)
	cli.OutputFlag(cmd, &a.format, cli.Markdown)
	cli.Exits(cmd, cli.Invalid, cli.ExitCode{Code: cli.CodeFailure, Means: "a source cannot be read, or interrupted"})
	// After the flags, which are not those of the commands below: a.reportRollup(), a.reportFocus().
	return cmd
}

func (a *app) runReport(ctx context.Context, how *reporting) error {
	if _, err := a.loaded(ctx, how.config); err != nil {
		return err
	}
	return errors.New("not yet")
}
