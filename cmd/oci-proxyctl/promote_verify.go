package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/prove"
	"ociproxy/internal/promote/sign"
	"ociproxy/internal/set"
	"ociproxy/internal/targets"
)

// proving holds the flags of promote verify.
type proving struct {
	access registryFlags
	config string
	allow  string
	lost   string
	keys   []string
	rename string
	read   string
	limit  int
	watch  time.Duration
	listen listening
	strict bool
}

// registryFlags holds the flags for access to registries.
type registryFlags struct {
	plainHTTP []string
	rate      float64
	parallel  int
}

func (r *registryFlags) flags(cmd *cobra.Command) {
	hostFlags(cmd, &r.plainHTTP, &r.rate, &r.parallel)
}

func (r *registryFlags) open(a *app) *promote.Registries {
	return promote.NewRegistries(promote.Access{PlainHTTP: r.plainHTTP, Rate: r.rate, Parallel: r.parallel, Logger: a.mirrorLog()})
}

func (a *app) promoteVerify() *cobra.Command {
	var f proving
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Compare production and the stores with what the manifests say",
		Long: `verify reads each repository that the manifests promote to once. It writes nothing.

  --read lists      tags and digests as the registries list them
  --read manifests  also reads and hashes every promoted manifest, with the children of an index
                    (default)
  --read blobs      also reads every blob, once for each host

With --config it also checks that the inventory of each store lists every blob of every promoted
image. Without a config, or with --config '', it does not check stores. With --signed-with each
image must have a signature of one of these keys in the first destination of its project.

What is in a destination but in no manifest is unexpected, unless a pattern of --allow matches it:
REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST, where "*" is anything but a slash and "**" is
anything. A list of what refers to a promoted image (sha256-…) is not unexpected. verify finds
unexpected repositories only if the registry lists its repositories. If a project is held back or
has only one of its files, verify does not report as unexpected what the project may have promoted.

With --watch it verifies at each interval and reads the manifests again each time, until it is
stopped. --listen serves metrics and health.`,
		Example: `  oci-proxyctl promote verify registry.example.org/ --config config.yaml
  oci-proxyctl promote verify registry.example.org/ --signed-with cosign.pub --allow allowed.txt -o json
  oci-proxyctl promote verify registry.example.org/ --watch 1h --listen 127.0.0.1:9092`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runPromoteVerify(cmd.Context(), args[0], &f) },
	}
	fl := cmd.Flags()
	cli.OptionalConfigFlag(cmd, &f.config, a.env)
	fl.StringVar(&f.allow, "allow", "", "`file` with patterns of what may be in a destination, one on each line")
	fl.StringVar(&f.lost, "lost", "", "`file` with the digests known to be lost forever, one on each line")
	fl.StringArrayVar(&f.keys, "signed-with", nil, "`file` with public keys (PEM); may be repeated")
	cli.FormerFlag(cmd, "key", "signed-with")
	fl.StringVar(&f.rename, "sign-identity", "", identityHelp)
	fl.StringVar(&f.read, "read", string(prove.Manifests), "how `much` to read: lists, manifests or blobs")
	limitFlag(cmd, &f.limit)
	fl.DurationVar(&f.watch, "watch", 0, "verify every `interval` until stopped")
	f.listen.flags(cmd)
	strictFlag(cmd, &f.strict)
	f.access.flags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("read", cobra.FixedCompletions(prove.Depths(), cobra.ShellCompDirectiveNoFileComp))
	cli.OutputFlag(cmd, &a.format)
	proveExits(cmd)
	return cmd
}

func (f *proving) check() error {
	switch {
	case !slices.Contains(prove.Depths(), f.read):
		return cli.Usage("lists, manifests or blobs", "--read %q is not known", f.read)
	case f.limit < 0:
		return cli.Usage("--limit 0 shows all", "--limit %d is negative", f.limit)
	case f.watch < 0 || f.watch > 0 && f.watch < time.Second:
		return cli.Usage("--watch 1h is usual", "--watch %s is too short", f.watch)
	case f.listen.address != "" && f.watch == 0:
		return cli.Usage("a single look says at its end what it found", "--listen needs --watch")
	}
	return nil
}

