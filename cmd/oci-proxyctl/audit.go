package main

import (
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
	"ociproxy/internal/fleet"
	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/walk"
)

// auditing is what the flags of audit say.
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

// auditCodes is the paragraph about the exit codes of audit.
const auditCodes = `The exit code is the sum of
   1  something could not be looked at, or could not be repaired
   4  unexpected or unlisted blobs: more than is used; no client is harmed
   8  blobs are missing or lost
  16  blobs are short or disputed: not of the size that inventory or manifest say; or a manifest states a wrong size
  32  blobs are corrupt: not of the digest that their name says
  64  blobs are not publicly readable, or not as they are
What was repaired does not count. 2 and 3 are never such sums: wrong usage, and an invalid config.`

func (a *app) audit() *cobra.Command {
	f := auditing{limit: 20, parallel: 8, sample: "100%"}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Find out whether every blob of every image is in every store, whole",
		Long: `audit walks the images of the mirror's source, and compares what they need with what the stores have:

  --from inventory  what the stores' inventories say: no request for an object
  --from listing    the buckets' listings, beside the inventories; what a listing lacks is asked for, too
  --from head       a question about each blob, by its owner and by the public at the store's url
  --deep            reads and hashes every blob that is needed or listed, besides; without --from it lists too

Without --from and --deep it is the inventories, and a question about some hundred blobs of each store, as with
--from head, chosen at random: what keeps right bytes from clients is mostly true of many.

--sample 5% looks at a random part of the blobs, where they are looked at one by one. What it reports:

  lost        the inventory lists it, and there is no object: clients are sent to a 404
  missing     an image needs it, and it is not there
  corrupt     its bytes do not have the digest
  short       its size is not that of the inventory, or that of no manifest
  disputed    the manifest states one size, and the store has another: --deep tells which is wrong
  unreadable  clients do not get it as it is: not public, with a Content-Encoding, in an archive, …
  unlisted    it is there and not in the inventory: no client is sent there
  unexpected  it is there or listed, and no image needs it

--repair fetches what is lost, missing, corrupt, short, disputed or unreadable from the source or from a store that has
it whole, writes it anew, and lists what is unlisted. Inventories cease to list what is wrong before anything is written. What
clients still do not get then is not listed: a cache has it, or a rule of the bucket keeps them out. What is unexpected
is never deleted: purge does that, digest by digest.`,
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
	fl.StringVarP(&f.file, "config", "c", a.env("OCI_PROXY_CONFIG"), "config `file`; OCI_PROXY_CONFIG in the environment names a default")
	fl.StringArrayVarP(&f.stores, "store", "s", nil, "`name` of a store to look at; default: all that have a bucket")
	fl.StringArrayVarP(&f.repositories, "repository", "r", nil, "`name` of a repository to walk; default: all that are mirrored. With it nothing is unexpected")
	fl.StringVar(&f.from, "from", "", "where what stores have is learnt: inventory, listing or head")
	fl.BoolVar(&f.deep, "deep", false, "read and hash the blobs")
	fl.StringVar(&f.sample, "sample", f.sample, "`percentage` of the blobs that are looked at one by one")
	fl.BoolVar(&f.repair, "repair", false, "make good what can be")
	fl.BoolVar(&f.dryRun, "dry-run", false, "with --repair: say what would be done, and do nothing")
	fl.IntVarP(&f.limit, "limit", "n", f.limit, "how many findings of each class to show for each store; 0: all")
	fl.IntVar(&f.parallel, "parallel", f.parallel, "how many blobs of one store are looked at, at once")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	a.completeStores(cmd, &f.file, fleet.Written)
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"inventory", "listing", "head"}, cobra.ShellCompDirectiveNoFileComp))
	a.outputFlag(cmd)
	cli.ExitsText(cmd, auditCodes)
	return cmd
}

// maxAuditParallel bounds the objects of one store that are looked at at once.
const maxAuditParallel = 64

// spot is about how many blobs of one store are looked at when nobody says how to look.
const spot = 100

// options checks the flags.
func (f *auditing) options(cmd *cobra.Command) (audit.Options, error) {
	opt := audit.Options{From: audit.From(f.from), Deep: f.deep, Limit: f.limit, Parallel: f.parallel, Partial: len(f.repositories) > 0}
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
	case f.parallel < 1 || f.parallel > maxAuditParallel:
		return opt, cli.Usage("8 is usual", "--parallel %d is not in 1 to %d", f.parallel, maxAuditParallel)
	}
	opt.Sample = percent
	return opt, nil
}

// mirrored loads a config that has something to mirror from and to.
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
	source, err := walk.NewSource(cfg, f.repositories)
	if err != nil {
		return err
	}
	defer source.Close()
	fl, err := a.openStores(ctx, cfg, fleet.Options{Only: f.stores})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fl.Close(ctx)) }()
	opt.Denied, opt.Progress = source.Denied, &audit.Progress{}
	if probe, err := oci.ParseDigest(fleet.Probe); err == nil {
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
			Ledger: fl.Ledger, Prepare: fl.Preflight, Dir: fleet.Dir(cfg), DryRun: f.dryRun,
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

// audited are the stores of a fleet as an audit sees them, by the same numbers.
func audited(fl *fleet.Fleet) []audit.Store {
	out := make([]audit.Store, len(fl.Stores))
	for i, s := range fl.Stores {
		out[i] = audit.Store{Name: s.Name(), Bucket: s.Bucket, URL: s.Config.URL, Err: fl.Ledger.Fault(i),
			Records: func(context.Context) iter.Seq2[inventory.Record, error] { return records(fl, i) }}
	}
	return out
}

// records are what the inventory of one store lists.
func records(fl *fleet.Fleet, i int) iter.Seq2[inventory.Record, error] {
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
