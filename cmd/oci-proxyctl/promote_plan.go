package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/apply"
	"ociproxy/internal/targets"
)

// promoteFlags are the flags of all commands that plan.
type promoteFlags struct {
	config    string
	since     string
	lost      string
	moves     []string
	plainHTTP []string
	rate      float64
	parallel  int
	sizes     bool
	strict    bool

	storeTimeout time.Duration // the flag of apply and run only; 0: as the config says
}

func (p *promoteFlags) flags(a *app, cmd *cobra.Command) {
	f := cmd.Flags()
	cli.OptionalConfigFlag(cmd, &p.config, a.env)
	f.StringVar(&p.since, "since", "", "only what the manifests promote now but not in this `revision` of git; A..B compares two revisions")
	f.StringVar(&p.lost, "lost", "", "`file` with the digests known to be lost forever, one on each line")
	f.StringArrayVar(&p.moves, "allow-tag-move", nil, "`tag` that may move to another digest: REPOSITORY:TAG in full, or IMAGE:TAG for all destinations; may be repeated")
	hostFlags(cmd, &p.plainHTTP, &p.rate, &p.parallel)
	f.BoolVar(&p.sizes, "sizes", true, "read the manifests of missing images to find out their sizes")
	strictFlag(cmd, &p.strict)
}

func (a *app) promotePlan() *cobra.Command {
	var p promoteFlags
	var file string
	cmd := &cobra.Command{
		Use:   "plan DIR",
		Short: "Show what to do so that production is what the manifests say",
		Long: `plan checks the manifests, reads each repository that they name once, and finds out what is missing
where. It writes nothing to any registry or store. With --out it writes the plan to a file, which
promote apply carries out. With --output json it prints the whole plan.

Promotion deletes nothing. If a tag exists with another digest, the tag stays and plan reports it,
unless --allow-tag-move names the tag. If a digest is gone from its source, it is copied from a
destination that has it. An error in one item does not stop the others.

If the manifests of a project have an error, the project is held back: it is not in the plan. So is
a project that may contradict it. plan reports a flag or a list that permits something and matches
nothing. Without a config, or with --config '', the plan does not include stores.`,
		Example: `  oci-proxyctl promote plan registry.example.org/ --out plan.json
  oci-proxyctl promote plan registry.example.org/ --since origin/main --config config.yaml
  oci-proxyctl promote plan registry.example.org/ --output json | jq .summary`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPromotePlan(cmd.Context(), args[0], file, &p)
		},
	}
	p.flags(a, cmd)
	outFlag(cmd, &file)
	cli.OutputFlag(cmd, &a.format)
	cmd.SetFlagErrorFunc(fileIsOut)
	planExits(cmd)
	return cmd
}

// planning is the input of a plan.
type planning struct {
	tree       *manifest.Tree
	registries *promote.Registries
	targets    *targets.Set // nil without a config
	options    promote.Options
	sizes      bool
	plainHTTP  []string
}

func (p *planning) close(ctx context.Context) error {
	p.registries.Close()
	if p.targets != nil {
		return p.targets.Close(ctx)
	}
	return nil
}

func (a *app) runPromotePlan(ctx context.Context, path, file string, flags *promoteFlags) (err error) {
	p, err := a.preparePlan(ctx, path, flags)
	if err != nil {
		return err
	}
	defer func() {
		if e := p.close(ctx); err == nil {
			err = e
		}
	}()
	out := planOutput{}
	if a.format == cli.JSON {
		out.to(a.stdout)
	}
	if file != "" {
		atomicfile.SweepFor(file)
		f, err := atomicfile.Create(file, 0o644)
		if err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
		defer func() { err = errors.Join(err, f.Abort()) }()
		out.to(f)
		out.file = f
	}
	sum, err := p.make(ctx, promote.Header{
		Made: time.Now().UTC().Truncate(time.Second), By: program + " " + cli.ThisBuild(version).Version,
		Manifests: p.tree.Path, Hash: p.tree.Hash, Since: flags.since,
	}, &out)
	if err != nil {
		return err
	}
	if a.format != cli.JSON {
		if err := a.writePlan(sum, file); err != nil {
			return err
		}
	}
	if code := sum.Code(); code != 0 {
		return cli.Exit(code)
	}
	return nil
}

