package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/logsource"
	"ociproxy/internal/rollup/gather"
	"ociproxy/internal/rollup/refresh"
	"ociproxy/internal/store"
	"ociproxy/internal/usage"
)

// rollupFlags holds the flags of report rollup.
type rollupFlags struct {
	file, into, shard, progress string
	days                        reporting // of which only the days are used
	logs                        logFlags
	dry, redo, dropAddresses    bool
	top                         int
}

func (a *app) reportRollup() *cobra.Command {
	var how rollupFlags
	cmd := &cobra.Command{
		Use:   "rollup",
		Short: "Add up logs by day, and keep the sums in small Parquet files",
		Long: `rollup reads access logs of stores and of the proxy, and adds up the requests by day, client place,
store, reason and repository. It keeps the sums in a bucket or directory, as Parquet files that
report --rollup, plan and any query engine read in seconds.

It makes one file for each place with logs and each day in the names of the log objects. A second
run reads only the days whose log objects have come or grown since. It makes their files again, so
that nothing counts twice. Seven days after its end, a month is closed: later changes are reported,
and --redo takes them in. Log objects that were deleted in the meantime stay in the files.

You may stop it at any time: finished files stay, and a file is replaced as a whole or not at all.
Several runs may work at once; --shard gives each a part of the days. Jobs of Kubernetes
(JOB_COMPLETION_INDEX, with JOB_COMPLETIONS) and Cloud Run (CLOUD_RUN_TASK_INDEX and _COUNT) need no
flag.

It uses all cores and at most 256 MiB of memory. What does not fit is spilled to files without a
name in the directory for temporary files (TMPDIR); the command says first how much that can be.
Roll-ups never have addresses of clients. docs/rollups.md explains the files.`,
		Example: `  oci-proxyctl report rollup --config config.yaml --logs s3://logs/prod-use1?region=us-east-1 --into s3://logs/rollup?region=us-east-1 --dry-run
  oci-proxyctl report rollup --config config.yaml --logs gs://logs/usage --logs azblob://account/insights-logs-storageread --into rollup
  oci-proxyctl report rollup --config config.yaml --logs 'logs/*.gz' --into rollup --begin 2026-10-01 --end 2026-11-01 --shard 0/4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRollup(cmd.Context(), &how) },
	}
	f := cmd.Flags()
	cli.ConfigFlag(cmd, &how.file, a.env)
	how.logs.flags(cmd)
	f.StringVar(&how.into, "into", "", "`directory` or URL of a bucket for the roll-ups: s3://…, gs://…, azblob://…")
	dayFlags(cmd, &how.days)
	f.StringVar(&how.shard, "shard", "", shardUsage)
	f.StringVar(&how.progress, "progress", "auto", "`form` of progress on stderr: auto, bars, plain or none")
	f.IntVar(&how.top, "top-digests", 10_000, "`number` of digests of a month that are kept; the others become one row of each client place")
	f.BoolVar(&how.redo, "redo", false, "make all files of these days again, also those of closed months and of deleted logs")
	f.BoolVar(&how.dropAddresses, "drop-addresses", false, "show no text of log lines, which has addresses of clients; the roll-ups never have them")
	dryRunFlag(cmd, &how.dry)
	notNegative(cmd, "top-digests")
	cli.FormerFlag(cmd, "to", "into")
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(progressForms, cobra.ShellCompDirectiveNoFileComp)) // just defined
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid,
		cli.ExitCode{Code: cli.CodeFailure, Means: "nothing could be done, or interrupted: what was finished is kept"},
		cli.ExitCode{Code: cli.CodePartial, Means: "some days could not be rolled up, or need a decision; the rest is done"})
	return cmd
}

func (how *rollupFlags) check() error {
	switch {
	case len(how.logs.logs) == 0:
		return cli.Usage("--logs s3://BUCKET/PREFIX?region=…, a directory or a pattern", "no logs to roll up")
	case how.into == "":
		return cli.Usage("--into DIRECTORY or --into s3://BUCKET/PREFIX?region=…", "--into is needed: where are the roll-ups?")
	case slices.Contains(how.logs.logs, "-"):
		return cli.Usage("write them to a file with the day in its name", "stdin cannot be rolled up: a second run would not know the same logs again")
	case !slices.Contains(progressForms, how.progress):
		return cli.Usage("want auto, bars, plain or none", "--progress %q is none", how.progress)
	}
	return nil
}

func (a *app) runRollup(ctx context.Context, how *rollupFlags) error {
	if err := how.check(); err != nil {
		return err
	}
	begin, end, err := how.days.days(time.Now())
	if err != nil {
		return err
	}
	part, err := a.shard(how.shard)
	if err != nil {
		return err
	}
	if a.env("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(mirrorHeap)
	}
	cfg, err := a.loaded(ctx, how.file)
	if err != nil {
		return err
	}
	if err := how.logs.check(cfg); err != nil {
		return err
	}
	classifier, warnings, err := a.classifier(ctx, cfg, &how.logs)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.warn("%s", w)
	}
	reader, err := how.logs.reader()
	if err != nil {
		return err
	}
	opt := refresh.Options{
		Reader: reader, Days: logsource.Days{Begin: begin, End: end}, Shard: part, Classifier: classifier, Redo: how.redo,
		DropAddresses: how.dropAddresses, Top: how.top, Workers: runtime.GOMAXPROCS(0),
	}
	if opt.Into, err = a.openRollups(ctx, how.into, how.dry); err != nil {
		return err
	}
	for _, text := range how.logs.logs {
		s, err := logsource.Parse(ctx, text, logsource.Options{Store: store.Options{Getenv: a.env, Logger: a.mirrorLog()}})
		if err != nil {
			return cli.Usage("a directory, a pattern, s3://…, gs://… or azblob://…", "--logs: %w", err)
		}
		opt.From = append(opt.From, s)
	}
	plan, err := refresh.NewPlan(ctx, opt)
	if err != nil {
		return noLogs(err)
	}
	if how.dry {
		return a.showRollupPlan(plan)
	}
	return a.rollUp(ctx, how, plan)
}

// openRollups opens where the roll-ups are. A directory is made. It returns nil if there is none and nothing is to be
// written.
func (a *app) openRollups(ctx context.Context, into string, dry bool) (store.Bucket, error) {
	if !strings.Contains(into, "://") {
		dir, err := filepath.Abs(into)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(dir); dry && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, cli.Fail("name a directory that you may make and write to", "--into: %w", err)
		}
		into = "file://" + filepath.ToSlash(dir)
	}
	b, err := store.Open(ctx, into, store.Options{Getenv: a.env, Logger: a.mirrorLog()})
	if err != nil {
		return nil, cli.Usage("a directory, s3://…, gs://… or azblob://…", "--into: %w", err)
	}
	return b, nil
}

// classifier makes what finds out for which store, client place and purpose a line of a log is.
func (a *app) classifier(ctx context.Context, cfg *config.Config, flags *logFlags) (c *usage.Classifier, warnings []string, err error) {
	located := replaying{seed: flags.seed, feedTimeout: 15 * time.Second, quiet: true}
	where, err := a.locate(ctx, &located, cfg, nil)
	if err != nil {
		return nil, nil, err
	}
	c, err = flags.classifier(cfg, where.ranges)
	return c, located.warnings, err
}

func (a *app) rollUp(ctx context.Context, how *rollupFlags, plan *refresh.Plan) error {
	due, bytes := plan.Due()
	need, left, dir := plan.Disk()
	if len(due) > 0 && how.progress != "none" {
		fmt.Fprintf(a.stderr, "%s, %s of logs; up to %s of disk in %s, which has %s left\n",
			cli.Count(int64(len(due)), "file"), size(bytes), size(need), dir, size(left))
	}
	progress := &gather.Progress{}
	stop := a.watchRollup(how.progress, progress, bytes)
	r, err := plan.Run(ctx, progress)
	stop()
	switch {
	case errors.Is(err, refresh.ErrDisk):
		return cli.Fail("set TMPDIR to a directory with more room, or roll up parts with --shard or longer prefixes", "%s: %s of disk are needed in %s, and %s are left",
			refresh.ErrDisk, size(need), dir, size(left))
	case ctx.Err() != nil:
		err = cli.Fail("finished files are kept; the next run goes on from there", "interrupted after %s", cli.Count(int64(r.Made), "file"))
	}
	var shown error
	if a.format == cli.JSON {
		shown = cli.WriteJSON(a.stdout, r)
	} else {
		shown = writeRollup(a.stdout, r)
	}
	if err = errors.Join(err, shown); err == nil && len(r.Failed) > 0 {
		err = cli.Exit(cli.CodePartial)
	}
	return err
}

// watchRollup shows the progress on stderr until stop is called.
func (a *app) watchRollup(form string, p *gather.Progress, bytes int64) (stop func()) {
	terminal := cli.IsTerminal(a.stderr) && a.env("TERM") != "dumb"
	begin, speed := time.Now(), new(meter)
	text := func() string {
		done := p.Bytes.Load()
		elapsed := time.Since(begin)
		speed.look(elapsed, done)
		line := fmt.Sprintf("%s: %s of %s, %s, %s a second", elapsed.Round(time.Second), size(done), size(bytes), cli.Count(p.Lines.Load(), "line"),
			humanize.Comma(int64(float64(p.Lines.Load())/elapsed.Seconds())))
		if eta := speed.left(bytes - done); eta != "" {
			line += ", " + eta + " left"
		}
		return line
	}
	switch {
	case form == "none":
		return func() {}
	case form == "bars" || form == "auto" && terminal:
		watch := &progress{w: a.stderr}
		end := every(barsEvery, func() { watch.line(text()) })
		return func() { end(); watch.clear() }
	}
	return every(plainEvery, func() { fmt.Fprintln(a.stderr, text()) })
}
