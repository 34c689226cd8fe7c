package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/fleet"
	"ociproxy/internal/mirror"
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
	listen       string
}

func (a *app) mirror() *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Fill the stores from the source registry",
		Long: `mirror walks the repositories that the mirror stanza of the config selects, finds the blobs that a store
with a bucket lacks (active and filling ones; draining and off are not written), reads each once and writes it
to all of them, and records in each store's inventory what it holds and which images are complete.

It may be stopped at any time: what was done is kept, and the next run, on whatever machine, goes on from
there. Several may run at once; --shard gives each a part of the blobs. Jobs of Kubernetes
(JOB_COMPLETION_INDEX, with JOB_COMPLETIONS) and Cloud Run (CLOUD_RUN_TASK_INDEX and _COUNT) need no flag.`,
		Example: `  oci-proxyctl mirror --config config.yaml --dry-run
  oci-proxyctl mirror --config config.yaml
  oci-proxyctl mirror --config config.yaml --store s3-use1 --repository pause --output json
  oci-proxyctl mirror --config config.yaml --every 15m --listen 127.0.0.1:9091`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runMirror(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.file, "config", "c", a.env("OCI_PROXY_CONFIG"), "config `file`; OCI_PROXY_CONFIG in the environment names a default")
	fl.StringArrayVarP(&f.stores, "store", "s", nil, "fill only the store of this `name`; may be repeated")
	fl.StringArrayVarP(&f.repositories, "repository", "r", nil, "walk only the repository of this `name`; may be repeated")
	fl.BoolVar(&f.once, "once", false, "make one pass and end (the default)")
	fl.DurationVar(&f.every, "every", 0, "make a pass each `interval`, until told to stop")
	fl.BoolVarP(&f.dry, "dry-run", "n", false, "show what would be copied and what it costs; write nothing")
	fl.BoolVar(&f.full, "full", false, "walk the images that are complete, too")
	fl.StringVar(&f.shard, "shard", "", "do `part` I/N of the blobs: 0/4 to 3/4")
	fl.StringVar(&f.progress, "progress", "auto", "`form` of progress on stderr: auto, bars, plain or none")
	fl.StringVar(&f.listen, "listen", "", "`address` of /metrics, /-/live and /-/ready, with --every")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions([]string{"auto", "bars", "plain", "none"}, cobra.ShellCompDirectiveNoFileComp))
	a.outputFlag(cmd)
	return cmd
}

// mirrorConfig loads the config and makes sure that it says what to mirror.
func (a *app) mirrorConfig(file string) (*config.Config, error) {
	if file == "" {
		return nil, cli.Usage("name the config with --config or OCI_PROXY_CONFIG", "mirror needs a config")
	}
	cfg, err := a.load(file)
	if err != nil {
		return nil, a.invalid(err)
	}
	if !cfg.Mirror.Enabled() {
		return nil, cli.Fail("mirror: {source: NAME, repositories: {list: […]}}; see docs/config.md", "the config has no mirror stanza")
	}
	return cfg, nil
}

func (a *app) runMirror(ctx context.Context, f *mirrorFlags) error {
	cfg, err := a.mirrorConfig(f.file)
	if err != nil {
		return err
	}
	src, err := mirror.NewSource(cfg, f.repositories)
	if err != nil {
		return err
	}
	defer src.Close()
	fl, err := fleet.Open(ctx, cfg, fleet.Options{Only: f.stores, Source: src, Getenv: a.env, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	r := mirror.NewPass(src, fl, mirror.Options{Full: f.full}).Run(ctx)
	err = errors.Join(cli.WriteJSON(a.stdout, r), fl.Close(ctx))
	return err
}