func (a *app) runPromoteVerify(ctx context.Context, dir string, f *proving) error {
	if err := f.check(); err != nil {
		return err
	}
	look := func(ctx context.Context, progress func(done, of int64)) (*prove.Report, error) {
		return a.prove(ctx, dir, f, progress)
	}
	if f.watch > 0 {
		return a.runLoop(ctx, f.listen, prove.NewLoop(f.watch, look, func(r *prove.Report, err error) {
			a.turnEnded(r, err, func() error {
				fmt.Fprintln(a.stdout, r.StartedAt.Format(time.RFC3339))
				return a.writeProof(r, f.config)
			})
		}))
	}
	r, err := look(ctx, nil)
	if err != nil {
		return err
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, r)
	} else {
		err = a.writeProof(r, f.config)
	}
	if err == nil && r.ExitCode != 0 {
		err = cli.Exit(r.ExitCode)
	}
	return err
}

// prove reads everything that the flags name, and verifies once.
func (a *app) prove(ctx context.Context, dir string, f *proving, progress func(done, of int64)) (_ *prove.Report, err error) {
	tree, err := a.manifests(dir, f.strict)
	if err != nil {
		return nil, err
	}
	opt := prove.Options{Read: prove.Depth(f.read), Limit: f.limit, Progress: progress}
	if opt.Lost, err = lostDigests(f.lost); err != nil {
		return nil, err
	}
	if f.allow != "" {
		if opt.Allow, err = readAllow(f.allow); err != nil {
			return nil, err
		}
	}
	if opt.Keys, err = sign.LoadKeys(f.keys...); err != nil {
		return nil, cli.Fail("a public key in PEM, as cosign.pub", "%w", err)
	}
	if opt.Identity, err = identity(f.rename); err != nil {
		return nil, err
	}
	a.idleIdentity(f.rename, tree)
	if f.config != "" {
		cfg, err := a.load(f.config)
		if err != nil {
			return nil, a.invalid(err)
		}
		stores, err := a.proveStores(ctx, cfg)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stores.targets.Close(ctx)) }()
		opt.Stores = stores
	}
	regs := f.access.open(a)
	defer regs.Close()
	r, err := prove.Run(ctx, tree, regs, opt)
	r.Idle = append(r.Idle, idleHosts(f.access.plainHTTP, r.Asked)...)
	return r, err
}

func readAllow(file string) (*prove.Allow, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read what is allowed: %w", err)
	}
	defer in.Close()
	allow, err := prove.ParseAllow(file, in)
	if err != nil {
		return nil, &cli.Error{Err: err, Hint: "one pattern a line: promote verify --help", Code: cli.CodeInvalid}
	}
	return allow, nil
}

// provenStores are the stores of a config as a proof needs them, with the same indexes.
type provenStores struct{ targets *targets.Set }

func (a *app) proveStores(ctx context.Context, cfg *config.Config) (*provenStores, error) {
	fl, err := a.openStores(ctx, cfg, targets.Options{})
	if err != nil {
		return nil, err
	}
	return &provenStores{fl}, nil
}

// Names implements [prove.Stores].
func (s *provenStores) Names() (out []string) {
	for _, st := range s.targets.Stores {
		out = append(out, st.Name())
	}
	return out
}

// Fault implements [prove.Stores].
func (s *provenStores) Fault(i int) error { return s.targets.Ledger.Fault(i) }

// Incomplete implements [prove.Stores].
func (s *provenStores) Incomplete(image oci.Digest) set.Set {
	return s.targets.Ledger.Incomplete(image)
}

// Lacking implements [prove.Stores].
func (s *provenStores) Lacking(blob oci.Digest) set.Set { return s.targets.Ledger.Lacking(blob) }
