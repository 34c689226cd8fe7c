package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/mirror"
	"ociproxy/internal/oci"
	"ociproxy/internal/shard"
	"ociproxy/internal/targets"
	"ociproxy/internal/walk"
)

// mirrorFlags are the flags of mirror.
type mirrorFlags struct {
	file         string
	stores       []string
	repositories []string
	once, dry    bool
	full         bool
	every        time.Duration
	shard        string
	progress     string
	listen       listening
}

func (a *app) mirror() *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Fill the stores from the source registry",
		Long: `mirror reads the repositories that the mirror stanza of the config selects and finds the blobs that
are missing from a store with a bucket. It writes to active and filling stores, and not to those
that are draining or off. It reads each blob once and writes it to all of these stores. It records
in each store's inventory what the store holds and which images are complete.

You may stop it at any time. What was copied is recorded, and the next run, on any machine,
continues from there. Several runs may work at once; --shard gives each a part of the blobs. Jobs of
Kubernetes (JOB_COMPLETION_INDEX, with JOB_COMPLETIONS) and Cloud Run (CLOUD_RUN_TASK_INDEX and
_COUNT) need no flag.`,
		Example: `  oci-proxyctl mirror --config config.yaml --dry-run
  oci-proxyctl mirror --config config.yaml
  oci-proxyctl mirror --config config.yaml --store s3-use1 --repository pause --output json
  oci-proxyctl mirror --config config.yaml --every 15m --listen 127.0.0.1:9091`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runMirror(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	cli.ConfigFlag(cmd, &f.file, a.env)
	storeFlag(cmd, &f.stores)
	repositoryFlag(cmd, &f.repositories)
	fl.BoolVar(&f.once, "once", false, "make one pass and end (the default)")
	everyFlag(cmd, &f.every)
	dryRunFlag(cmd, &f.dry)
	fl.BoolVar(&f.full, "full", false, "also read the images that are complete")
	fl.StringVar(&f.shard, "shard", "", "copy `part` I/N of the blobs: for N = 4, 0/4 to 3/4")
	fl.StringVar(&f.progress, "progress", "auto", "`form` of progress on stderr: auto, bars, plain or none")
	f.listen.flags(cmd)
	a.completeStores(cmd, &f.file, targets.Written)
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(progressForms, cobra.ShellCompDirectiveNoFileComp))
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "nothing could be done, or the command was interrupted"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodePartial, Means: "some images or stores failed; the rest is done"})
	return cmd
}

// check finds contradictions between flags, and returns the shard.
func (f *mirrorFlags) check(a *app) (shard.Shard, error) {
	switch {
	case f.once && f.every != 0:
		return shard.Shard{}, cli.Usage("--once is what it does without --every", "--once and --every contradict each other")
	case f.every < 0 || f.every > 0 && f.every < time.Second:
		return shard.Shard{}, cli.Usage("--every 15m is usual", "--every %s is too short", f.every)
	case f.dry && f.every != 0:
		return shard.Shard{}, cli.Usage("plan once", "--dry-run and --every contradict each other")
	case f.listen.address != "" && f.every == 0:
		return shard.Shard{}, cli.Usage("a single pass says at its end what it did", "--listen needs --every")
	case !slices.Contains(progressForms, f.progress):
		return shard.Shard{}, cli.Usage("want auto, bars, plain or none", "--progress %q is none", f.progress)
	}
	return a.shard(f.shard)
}

// mirrorHeap is the heap size at which the garbage collector works harder. With the code and the tables, the process
// then stays below 256 MiB.
const mirrorHeap = 192 << 20

func (a *app) runMirror(ctx context.Context, f *mirrorFlags) error {
	if a.env("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(mirrorHeap)
	}
	shard, err := f.check(a)
	if err != nil {
		return err
	}
	cfg, err := a.mirrorConfig(f.file)
	if err != nil {
		return err
	}
	opt := mirror.Options{Shard: shard, Full: f.full, Interval: cfg.Mirror.Interval}
	if f.every > 0 {
		return a.mirrorLoop(ctx, f, cfg, opt)
	}
	src, err := a.mirrorSource(cfg, f)
	if err != nil {
		return err
	}
	defer src.Close()
	if f.dry {
		return a.mirrorPlan(ctx, f, cfg, src, opt)
	}
	r, err := a.mirrorOnce(ctx, f, cfg, src, opt, nil, nil)
	if err != nil {
		return err
	}
	return a.mirrorResult(r)
}

// mirrorConfig loads the config, which must have a mirror stanza.
func (a *app) mirrorConfig(file string) (*config.Config, error) {
	if file == "" {
		return nil, cli.Usage("name the config with --config or OCI_PROXY_CONFIG", "mirror needs a config")
	}
	cfg, err := a.load(file)
	if err != nil {
		return nil, a.invalid(err)
	}
	if !cfg.Mirror.Enabled() {
		return nil, cli.Fail("mirror: {source: NAME, repositories: {list: […]}}; docs/config.md has the rest", "the config has no mirror stanza")
	}
	return cfg, nil
}

func (a *app) mirrorSource(cfg *config.Config, f *mirrorFlags) (*walk.Source, error) {
	for _, name := range f.repositories {
		if !oci.ValidName(name) {
			return nil, cli.Usage("as the source names it, below its prefix: team/app", "--repository %q is no repository", name)
		}
	}
	src, err := walk.NewSource(cfg, f.repositories, a.mirrorLog())
	if err != nil {
		return nil, cli.Fail("the stanza is mirror: in the config", "source %s: %w", cfg.Mirror.Source, err)
	}
	return src, nil
}

// openStores opens the stores of a config for writing, with the given options.
func (a *app) openStores(ctx context.Context, cfg *config.Config, opt targets.Options) (*targets.Set, error) {
	opt.Getenv, opt.Logger = a.env, a.mirrorLog()
	fl, err := targets.Open(ctx, cfg, opt)
	switch {
	case errors.Is(err, targets.ErrNoStores):
		return nil, cli.Fail("give stores a bucket; those that are draining or off are not written", "%w", err)
	case errors.Is(err, targets.ErrUnknownStore):
		return nil, cli.Usage("the names are those below stores: in the config", "%w", err)
	}
	return fl, err
}

// mirrorOnce makes one pass. fit and running may be nil.
func (a *app) mirrorOnce(ctx context.Context, f *mirrorFlags, cfg *config.Config, src *walk.Source, opt mirror.Options, fit *targets.Fit, running func(*mirror.Pass)) (*mirror.Report, error) {
	fl, err := a.openStores(ctx, cfg, targets.Options{Only: f.stores, Source: src, Fit: fit})
	if err != nil {
		return nil, err
	}
	p := mirror.NewPass(src, fl, opt)
	if running != nil {
		running(p)
	}
	stop := a.watchPass(f.progress, p)
	r := p.Run(ctx)
	stop()
	if err := fl.Close(ctx); err != nil {
		fmt.Fprintf(a.stderr, "%s: close: %v\n", program, err)
	}
	return r, nil
}

// mirrorLog returns the logger for problems in the background.
func (a *app) mirrorLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// mirrorResult shows what a pass did, and returns the exit code.
func (a *app) mirrorResult(r *mirror.Report) error {
	var err error
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, r)
	} else {
		err = writeMirrorReport(a.stdout, r)
	}
	if err != nil {
		return err
	}
	return resultCode(r.Result)
}
