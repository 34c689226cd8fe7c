package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/lease"
	"ociproxy/internal/manifest"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/apply"
)

// applyFlags are the flags of all commands that apply a plan.
type applyFlags struct {
	require      string
	settle       time.Duration
	storeTimeout time.Duration
	images       int
	audit        string
	who          string
	lease        string
	leaseTTL     time.Duration
	progress     string
	signing      signing

	cmd *cobra.Command
}

func (f *applyFlags) flags(cmd *cobra.Command) {
	f.cmd = cmd
	fl := cmd.Flags()
	fl.DurationVar(&f.settle, "settle", 0, "how long to wait before tags are set, so that every proxy has read the inventories; default: as the config says, or two inventory refreshes")
	fl.StringVar(&f.require, "require-stores", "", "how many `stores` must hold an image before its tags are set: healthy, all or a number; default: as the config says, or healthy")
	fl.DurationVar(&f.storeTimeout, "store-timeout", 0, "how long an image waits for slow stores; default: as the config says, or 15m")
	fl.IntVar(&f.images, "images", 0, "`number` of images copied at once; default 8")
	notNegative(cmd, "images")
	fl.StringVar(&f.audit, "audit-log", "", "append a line of JSON for each write to this `file`")
	fl.StringVar(&f.who, "who", "", "`name` of the operator for audit log and lease; default: user and host")
	fl.StringVar(&f.lease, "lease", "", "`name` of the lease: only one run holds it at a time; default: as the config says, or \"default\"")
	fl.DurationVar(&f.leaseTTL, "lease-ttl", 0, "how long a killed run holds the lease; default 30s")
	fl.StringVar(&f.progress, "progress", "auto", "`form` of progress on stderr: auto, bars, plain or none")
	f.signing.flags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(progressForms, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("require-stores", cobra.FixedCompletions([]string{"healthy", "all"}, cobra.ShellCompDirectiveNoFileComp))
}

func (a *app) promoteApply() *cobra.Command {
	var access promoteFlags
	var f applyFlags
	var dry bool
	var manifests string
	cmd := &cobra.Command{
		Use:   "apply PLAN",
		Short: "Carry out a plan",
		Long: `apply carries out what a plan file says, and nothing else. If a tag has appeared, moved or gone
since the plan was made, apply does not touch that tag, reports it, and does the rest.

For each image it does these steps; you may repeat all of them:

  1. It copies the blobs into every store of the config, adds them to the store's inventory, and
     copies them into each destination. It reads the source once for all.
  2. It writes the manifests by digest, with signatures and other referrers, and reads them back.
  3. It waits until every proxy has read the inventories.
  4. It sets the tags at all destinations together. It reads each tag right before and after that.

Without a config, or with --config '', apply does not write to stores.`,
		Example: `  oci-proxyctl promote apply plan.json --config config.yaml --audit-log promote.log
  oci-proxyctl promote apply plan.json --config config.yaml --require-stores all --settle 5m`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPromoteApply(cmd.Context(), args[0], manifests, dry, &access, &f)
		},
	}
	access.accessFlags(a, cmd)
	f.flags(cmd)
	dryRunFlag(cmd, &dry)
	cmd.Flags().StringVar(&manifests, "manifests", "", "refuse the plan if the manifests in this `directory` have changed since it was made")
	cli.OutputFlag(cmd, &a.format)
	applyExits(cmd)
	return cmd
}

// accessFlags adds the flags for access to registries and stores.
func (p *promoteFlags) accessFlags(a *app, cmd *cobra.Command) {
	cli.OptionalConfigFlag(cmd, &p.config, a.env)
	hostFlags(cmd, &p.plainHTTP, &p.rate, &p.parallel)
}

func (a *app) runPromoteApply(ctx context.Context, name, manifests string, dry bool, access *promoteFlags, f *applyFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	defer file.Close()
	plan, err := apply.ReadPlan(file)
	if err != nil {
		return cli.Fail("make a new one with promote plan --out", "%s: %w", name, err)
	}
	if err := sameManifests(plan, manifests); err != nil {
		return err
	}
	if dry {
		if a.format == cli.JSON {
			err = cli.WriteJSON(a.stdout, plan.Summary)
		} else {
			err = a.writePlan(plan.Summary, "")
		}
		if code := plan.Summary.Code(); err == nil && code != 0 {
			err = cli.Exit(code)
		}
		return err
	}
	report, err := a.apply(ctx, plan, access, f, false)
	if err != nil {
		return err
	}
	return a.applyResult(report, nil, access.config)
}

// sameManifests checks that a plan was made from the manifests in dir. If dir is "", it checks nothing.
func sameManifests(plan *apply.Plan, dir string) error {
	if dir == "" {
		return nil
	}
	tree, err := manifest.Load(dir)
	if tree, err = tree.Hold(err, false); err != nil {
		return invalidManifests(err)
	}
	if tree.Hash != plan.Header.Hash {
		return cli.Fail("make a new one with promote plan --out", "the manifests in %s are not those that the plan was made of", dir)
	}
	return nil
}

func (f *applyFlags) check() error {
	if f.settle < 0 || f.storeTimeout < 0 || f.leaseTTL < 0 {
		return cli.Usage("--settle 0s does not wait at all", "times cannot be negative")
	}
	if _, err := apply.ParseRequire(f.require); err != nil {
		return cli.Usage("want healthy, all, or a number", "--require-stores: %w", err)
	}
	if f.leaseTTL > 0 && f.leaseTTL < time.Second {
		return cli.Usage("30s is usual", "--lease-ttl %s is too short", f.leaseTTL)
	}
	if !slices.Contains(progressForms, f.progress) {
		return cli.Usage("want auto, bars, plain or none", "--progress %q is none", f.progress)
	}
	return nil
}

