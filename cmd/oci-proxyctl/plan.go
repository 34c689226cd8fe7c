package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/plan"
	"ociproxy/internal/plan/show"
	"ociproxy/internal/plan/solve"
	"ociproxy/internal/price"
	"ociproxy/internal/report"
	"ociproxy/internal/snapshot"
	"ociproxy/internal/traffic"
)

// regionPlan holds the flags of plan.
type regionPlan struct {
	reporting          // where roll-ups and Prometheus are, and the days
	demand, whatIf     string
	stored, growth     optionalSize
	months             float64
	keep, forbid, only []string
	atLeast            []string
	hot                *float64 // share
	budget             float64
	weight, msValue    optionalNumber
	search             plan.Search
}

func (a *app) plan() *cobra.Command {
	var f regionPlan
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Find the region where the next store pays most, and the best set of regions",
		Long: `plan compares all regions of the clouds in which the config has a bucket. For each set of stores it
computes what a month costs, and the round trips of the clients. It counts the bytes and requests of
the clients, what the stores hold, how they grow, and the copies that fill them. It assigns clients
to stores as the server does. It finds the best set: no other one costs less when a millisecond has
the worth that route.costWeight gives it. It proves this, or says how far from it the set may be.
Before it shows a set, it asks the router of the server about each client, and refuses to show a set
on which the two disagree.

The demand comes from roll-ups (--rollup), from Prometheus (--prometheus), or from a CSV file
(--demand): place,TB/month. A place is a region such as aws/us-east-1, a cloud, a country such as DE
for clients in no cloud, or unknown. docs/planning-regions.md shows an example, step by step.

plan changes nothing and asks no store. On a terminal it shows how far it is. Ctrl-C ends the search
and shows the best that was found.`,
		Example: `  oci-proxyctl plan --config config.yaml --demand demand.csv --stored 40TB
  oci-proxyctl plan --config config.yaml --demand demand.csv --stored 40TB --keep all --only aws --output markdown
  oci-proxyctl plan --config config.yaml --demand demand.csv --stored 40TB --at-least '2 per cloud' --budget 50000
  oci-proxyctl plan --config config.yaml --rollup s3://logs/rollup/ --begin 2026-10-01 --end 2026-12-01 --stored 40TB --hot 5%
  oci-proxyctl plan --config config.yaml --demand demand.csv --stored 40TB --what-if next.yaml
  oci-proxyctl plan --config config.yaml --demand demand.csv --stored 40TB --output html --out plan.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runPlan(cmd.Context(), &f) },
	}
	cli.ConfigFlag(cmd, &f.config, a.env)
	fl := cmd.Flags()
	fl.StringVar(&f.demand, "demand", "", "CSV `file` with the demand: place,TB/month")
	prometheusFlag(cmd, &f.prometheus)
	// These have the texts of report.
	fl.StringArrayVar(&f.rollups, "rollup", nil, "`directory` or URL of roll-ups; may be repeated")
	fl.StringVar(&f.begin, "begin", "", "first `day`, for example 2026-11-01; default: the first day of the month before the last one")
	fl.StringVar(&f.end, "end", "", "`day` after the last one; default: today")
	fl.Var(&f.stored, "stored", "`size` of all that a store holds; default: the largest of billing.stored in the config")
	fl.Var(&f.growth, "growth", "`size` of what is added to each store in a month")
	fl.Float64Var(&f.months, "months", 12, "`number` of months that the plan is for: filling is spread over them, and stores grow")
	fl.StringArrayVar(&f.keep, "keep", nil, "keep this `store`, or those of a place or cloud, or all, of those that are active; may be repeated")
	fl.StringArrayVar(&f.forbid, "forbid", nil, "no store at this `place` or in this cloud; may be repeated")
	fl.StringArrayVar(&f.only, "only", nil, "new stores only in this `cloud`; may be repeated")
	fl.StringArrayVar(&f.atLeast, "at-least", nil, "`number` of stores that a set must have: '2 per cloud', '3 in aws'; may be repeated")
	fl.Float64Var(&f.budget, "budget", 0, "`USD` a month that a set may cost at most; 0: any")
	fl.Var(percentLimit{&f.hot}, "hot", "new stores hold only the most pulled digests, this `percentage` of the stored bytes")
	fl.Var(&f.weight, "cost-weight", "`number` in place of route.costWeight")
	fl.Var(&f.msValue, "ms-value", "`USD` that a millisecond less is worth for each TB; 0: only money counts; default: as route.costWeight says")
	fl.StringVar(&f.whatIf, "what-if", "", "compare with this config `file` in place of a search")
	fl.IntVar(&f.search.Stores, "max-stores", 0, "`number` up to which to find the best set for each number of stores; 0: four more than today, or one more than the best set has")
	fl.DurationVar(&f.search.Time, "search-time", 2*time.Minute, "`time` limit of one search; the best set until then is shown with its gap")
	notNegative(cmd, "months", "budget", "max-stores", "search-time")
	_ = cmd.MarkFlagFilename("demand", "csv")          // just defined
	_ = cmd.MarkFlagFilename("what-if", "yaml", "yml") // just defined
	outFlag(cmd, &f.out)
	cmd.SetFlagErrorFunc(fileIsOut)
	cli.OutputFlag(cmd, &a.format, formatHTML, cli.Markdown)
	cli.Exits(cmd, cli.Invalid,
		cli.ExitCode{Code: cli.CodeFailure, Means: "no set keeps all rules, a file cannot be read, the plan and the router disagree, or interrupted"})
	return cmd
}

// check refuses flags that contradict each other, and returns the rules.
func (f *regionPlan) check(a *app, cfg *config.Config) (plan.Rules, error) {
	rules := plan.Rules{Keep: f.keep, Forbid: f.forbid, Only: f.only, Budget: f.budget}
	given := f.stored > 0
	for _, held := range cfg.Billing.Stored {
		if !given && float64(f.stored) < price.TB.Times(held.TB) {
			f.stored = optionalSize(price.TB.Times(held.TB))
		}
	}
	switch {
	case f.demand == "" && len(f.rollups) == 0 && cmp.Or(f.prometheus, a.env(prometheusVariable)) == "":
		return rules, cli.Usage("for example --demand demand.csv, with the lines place,TB/month and aws/us-east-1,120", "no demand: give --demand, --rollup or --prometheus")
	case f.demand != "" && f.begin+f.end != "":
		return rules, cli.Usage("leave them out: a CSV file has the demand of a month", "--begin and --end go with --rollup and --prometheus")
	case given && f.stored < 1e6:
		return rules, cli.Usage("write the unit, for example --stored 40TB", "--stored %s is too small for a store", f.stored.String())
	case f.stored == 0:
		return rules, cli.Usage("for example --stored 40TB: the bytes of all blobs, which inventory ls prints", "--stored is missing: without it, storage and filling would cost nothing")
	case f.hot != nil && !(*f.hot > 0 && *f.hot < 1):
		return rules, cli.Usage("for example --hot 5%", "--hot: want a percentage above 0 and below 100")
	case f.months == 0 || math.IsInf(f.months, 0):
		return rules, cli.Usage("for example --months 12", "--months: want a number above 0")
	}
	for _, cloud := range f.only {
		if !cfg.Map().HasCloud(cloud) {
			return rules, cli.Usage("the map has "+strings.Join(cfg.Map().Clouds(), ", "), "--only: no cloud is called %q", cloud)
		}
	}
	for _, text := range f.atLeast {
		rule, err := plan.ParseAtLeast(text)
		if err != nil {
			return rules, cli.Usage("for example --at-least '2 per cloud'", "--at-least: %w", err)
		}
		rules.AtLeast = append(rules.AtLeast, rule)
	}
	return rules, nil
}

func (a *app) runPlan(ctx context.Context, f *regionPlan) error {
	cfg, err := a.loaded(ctx, f.config)
	if err != nil {
		return err
	}
	rules, err := f.check(a, cfg)
	if err != nil {
		return err
	}
	if err := checkOut(f.out); err != nil {
		return err
	}
	opt := plan.Options{
		Config: cfg, Now: time.Now(), Stored: float64(f.stored), Growth: float64(f.growth), Months: f.months,
		CostWeight: f.weight.of, MSValue: f.msValue.of, Rules: rules, Hot: f.hot != nil,
	}
	if opt.Matrix, err = snapshot.Latency(cfg); err != nil {
		return err
	}
	if opt.Demand, err = a.planDemand(ctx, cfg, f); err != nil {
		return err
	}
	if f.whatIf != "" {
		return a.planWhatIf(ctx, f, opt)
	}
	watch := a.progress()
	f.search.Progress = func(stage string, p solve.Progress) { watch.line(planLine(stage, p)) }
	p, err := plan.Make(ctx, opt, f.search)
	watch.clear()
	if err != nil {
		return planFault(err)
	}
	doc, err := show.New(p, cfg, f.config, program, opt.Now)
	if err != nil {
		return err
	}
	if err := a.printPlan(doc, f.out); err != nil {
		return err
	}
	if p.Ended {
		return cli.Interrupted()
	}
	return nil
}

// planFault says what to do about an error of a plan.
func planFault(err error) error {
	if refusal, ok := errors.AsType[*plan.Refusal](err); ok {
		return cli.Usage(refusal.Hint, "%w", err)
	}
	if errors.Is(err, solve.ErrInfeasible) {
		return cli.Fail("take back one of --keep, --forbid, --only, --at-least and --budget", "no set of stores keeps all rules")
	}
	return err
}

// planLine is a line of progress.
func planLine(stage string, p solve.Progress) string {
	text := stage
	if p.Sets > 0 {
		text += fmt.Sprintf(", %d of %d", p.Set, p.Sets)
	}
	text += ": " + cli.Count(int64(p.Nodes), "node")
	if !math.IsInf(p.Objective, 0) && p.Objective != 0 {
		text += fmt.Sprintf(", at most %.3f%% above the best", 100*max(0, (p.Objective-p.Bound)/math.Abs(p.Objective)))
	}
	return text
}

// planDemand reads the demand from its one source.
func (a *app) planDemand(ctx context.Context, cfg *config.Config, f *regionPlan) (*plan.Demand, error) {
	switch {
	case f.demand == "":
		return a.planTraffic(ctx, cfg, f)
	case f.prometheus != "" || len(f.rollups) > 0:
		return nil, cli.Usage("leave out the others", "the demand comes from one source: --demand, --rollup or --prometheus")
	case f.hot != nil:
		return nil, cli.Usage("roll-ups have the demand of each digest: give --rollup", "--hot needs to know which digests are pulled, and a CSV file does not say it")
	}
	file, err := os.Open(f.demand)
	if err != nil {
		return nil, cli.Fail("name a CSV file that exists", "--demand: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	d, err := plan.ReadCSV(f.demand, file, cfg.Map())
	if err != nil {
		return nil, cli.Fail("docs/planning-regions.md explains the file", "%w", err)
	}
	return d, nil
}

// planTraffic takes the demand from roll-ups or Prometheus.
func (a *app) planTraffic(ctx context.Context, cfg *config.Config, f *regionPlan) (*plan.Demand, error) {
	in := &report.Input{Config: cfg, Now: time.Now()}
	var err error
	if in.Begin, in.End, err = f.days(in.Now); err != nil {
		return nil, err
	}
	g := &gathering{a: a, how: &f.reporting, in: in}
	defer g.close()
	if err := g.all(ctx); err != nil {
		return nil, err
	}
	count := plan.NewCounter(cfg.Map())
	for row, err := range in.Rows {
		if err != nil {
			return nil, err
		}
		count.Add(row)
	}
	d, source := count.Demand()
	if d == nil {
		return nil, cli.Fail("choose other days with --begin and --end, or another source", "no source has downloads of clients from %s to %s", in.Begin, in.End-1)
	}
	for day, seen := range in.Seen {
		if source == traffic.FromPrometheus && seen < 0.98 {
			a.warn("Prometheus saw only %.0f %% of %s: the demand is too low", 100*seen, day)
		}
	}
	if f.hot == nil {
		return d, nil
	}
	var objects []traffic.Object
	for o, err := range in.Objects {
		if err != nil {
			return nil, err
		}
		objects = append(objects, *o)
	}
	if len(objects) == 0 {
		return nil, cli.Fail("report rollup keeps them: docs/rollups.md", "--hot: no roll-up has the digests that were pulled")
	}
	d.Heat(cfg.Map(), objects, *f.hot, float64(f.stored))
	if d.HotStored == 0 {
		return nil, cli.Fail("give a larger percentage", "--hot: each digest that was pulled takes more than %g %% of what a store holds", 100**f.hot)
	}
	return d, nil
}

// planWhatIf compares two configs.
func (a *app) planWhatIf(ctx context.Context, f *regionPlan, opt plan.Options) error {
	other, err := a.loaded(ctx, f.whatIf)
	if err != nil {
		return err
	}
	matrix, err := snapshot.Latency(other)
	if err != nil {
		return err
	}
	c, err := plan.Compare(opt, other, matrix)
	if err != nil {
		return planFault(err)
	}
	return a.printPlan(&show.Comparison{Comparison: c}, f.out)
}

// planned is what plan prints. It is also its own JSON document.
type planned interface {
	Text(w io.Writer) error
	Markdown(w io.Writer) error
	HTML(w io.Writer) error
}

// printPlan writes a document to stdout, or to a file.
func (a *app) printPlan(doc planned, file string) error {
	var text bytes.Buffer
	var err error
	switch a.format {
	case cli.JSON:
		err = cli.WriteJSON(&text, doc)
	case cli.Markdown:
		err = doc.Markdown(&text)
	case formatHTML:
		err = doc.HTML(&text)
	default:
		err = doc.Text(&text)
	}
	if err != nil {
		return err
	}
	return a.writeOut(text.Bytes(), file)
}

// optionalNumber is a number of at least 0 that may be missing.
type optionalNumber struct{ of *float64 }

// String returns the number as Set accepts it; "" for none.
func (n *optionalNumber) String() string {
	if n.of == nil {
		return ""
	}
	return fmt.Sprint(*n.of)
}

// Set reads a number.
func (n *optionalNumber) Set(text string) error {
	var v float64
	if _, err := fmt.Sscanf(text, "%g", &v); err != nil || !(v >= 0) || math.IsInf(v, 0) {
		return errors.New("want a number of at least 0")
	}
	n.of = &v
	return nil
}

// Type returns what --help shows for the value.
func (*optionalNumber) Type() string { return "number" }
