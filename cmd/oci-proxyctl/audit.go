package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/audit"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/targets"
	"ociproxy/internal/walk"
)

// auditing holds the flags of audit.
type auditing struct {
	file         string
	stores       []string
	repositories []string
	from         string
	deep         bool
	sample       string
	repair       bool
	dryRun       bool
	limit        int
	parallel     int
}

// auditExits sets the exit codes of audit.
func auditExits(cmd *cobra.Command) {
	cli.ExitsSum(cmd, cli.Sum{Note: "What was repaired does not count.", Classes: []cli.ExitCode{
		{Code: 1, Means: "something could not be checked or repaired"},
		{Code: 4, Means: "blobs are unexpected or unlisted: clients do not ask for them, or get them elsewhere"},
		{Code: 8, Means: "blobs are missing or lost"},
		{Code: 16, Means: "blobs are short or disputed: their size is not the one in the inventory or manifest; or a manifest states a wrong size"},
		{Code: 32, Means: "blobs are corrupt: their bytes do not have the digest"},
		{Code: 64, Means: "blobs are unreadable: clients do not get the right bytes"},
	}}, cli.Invalid)
}

func (a *app) audit() *cobra.Command {
	f := auditing{sample: "100%"}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Find out whether every store has every blob of every image, with the right bytes",
		Long: `audit reads the images of the mirror's source and compares the blobs that they need with what the
stores have. These flags say what it relies on:

  --from inventory  only the stores' inventories; no request for an object
  --from listing    the buckets' lists, and the inventories. If a list does not have a blob, audit
                    asks the store for it.
  --from head       the answer for each blob, both to its owner and to an anonymous client at the
                    store's url
  --deep            reads and hashes every blob that is needed or listed. Without --from it reads
                    the buckets' lists too.

Without --from and --deep it reads the inventories and asks for about a hundred random blobs of each
store as --from head does. This finds most faults that keep the right bytes from clients, because
they mostly concern many blobs.

audit checks all stores that have a bucket, or those of --store. With --repository it does not
report unexpected blobs. With --from head or --deep, --sample 5% checks only a random part of the
blobs.

Classes of findings:

  lost        the inventory lists it, but there is no object: clients get a 404
  missing     an image needs it, but the store does not have it
  corrupt     its bytes do not have the digest
  short       its size is not the one in the inventory, or no manifest states that size
  disputed    the manifest states one size and the store has another: --deep finds out which is
              wrong
  unreadable  clients do not get the right bytes: not public, with a Content-Encoding, in an
              archive, …
  unlisted    the store has it but the inventory does not list it: no client is sent there
  unexpected  the store has or lists it, but no image needs it

--repair reads what is lost, missing, corrupt, short, disputed or unreadable from the source, or
from a store that has the right bytes, and writes it again. Before that it removes wrong entries
from the inventories. It adds unlisted blobs. If clients still cannot read a blob, the blob is
not listed: a cache has the old answer, or a rule of the bucket keeps clients out. --repair does not
delete what is unexpected; use purge for that, with each digest. --repair --dry-run shows what
--repair would do.`,
		Example: `  oci-proxyctl audit --config config.yaml
  oci-proxyctl audit --config config.yaml --from head --sample 5%
  oci-proxyctl audit --config config.yaml --deep --store s3-use1 --repair --dry-run
  oci-proxyctl audit --config config.yaml --deep --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := f.options(cmd)
			if err != nil {
				return err
			}
			return a.runAudit(cmd.Context(), f, opt)
		},
	}
	fl := cmd.Flags()
	cli.ConfigFlag(cmd, &f.file, a.env)
	storeFlag(cmd, &f.stores)
	repositoryFlag(cmd, &f.repositories)
	fl.StringVar(&f.from, "from", "", "what to rely on: inventory, listing or head")
	fl.BoolVar(&f.deep, "deep", false, "read and hash the blobs")
	fl.StringVar(&f.sample, "sample", f.sample, "`percentage` of the blobs that are checked one by one")
	fl.BoolVar(&f.repair, "repair", false, "repair what can be repaired")
	dryRunFlag(cmd, &f.dryRun)
	limitFlag(cmd, &f.limit)
	parallelFlag(cmd, &f.parallel)
	a.completeStores(cmd, &f.file, targets.Written)
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"inventory", "listing", "head"}, cobra.ShellCompDirectiveNoFileComp))
	cli.OutputFlag(cmd, &a.format)
	auditExits(cmd)
	return cmd
}

// maxAuditParallel is the maximum number of objects of one store that an audit checks at once.
const maxAuditParallel = 64

// spot is roughly how many blobs of each store are checked when no flag says how to check.
const spot = 100

// options checks the flags.
func (f *auditing) options(cmd *cobra.Command) (audit.Options, error) {
	opt := audit.Options{From: audit.From(f.from), Deep: f.deep, Limit: f.limit, Parallel: cmp.Or(f.parallel, auditParallel), Partial: len(f.repositories) > 0}
	if f.from == "" {
		opt.From, opt.Spot = audit.Inventory, spot
		if f.deep {
			opt.From = audit.Listing
		}
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(f.sample, "%"), 64)
	switch {
	case !slices.Contains([]audit.From{audit.Inventory, audit.Listing, audit.Head}, opt.From):
		return opt, cli.Usage("inventory, listing or head", "--from %q is not known", f.from)
	case err != nil || !(percent > 0 && percent <= 100):
		return opt, cli.Usage("for example --sample 5%", "--sample %q is no percentage above 0 and up to 100", f.sample)
	case cmd.Flags().Changed("sample") && !f.deep && opt.From != audit.Head:
		return opt, cli.Usage("--from head or --deep look at blobs one by one", "--sample has nothing to choose from")
	case f.dryRun && !f.repair:
		return opt, cli.Usage("without --repair nothing is changed anyway", "--dry-run needs --repair")
	case f.limit < 0:
		return opt, cli.Usage("--limit 0 shows all", "--limit %d is negative", f.limit)
	case f.parallel < 0 || f.parallel > maxAuditParallel:
		return opt, cli.Usage("8 is usual", "--parallel %d is not in 0 to %d", f.parallel, maxAuditParallel)
	}
	opt.Sample = percent
	return opt, nil
}

// mirrored loads the config, which must be given.
func (a *app) mirrored(file string) (*config.Config, error) {
	if file == "" {
		return nil, cli.Usage("name the config with --config or OCI_PROXY_CONFIG", "no config")
	}
	cfg, err := a.load(file)
	if err != nil {
		return nil, a.invalid(err)
	}
	return cfg, nil
}

func (a *app) runAudit(ctx context.Context, f auditing, opt audit.Options) (err error) {
	cfg, err := a.mirrored(f.file)
	if err != nil {
		return err
	}
	if !cfg.Mirror.Enabled() {
		return cli.Usage("name the registry below mirror: source: in the config", "the config does not say what is mirrored")
	}
	source, err := walk.NewSource(cfg, f.repositories, a.mirrorLog())
	if err != nil {
		return err
	}
	defer source.Close()
	fl, err := a.openStores(ctx, cfg, targets.Options{Only: f.stores})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fl.Close(ctx)) }()
	opt.Denied, opt.Progress = source.Denied, &audit.Progress{}
	if probe, err := oci.ParseDigest(targets.Probe); err == nil {
		opt.Kept = []oci.Digest{probe}
	}
	stop := a.watch(opt.Progress)
	defer stop()
	found, err := audit.Run(ctx, source.Images(ctx), audited(fl), opt)
	if err != nil {
		return err
	}
	if f.repair {
		err = found.Repair(ctx, audit.RepairOptions{
			Ledger: fl.Ledger, Prepare: fl.Preflight, Dir: targets.Dir(cfg), DryRun: f.dryRun,
			Source: func(ctx context.Context, repository string, d oci.Digest, off int64) (io.ReadCloser, error) {
				body, _, err := source.Registry.OpenBlob(ctx, repository, d, off)
				return body, err
			},
		}, opt.Progress)
	}
	stop()
	if err != nil {
		return err
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, found.Report)
	} else {
		err = a.writeAudit(found.Report)
	}
	if err == nil && found.Report.ExitCode != 0 {
		err = cli.Exit(found.Report.ExitCode)
	}
	return err
}

// audited returns the stores of a config as an audit needs them, with the same indexes.
func audited(fl *targets.Set) []audit.Store {
	out := make([]audit.Store, len(fl.Stores))
	for i, s := range fl.Stores {
		out[i] = audit.Store{Name: s.Name(), Bucket: s.Bucket, URL: s.Config.URL, Err: fl.Ledger.Fault(i),
			Records: func(context.Context) iter.Seq2[inventory.Record, error] { return records(fl, i) }}
	}
	return out
}

// records yields what the inventory of one store lists.
func records(fl *targets.Set, i int) iter.Seq2[inventory.Record, error] {
	return func(yield func(inventory.Record, error) bool) {
		blobs, err := fl.Ledger.Blobs()
		if err != nil {
			yield(inventory.Record{}, fmt.Errorf("read the inventories: %w", err))
			return
		}
		for d, e := range blobs {
			if e.Stores.Has(i) && !yield(inventory.Record{Digest: d, Size: e.Size, Kind: inventory.Blob}, nil) {
				return
			}
		}
	}
}