// preparePlan reads the manifests, the config and the baselines, and opens the stores that the config names.
func (a *app) preparePlan(ctx context.Context, path string, flags *promoteFlags) (*planning, error) {
	tree, err := a.manifests(path, flags.strict)
	if err != nil {
		return nil, err
	}
	tree, whole, err := a.restrict(ctx, path, flags, tree)
	if err != nil {
		return nil, err
	}
	p := &planning{tree: tree, sizes: flags.sizes, plainHTTP: flags.plainHTTP, options: promote.Options{AllowMove: flags.moves, Whole: whole}}
	if p.options.Lost, err = lostDigests(flags.lost); err != nil {
		return nil, err
	}
	access := promote.Access{PlainHTTP: flags.plainHTTP, Rate: flags.rate, Parallel: flags.parallel, Logger: a.mirrorLog()}
	if flags.config != "" {
		cfg, err := a.load(flags.config)
		if err != nil {
			return nil, a.invalid(err)
		}
		if access.Rate == 0 && cfg.Mirror.Enabled() {
			access.Rate = cfg.Mirror.RequestsPerSecond
		}
		if access.Parallel == 0 && cfg.Mirror.Enabled() {
			access.Parallel = cfg.Mirror.Parallel
		}
		if p.targets, err = openStores(write.WithPatience(ctx, cmp.Or(flags.storeTimeout, cfg.Promote.StoreTimeout)), a, cfg); err != nil {
			return nil, err
		}
	}
	p.registries = promote.NewRegistries(access)
	return p, nil
}

// openStores opens the config's stores that have a bucket. Their inventories say which blobs they do not have.
func openStores(ctx context.Context, a *app, cfg *config.Config) (*targets.Set, error) {
	f, err := targets.Open(ctx, cfg, targets.Options{Getenv: a.env, Logger: a.mirrorLog()})
	if err != nil {
		return nil, cli.Fail("stores that are written need a bucket: in the config; without --config stores are left out", "open stores: %w", err)
	}
	for i := range f.Stores {
		if err := f.Ledger.Fault(i); err != nil { // the error names the store
			fmt.Fprintf(a.stderr, "warning: %v\n", err)
		}
	}
	if usable := f.Ledger.Usable(); usable.Empty() { // a run would fail too
		return nil, errors.Join(cli.Fail("fix what the warnings say, or leave the stores out with --config ''", "no store can be written to"), f.Close(ctx))
	}
	return f, nil
}

// restrict returns the part of a tree that an older revision does not have. whole is the complete tree.
func (a *app) restrict(ctx context.Context, path string, flags *promoteFlags, tree *manifest.Tree) (part, whole *manifest.Tree, err error) {
	if flags.since == "" {
		return tree, tree, nil
	}
	before, after, both := strings.Cut(flags.since, "..")
	if both {
		now, err := promote.Revision(ctx, path, after)
		if tree, err = now.Hold(err, flags.strict); err != nil {
			return nil, nil, invalidManifests(err)
		}
	}
	old, err := promote.Revision(ctx, path, before)
	if old == nil {
		return nil, nil, err
	}
	if err != nil { // what could not be read there counts as new: a plan that is too large does no harm
		fmt.Fprintf(a.stderr, "warning: the manifests of %s have faults; what they spoil counts as new\n", before)
	}
	return promote.Changes(old, tree), tree, nil
}

// lostDigests reads the file of --lost.
func lostDigests(file string) (map[oci.Digest]bool, error) {
	lost, err := promote.LostDigests(file)
	if errors.Is(err, promote.ErrBaseline) {
		return nil, &cli.Error{Err: err, Hint: "one digest a line", Code: cli.CodeInvalid}
	}
	return lost, err
}

// make makes the plan, and finds out its sizes and requests.
func (p *planning) make(ctx context.Context, h promote.Header, out *planOutput) (*promote.Summary, error) {
	out.begin(h)
	sum, err := apply.MakePlan(ctx, p.tree, p.registries, p.options, apply.Weigh{Sizes: p.sizes, Stores: p.targets}, out.add)
	if err != nil {
		return nil, err
	}
	sum.Idle = append(sum.Idle, idleHosts(p.plainHTTP, sum.Asked)...)
	return sum, out.end(sum)
}

// planOutput is where a plan is written.
type planOutput struct {
	targets []io.Writer
	writers []*promote.Writer
	file    *atomicfile.File // nil: no file
}

func (o *planOutput) to(w io.Writer) { o.targets = append(o.targets, w) }

func (o *planOutput) begin(h promote.Header) {
	for _, t := range o.targets {
		o.writers = append(o.writers, promote.NewWriter(t, h))
	}
}

func (o *planOutput) add(p *promote.Promotion) error {
	for _, w := range o.writers {
		if err := w.Add(p); err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
	}
	return nil
}

func (o *planOutput) end(s *promote.Summary) error {
	for _, w := range o.writers {
		if err := w.Close(s); err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
	}
	if o.file != nil {
		if err := o.file.Commit(); err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
	}
	return nil
}
