package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/fleet"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/store"
)

// promoteFlags are what planning needs to know, whichever command plans.
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

	storeTimeout time.Duration // of the flag that only apply and run have; 0: of the config
}

func (p *promoteFlags) flags(a *app, cmd *cobra.Command) {
	f := cmd.Flags()
	cli.OptionalConfigFlag(cmd, &p.config, a.env)
	f.StringVar(&p.since, "since", "", "only what the manifests ask for and did not in this `revision` of git; A..B compares two")
	f.StringVar(&p.lost, "lost", "", "`file` with the digests known to be gone for ever, one a line")
	f.StringArrayVar(&p.moves, "allow-tag-move", nil, "`tag` that may change its digest: REPOSITORY:TAG in full, or IMAGE:TAG for all destinations; may be repeated")
	hostFlags(cmd, &p.plainHTTP, &p.rate, &p.parallel)
	f.BoolVar(&p.sizes, "sizes", true, "read the manifests of missing images, to know their sizes")
	strictFlag(cmd, &p.strict)
}

func (a *app) promotePlan() *cobra.Command {
	var p promoteFlags
	var file string
	cmd := &cobra.Command{
		Use:   "plan DIR",
		Short: "Show what has to be done so that production is what the manifests say",
		Long: `plan checks the manifests, reads each repository that they name once, and works out what is missing where. It writes
nothing to any registry or store. With --out the plan goes into a file that promote apply carries out;
with --output json the whole plan is printed.

Promotion is additive. A tag that exists with another digest stays, and is reported, unless --allow-tag-move names it.
A digest that is gone from its source is taken from a destination that has it. One bad item holds back no other.

A project whose manifests have an error is held back, and so is one that may contradict it: nothing of them is in the plan.
A flag or a list that permits something and matches nothing is told. Without a config, or with --config '', stores are
left out.`,
		Example: `  oci-proxyctl promote plan registry.example.org/ --out plan.json
  oci-proxyctl promote plan registry.example.org/ --since origin/main --config config.yaml
  oci-proxyctl promote plan registry.example.org/ --output json | jq .summary`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPromotePlan(cmd.Context(), args[0], file, &p)
		},
	}
	p.flags(a, cmd)
	cmd.Flags().StringVar(&file, "out", "", "write the plan to this `file`")
	cli.OutputFlag(cmd, &a.format)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok && bad.GetFlag().Name == "output" {
			return cli.Usage("--out FILE writes the plan to a file", "%w", err)
		}
		return err
	})
	planExits(cmd)
	return cmd
}

// planning is what a plan is made of.
type planning struct {
	tree       *manifest.Tree
	registries *promote.Registries
	fleet      *fleet.Fleet // nil without a config
	options    promote.Options
	sizes      bool
	plainHTTP  []string
}

func (p *planning) close(ctx context.Context) error {
	p.registries.Close()
	if p.fleet != nil {
		return p.fleet.Close(ctx)
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

// preparePlan reads manifests, config and baselines, and opens what the config names.
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
		if p.fleet, err = openStores(write.WithPatience(ctx, cmp.Or(flags.storeTimeout, cfg.Promote.StoreTimeout)), a, cfg); err != nil {
			return nil, err
		}
	}
	p.registries = promote.NewRegistries(access)
	return p, nil
}

// openStores opens the stores that the config has buckets of; their inventories say what they lack.
func openStores(ctx context.Context, a *app, cfg *config.Config) (*fleet.Fleet, error) {
	f, err := fleet.Open(ctx, cfg, fleet.Options{Getenv: a.env, Logger: a.mirrorLog()})
	if err != nil {
		return nil, cli.Fail("stores that are written need a bucket: in the config; without --config stores are left out", "open stores: %w", err)
	}
	for i := range f.Stores {
		if err := f.Ledger.Fault(i); err != nil { // which names the store
			fmt.Fprintf(a.stderr, "warning: %v\n", err)
		}
	}
	return f, nil
}

// restrict leaves of a tree what an older revision did not have; whole is what it leaves that of.
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
	if err != nil { // what could not be understood there counts as new: a plan that is too large does no harm
		fmt.Fprintf(a.stderr, "warning: the manifests of %s have faults; what they spoil counts as new\n", before)
	}
	return promote.Changes(old, tree), tree, nil
}

// lostDigests reads a baseline: one digest a line, comments after #.
func lostDigests(file string) (map[oci.Digest]bool, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read lost digests: %w", err)
	}
	defer f.Close()
	out := map[oci.Digest]bool{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		d, err := oci.ParseDigest(text)
		if err != nil {
			return nil, &cli.Error{Err: fmt.Errorf("%s:%d: expected a digest, found %q", file, n, text), Hint: "one digest a line", Code: cli.CodeInvalid}
		}
		out[d] = true
	}
	return out, lines.Err()
}

// make makes the plan, and weighs it.
func (p *planning) make(ctx context.Context, h promote.Header, out *planOutput) (*promote.Summary, error) {
	var names []string
	var stores *promote.Stores
	if p.fleet != nil {
		for _, s := range p.fleet.Stores {
			names = append(names, s.Name())
		}
		stores = &promote.Stores{
			Count: len(names),
			Lacking: func(d oci.Digest) (all []int) {
				lacking := p.fleet.Ledger.Lacking(d)
				lacking.Each(func(i int) { all = append(all, i) })
				return all
			},
			Requests: func(i int, size int64) int64 {
				return store.PutRequests(p.fleet.Stores[i].Config.Bucket, size)
			},
		}
	}
	scale := promote.NewScale(p.registries.Parts, stores)
	out.begin(h)
	sum, err := promote.Make(ctx, p.tree, p.registries, p.options, func(pr *promote.Promotion) error {
		if err := out.add(pr); err != nil || !p.sizes {
			return err
		}
		return scale.Add(ctx, pr)
	})
	if err == nil && p.sizes {
		err = scale.Flush(ctx)
	}
	if err != nil {
		return nil, err
	}
	if p.sizes {
		scale.Enter(sum, names)
	}
	sum.Asked = p.registries.Requests()
	sum.Idle = append(sum.Idle, idleHosts(p.plainHTTP, sum.Asked)...)
	return sum, out.end(sum)
}

// planOutput is where a plan is written to.
type planOutput struct {
	targets []io.Writer
	writers []*promote.Writer
	file    *atomicfile.File // nil: none
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