// access returns how registries are accessed. Values that the flags do not set come from the config.
func (p *promoteFlags) access(cfg *config.Config, log *slog.Logger) promote.Access {
	access := promote.Access{PlainHTTP: p.plainHTTP, Rate: p.rate, Parallel: p.parallel, Logger: log}
	if cfg != nil && cfg.Mirror.Enabled() {
		if access.Rate == 0 {
			access.Rate = cfg.Mirror.RequestsPerSecond
		}
		if access.Parallel == 0 {
			access.Parallel = cfg.Mirror.Parallel
		}
	}
	return access
}

// options takes values that the flags do not set from the config, which may be nil.
func (f *applyFlags) options(cfg *config.Config) (apply.Options, error) {
	opt := apply.Options{Config: cfg, StoreTimeout: f.storeTimeout, Parallel: f.images, Lease: f.lease, TTL: f.leaseTTL, Who: f.who}
	text := f.require
	if f.cmd.Flags().Changed("settle") {
		opt.Settle = &f.settle
	}
	if cfg != nil {
		p := cfg.Promote
		if text == "" {
			text = p.RequireStores
		}
		if opt.Settle == nil && p.Settle > 0 {
			opt.Settle = &p.Settle
		}
		if opt.StoreTimeout == 0 {
			opt.StoreTimeout = p.StoreTimeout
		}
		if opt.Lease == "" {
			opt.Lease = p.Lease
		}
	}
	if opt.Who == "" {
		opt.Who = whoami()
	}
	var err error
	opt.Require, err = apply.ParseRequire(text)
	return opt, err
}

// whoami returns a name for logs that people read.
func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// apply carries out a plan. fresh means that the plan was made just now.
func (a *app) apply(ctx context.Context, plan *apply.Plan, access *promoteFlags, f *applyFlags, fresh bool) (*apply.Report, error) {
	var cfg *config.Config
	if access.config != "" {
		var err error
		if cfg, err = a.load(access.config); err != nil {
			return nil, a.invalid(err)
		}
	}
	opt, err := f.options(cfg)
	if err != nil {
		return nil, err
	}
	opt.Registries = promote.NewRegistries(access.access(cfg, a.mirrorLog()))
	defer opt.Registries.Close()
	opt.Fresh, opt.Getenv, opt.Logger = fresh, a.env, a.mirrorLog()
	if err := f.signing.hooks(a, &opt); err != nil {
		return nil, err
	}
	if f.audit != "" {
		log, err := openAudit(f.audit)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		opt.Audit = log
	}
	run, err := apply.Open(ctx, plan, opt)
	if err != nil {
		return nil, err
	}
	stop := a.watchApply(f.progress, run)
	report, err := run.Apply(ctx)
	stop()
	if e := run.Close(ctx); e != nil {
		fmt.Fprintf(a.stderr, "%s: close: %v\n", program, e)
	}
	if errors.Is(err, lease.ErrHeld) {
		return nil, cli.Fail("wait for it; one that was killed keeps the lease no longer than --lease-ttl", "%w", err)
	}
	return report, err
}

// openAudit opens an audit log for appending.
func openAudit(name string) (*os.File, error) {
	log, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return log, nil
}

// appliedPlan is the JSON document of promote run. The document of promote apply is only the report.
type appliedPlan struct {
	Plan   *promote.Summary `json:"plan"`
	Report *apply.Report    `json:"report"` // null: nothing was applied
}

// applyResult shows what was done, and returns the exit code. sum is the plan if this command made it, else nil.
func (a *app) applyResult(r *apply.Report, sum *promote.Summary, config string) error {
	var err error
	switch {
	case a.format != cli.JSON:
		err = a.writeApply(a.stdout, r, config)
	case sum != nil:
		err = cli.WriteJSON(a.stdout, appliedPlan{sum, r})
	default:
		err = cli.WriteJSON(a.stdout, r)
	}
	if err != nil {
		return err
	}
	if a.format != cli.JSON && sum != nil {
		if sum.Failed > 0 {
			fmt.Fprintf(a.stdout, "Not in the plan, since something is wrong with it: %s.\n", cli.Count(sum.Failed, "promotion"))
		}
	}
	if a.format != cli.JSON {
		if sum == nil { // otherwise they were shown with the plan
			writeHeld(r.Held, a.stdout, cli.UseColor(a.stdout, a.env))
		}
		if err := heldVerdict(r.Held, a.stdout); err != nil {
			return err
		}
	}
	if r.Result == apply.Interrupted {
		return cli.Fail("what was done is kept; the same command goes on from there", "interrupted: %s", r.Error)
	}
	if code := r.Code(sum); code != 0 {
		return cli.Exit(code)
	}
	return nil
}

// writeApply writes a report for people.
func (a *app) writeApply(w io.Writer, r *apply.Report, config string) error {
	if err := applyTables(w, r); err != nil {
		return err
	}
	for _, n := range r.Notices {
		fmt.Fprintln(w, "notice:", cli.OneLine(n))
	}
	writeFailures(r.Failures, w, cli.UseColor(w, a.env))
	behind(r, config, w)
	_, err := fmt.Fprintln(w, applyVerdict(r))
	return err
}
