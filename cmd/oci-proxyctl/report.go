package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/bill"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/focus"
	"ociproxy/internal/report"
	"ociproxy/internal/traffic"
)

// Formats of report beside those of every command.
const (
	formatCSV  cli.Format = "csv"
	formatHTML cli.Format = "html"
)

// reporting holds the flags of report.
type reporting struct {
	config, prometheus, begin, end, per, out string
	learn                                    string
	rollups, billing, held                   []string
	logs                                     logFlags
	rates                                    []string
	inventories                              bool
	top                                      int
}

// report is a command that also has commands below it: without one of them it prints the report.
func (a *app) report() *cobra.Command {
	var how reporting
	cmd := cli.Group(&cobra.Command{
		Use:   "report",
		Short: "Say what the traffic cost, and what the proxy saved",
		Long: `report says what clients downloaded from where, what that cost, what it would have cost if canonical
had sent everything, and which money is left on the table. It changes nothing.

It takes any mix of sources: the counters of all instances in Prometheus (--prometheus), logs of the
stores and of the proxy (--logs), and roll-ups of such logs (--rollup). Several sources may tell of
the same requests. For each store and day one of them counts: the store's log if it is complete,
then what the proxy knows. The report shows the others beside it and never adds them up.

A proxy does not know which downloads break off. --learn finds it out on days that have the logs of
both the proxy and a store, and corrects what the proxy says of other days.

--billing compares the result with cost data of the provider in the format FOCUS.

To begin, give it the config and one source: --prometheus, or --logs with the log of one bucket.
docs/report.md explains every figure, docs/cost.md what is counted and what is estimated.`,
		Example: `  oci-proxyctl report --config config.yaml --prometheus http://prometheus:9090
  oci-proxyctl report --config config.yaml --rollup s3://logs/rollup/ --begin 2026-10-01 --end 2026-12-01
  oci-proxyctl report --config config.yaml --logs 's3-logs/*' --logs requests.jsonl.gz --per day
  oci-proxyctl report --config config.yaml --logs 's3-logs/*' --logs 'requests/*' --learn 2026-10-01..2026-10-15
  oci-proxyctl report --config config.yaml --prometheus http://prometheus:9090 --billing 'focus/*.parquet'
  oci-proxyctl report --config config.yaml --rollup rollup --output html --out report.html`,
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runReport(cmd.Context(), &how) }
	a.sourceFlags(cmd, &how)
	f := cmd.Flags()
	f.StringArrayVar(&how.billing, "billing", nil, "`file` with cost data in the format FOCUS (CSV, gzip or Parquet); may be repeated")
	exchangeFlag(cmd, &how.rates)
	f.IntVar(&how.top, "top", 20, "`number` of rows of a table to show; 0: all")
	notNegative(cmd, "top")
	outFlag(cmd, &how.out)
	cmd.SetFlagErrorFunc(fileIsOut)
	cli.OutputFlag(cmd, &a.format, formatCSV, formatHTML, cli.Markdown)
	cli.Exits(cmd, cli.Invalid, cli.ExitCode{Code: cli.CodeFailure, Means: "a source cannot be read, no source has anything of these days, or interrupted"})
	// After the flags, which are not those of the commands below.
	cmd.AddCommand(a.reportRollup(), a.reportFocus())
	return cmd
}

// sourceFlags are the flags that say what is counted, and of which days.
func (a *app) sourceFlags(cmd *cobra.Command, how *reporting) {
	f := cmd.Flags()
	cli.ConfigFlag(cmd, &how.config, a.env)
	prometheusFlag(cmd, &how.prometheus)
	how.logs.flags(cmd)
	f.StringArrayVar(&how.rollups, "rollup", nil, "`directory` or URL of roll-ups; may be repeated")
	f.StringVar(&how.learn, "learn", "", "`days` BEGIN..END of --logs to learn from which part of the downloads is cut, for days without the stores' logs")
	f.StringArrayVar(&how.held, "held", nil, "`STORE=SIZE` that a store holds, for the cost of storage; may be repeated")
	f.BoolVar(&how.inventories, "inventories", false, "read the inventories of the stores to learn how much they hold")
	dayFlags(cmd, how)
	f.StringVar(&how.per, "per", "month", "`period` of the tables: day or month")
	cli.FormerFlag(cmd, "by", "per")
}

// dayFlags adds --begin and --end. --since and --until mean the same.
func dayFlags(cmd *cobra.Command, how *reporting) {
	cmd.Flags().StringVar(&how.begin, "begin", "", "first `day`, for example 2026-11-01; default: the first day of the month before the last one")
	cmd.Flags().StringVar(&how.end, "end", "", "`day` after the last one; default: today")
	cli.FormerFlag(cmd, "since", "begin")
	cli.FormerFlag(cmd, "until", "end")
}

// days returns the first day of the report, and the day after the last one.
func (how *reporting) days(now time.Time) (begin, end traffic.Day, err error) {
	now = now.UTC()
	begin = traffic.DayOf(time.Date(now.Year(), now.Month()-2, 1, 0, 0, 0, 0, time.UTC))
	end = traffic.DayOf(now)
	for _, f := range []struct {
		name, text string
		day        *traffic.Day
	}{{"begin", how.begin, &begin}, {"end", how.end, &end}} {
		if f.text == "" {
			continue
		}
		if *f.day, err = traffic.ParseDay(f.text); err != nil {
			return 0, 0, cli.Usage("for example 2026-11-01", "--%s %q is no day", f.name, f.text)
		}
	}
	if end <= begin {
		return 0, 0, cli.Usage("--end is the day after the last one, for example --begin 2026-11-01 --end 2026-12-01", "--end %s is not after --begin %s", end, begin)
	}
	return begin, end, nil
}

// check refuses flags that cannot be used together.
func (how *reporting) check() error {
	if how.per != string(report.PerDay) && how.per != string(report.PerMonth) {
		return cli.Usage("want day or month", "--per %q is no period", how.per)
	}
	stdin := 0
	for _, name := range slices.Concat([]string{how.config}, how.logs.logs, how.billing) {
		if name == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return cli.Usage("name a file instead", "only one of --config, --logs and --billing can be stdin")
	}
	return how.checkLearn()
}

// makeReport reads the sources and makes the report of the days of the flags. charges asks for its charges, too. The bill
// is nil without --billing.
func (a *app) makeReport(ctx context.Context, how *reporting, charges bool) (*report.Report, *report.Input, *focus.Bill, error) {
	now := time.Now()
	begin, end, err := how.days(now)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := how.check(); err != nil {
		return nil, nil, nil, err
	}
	cfg, err := a.loaded(ctx, how.config)
	if err != nil {
		return nil, nil, nil, err
	}
	book, err := bill.New(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := a.checkSources(cfg, how); err != nil {
		return nil, nil, nil, err
	}
	in := &report.Input{Config: cfg, File: how.config, Book: book, Begin: begin, End: end, Per: report.Per(how.per), Now: now, Charges: charges}
	if in.Held, err = a.held(ctx, cfg, how); err != nil {
		return nil, nil, nil, err
	}
	var billed *focus.Bill
	if len(how.billing) > 0 {
		if billed, err = a.readBills(ctx, cfg, how, now); err != nil {
			return nil, nil, nil, err
		}
		in.Before = func(month traffic.Day) bill.Before { return billed.Before(book, month) }
	}
	g := &gathering{a: a, how: how, in: in}
	defer g.close()
	if err := g.all(ctx); err != nil {
		return nil, nil, nil, err
	}
	r, err := report.Make(ctx, in)
	switch {
	case errors.Is(err, report.ErrTooLong):
		return nil, nil, nil, cli.Usage("leave out --per day, or choose fewer days with --begin and --end", "%w", err)
	case err != nil:
		return nil, nil, nil, err
	case len(r.Flows)+len(r.Other) == 0:
		for _, w := range g.warnings { // they may say why
			a.warn("%s", strings.TrimSpace(cli.OneLine(w)))
		}
		return nil, nil, nil, cli.Fail("choose other days with --begin and --end, or another source", "no source has traffic of the config's stores from %s to %s", begin, end-1)
	}
	r.Warnings = append(r.Warnings, g.warnings...)
	g.tellLearned(r)
	return r, in, billed, nil
}

// checkSources refuses what would fail only after all sources were read.
func (a *app) checkSources(cfg *config.Config, how *reporting) error {
	if cmp.Or(how.prometheus, a.env(prometheusVariable)) == "" && len(how.logs.logs)+len(how.rollups) == 0 {
		return cli.Usage("--prometheus URL, --logs FILE or --rollup DIRECTORY; docs/report.md says which one to begin with", "no source to report from")
	}
	if err := checkOut(how.out); err != nil {
		return err
	}
	return how.logs.check(cfg)
}

func (a *app) runReport(ctx context.Context, how *reporting) error {
	r, in, billed, err := a.makeReport(ctx, how, false)
	if err != nil {
		return err
	}
	if billed != nil {
		r.Billed = billed.Compare(r.Ours(), in.Begin, in.End)
	}
	return a.printReport(r, how)
}

// printReport writes the report to stdout, or to the file of --out.
func (a *app) printReport(r *report.Report, how *reporting) error {
	var text bytes.Buffer
	var err error
	switch a.format {
	case cli.JSON:
		err = cli.WriteJSON(&text, r)
	case formatCSV:
		err = r.WriteCSV(&text)
	case formatHTML:
		err = r.WriteHTML(&text, how.top)
	case cli.Markdown:
		err = r.WriteMarkdown(&text, how.top)
	default:
		err = r.WriteText(&text, how.top)
	}
	if err != nil {
		return err
	}
	if err := a.writeOut(text.Bytes(), how.out); err != nil || how.out == "" || how.out == "-" {
		return err
	}
	for _, w := range r.Warnings {
		a.warn("%s", strings.TrimSpace(cli.OneLine(w)))
	}
	return nil
}

// checkOut refuses a file for --out that could not be written in the end.
func checkOut(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return cli.Fail("name a file in a directory that exists and that you may write to", "--out %s: there is no directory %s", file, filepath.Dir(file))
	}
	return nil
}

// writeOut writes a result to the file of --out; "" and - mean stdout.
func (a *app) writeOut(text []byte, file string) error {
	if file == "" || file == "-" {
		_, err := a.stdout.Write(text)
		return err
	}
	const mode = 0o644
	err := atomicfile.Write(file, text, mode)
	switch {
	case full(err):
		return cli.Fail("make room on the disk, or name a file on another one; nothing was written", "--out %s: %w", file, err)
	case err != nil:
		return cli.Fail("name a file in a directory that exists and that you may write to", "--out: %w", err)
	}
	return nil
}

// full reports whether a disk, a quota or a limit has no room for what was to be written.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
