package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/ledger"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// rebuilt is the JSON document of inventory rebuild. Only add fields; never remove one.
type rebuilt struct {
	Store  string `json:"store"`
	Bucket string `json:"bucket"`
	DryRun bool   `json:"dryRun"`
	ledger.Rebuilt
}

func (a *app) inventoryRebuild() *cobra.Command {
	var s sources
	var opt ledger.RebuildOptions
	cmd := &cobra.Command{
		Use:   "rebuild --config FILE --store NAME",
		Short: "Make an inventory list what the store's bucket has",
		Long: `rebuild lists the bucket of a store and makes its inventory say the same. It adds blobs that were
not in the inventory. It removes blobs that are gone, after it has asked the bucket for each once
more. It does not read the bytes. A mirror may run at the same time; what it records stays. rebuild
does not list what the config denies.

Before rebuild adds a blob it sends a HEAD request to the store's url, as a client would, and, where
the list does not show headers (S3, files), one to the bucket. It does not add an object that has a
Content-Encoding, is in an archive or is not public, nor one with a size or checksum that its digest
cannot have. audit --repair and the next pass of the mirror write such an object again. So a blob
that was not in the inventory costs up to two requests, and one that was costs only its share of the
list.

An inventory that cannot be read stays as it is, unless you replace it with --force. With --dry-run
rebuild writes nothing.`,
		Example: `  oci-proxyctl inventory rebuild --config config.yaml --store s3-use1 --dry-run
  oci-proxyctl inventory rebuild --config config.yaml --store s3-use1 --force --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, st, err := s.one(a)
			if err != nil {
				return err
			}
			return a.runRebuild(cmd.Context(), cfg, st, opt)
		},
	}
	s.flags(a, cmd)
	f := cmd.Flags()
	dryRunFlag(cmd, &opt.DryRun)
	f.BoolVar(&opt.Force, "force", false, "replace an inventory that is broken or belongs to another store")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid, cli.ExitCode{Code: cli.CodeDifferent, Means: "with --dry-run: there is something to change"})
	return cmd
}

// one returns the config and the single store named by --store, which must have a bucket.
func (s *sources) one(a *app) (*config.Config, *config.Store, error) {
	if s.file == "" {
		return nil, nil, cli.Usage("name the config with --config or OCI_PROXY_CONFIG", "a config is needed")
	}
	if len(s.stores) != 1 {
		return nil, nil, cli.Usage("for example --store s3-use1", "want one --store, got %d", len(s.stores))
	}
	cfg, err := a.load(s.file)
	if err != nil {
		return nil, nil, a.invalid(err)
	}
	i := slices.IndexFunc(cfg.Stores, func(st config.Store) bool { return st.Name == s.stores[0] })
	if i < 0 {
		return nil, nil, cli.Usage("the names are those below stores: in the config", "no store %q in the config", s.stores[0])
	}
	if cfg.Stores[i].Bucket == "" {
		return nil, nil, cli.Usage("give it a bucket: s3://…, gs://…, azblob://… or file:///… in the config", "store %q has no bucket in the config", s.stores[0])
	}
	return cfg, &cfg.Stores[i], nil
}

func (a *app) runRebuild(ctx context.Context, cfg *config.Config, st *config.Store, opt ledger.RebuildOptions) (err error) {
	at := cfg.Where(fmt.Sprintf("stores[%d].bucket", slices.IndexFunc(cfg.Stores, func(s config.Store) bool { return s.Name == st.Name })))
	b, err := store.Open(ctx, st.Bucket, store.Options{Owner: st.Owner, Getenv: a.env, Logger: a.mirrorLog()})
	if err != nil {
		return fmt.Errorf("%w (%s)", err, at)
	}
	if !opt.DryRun {
		err := b.Check(ctx, store.InventoryPrefix+"probe/")
		if errors.Is(err, store.ErrUnfit) {
			return cli.Fail("the bucket must exist, be yours and honour conditional writes", "%w (%s)", err, at)
		}
		if err != nil {
			return fmt.Errorf("%w (%s)", err, at)
		}
	}
	l, err := ledger.Open(ctx, []ledger.Store{{Name: st.Name, Bucket: b}}, ledger.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	p := a.progress()
	opt.Progress = func(r ledger.Rebuilt) {
		p.line(fmt.Sprintf("%s listed, %s to change", cli.Count(r.Blobs, "blob"), humanize.Comma(r.Changes())))
	}
	denied := map[oci.Digest]bool{}
	for _, d := range cfg.Deny.Digests {
		denied[d] = true
	}
	client := store.PublicClient(ledger.HeadsAtOnce)
	defer client.CloseIdleConnections()
	opt.Look = (&store.Public{URL: st.URL, Client: client}).Look
	opt.Deny = func(d oci.Digest) bool { return denied[d] }
	r, err := l.Rebuild(ctx, 0, opt)
	p.clear()
	if errors.Is(err, ledger.ErrUnusable) {
		return cli.Fail("if it is broken for good, --force begins a new one; inventory verify tells what is wrong with it", "%w", err)
	}
	if errors.Is(err, store.ErrListing) {
		return cli.Fail(hintListing, "%w", err)
	}
	if err != nil {
		return err
	}
	doc := rebuilt{Store: st.Name, Bucket: b.String(), DryRun: opt.DryRun, Rebuilt: r}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, doc)
	} else {
		err = a.writeRebuilt(doc)
	}
	if err == nil && opt.DryRun && (r.Changes() > 0 || r.Replaces) {
		return cli.Exit(cli.CodeDifferent)
	}
	return err
}

// hintListing says what to do when the bucket's list is not usable.
const hintListing = "until the list is right, use audit --from head: it asks the store for each blob"

func (a *app) writeRebuilt(d rebuilt) error {
	t := cli.Table{}
	t.Row("store", d.Store)
	t.Row("bucket", d.Bucket)
	t.Row("holds", fmt.Sprintf("%s, %s", cli.Count(d.Blobs, "blob"), size(d.Bytes)))
	t.Row("not recorded", humanize.Comma(d.Added))
	t.Row("of another size", humanize.Comma(d.Resized))
	t.Row("recorded, not there", humanize.Comma(d.Removed))
	if d.Unreadable > 0 {
		t.Row("clients would not get", humanize.Comma(d.Unreadable))
	}
	if d.Denied > 0 {
		t.Row("denied, still there", humanize.Comma(d.Denied))
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	if d.Unreadable > 0 {
		fmt.Fprintf(a.stdout, "\n%s that clients would not get as they are, or that cannot be what their names say, and that are not listed;\n"+
			"audit --repair, or the next pass of the mirror, writes again what images need:\n", cli.Count(d.Unreadable, "blob"))
		for _, h := range d.Hidden {
			fmt.Fprintf(a.stdout, "  %s  %s\n", h.Digest, cli.OneLine(h.Why))
		}
	}
	if d.Unexpected > 0 {
		fmt.Fprintf(a.stdout, "\n%s among the blobs whose name is no digest:\n", cli.Count(d.Unexpected, "object"))
		for _, key := range d.Keys {
			fmt.Fprintf(a.stdout, "  %q\n", key)
		}
	}
	verdict := "The inventory was right."
	switch {
	case d.DryRun && d.Replaces:
		verdict = "A new inventory would be written."
	case d.Replaces:
		verdict = "A new inventory was written."
	case d.DryRun && d.Changes() > 0:
		verdict = "Nothing was changed: this was a dry run."
	case d.Changes() > 0:
		verdict = "The inventory says that now."
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s\n", verdict)
	return err
}
