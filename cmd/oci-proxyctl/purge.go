package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/purge"
	"ociproxy/internal/targets"
)

func (a *app) purge() *cobra.Command {
	var file string
	var dryRun, confirm bool
	cmd := &cobra.Command{
		Use:   "purge DIGEST…",
		Short: "Remove blobs from all stores: a takedown",
		Long: `purge first removes the blobs from the inventory of every store with a bucket, also of stores that
are draining or off. Then it waits two refresh intervals, so that no server sends clients there any
more. Then it deletes the objects. At the end it prints the URLs that caches in front of the stores
may still have.

The config must list the digests below deny: digests:, or the next pass of the mirror would copy
them again. Running servers and mirrors must have read that config before. purge does not write to
the source registry, which still has the blobs.

If purge is interrupted, or reports a store that it could not reach, run it again. It then waits
again if there is still an object to delete.`,
		Example: `  oci-proxyctl purge --config config.yaml --dry-run sha256:…
  oci-proxyctl purge --config config.yaml --confirm sha256:…`,
		RunE: func(cmd *cobra.Command, args []string) error {
			digests, err := parseDigests(args)
			if err != nil {
				return err
			}
			if dryRun == confirm {
				return cli.Usage("--dry-run shows what would be done", "purge deletes objects: say --confirm or --dry-run, and not both")
			}
			cfg, err := a.mirrored(file)
			if err != nil {
				return err
			}
			if err := purge.Denied(digests, cfg.Deny.Digests); err != nil {
				return cli.Fail("list it below deny: digests: in the config, and let servers and mirrors read that, or the next pass of the mirror brings it back", "%w", err)
			}
			return a.runPurge(cmd.Context(), cfg, digests, dryRun)
		},
	}
	cli.ConfigFlag(cmd, &file, a.env)
	dryRunFlag(cmd, &dryRun)
	confirmFlag(cmd, &confirm)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "nothing could be done, or purge was interrupted: run it again"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodePartial, Means: "a store failed, the others are done: run it again"})
	return cmd
}

func parseDigests(args []string) (out []oci.Digest, err error) {
	if len(args) == 0 {
		return nil, cli.Usage("for example sha256: and 64 hexadecimal digits", "no digest")
	}
	seen := map[oci.Digest]bool{}
	for _, text := range args {
		d, err := oci.ParseDigest(text)
		if err != nil || !d.InStores() {
			return nil, cli.Usage("sha256: and 64 hexadecimal digits, or sha512: and 128", "%q is no digest of a blob in a store", text)
		}
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out, nil
}

func (a *app) runPurge(ctx context.Context, cfg *config.Config, digests []oci.Digest, dryRun bool) (err error) {
	fl, err := a.openStores(ctx, cfg, targets.Options{Resting: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fl.Close(ctx)) }()
	stores := make([]purge.Store, len(fl.Stores))
	for i, s := range fl.Stores {
		stores[i] = purge.Store{Name: s.Name(), Bucket: s.Bucket, URL: s.Config.URL, CDN: s.Config.CDN != "",
			Refresh: s.Config.Inventory.Refresh, Err: fl.Ledger.Fault(i)}
	}
	c := countdown{a: a}
	r, err := purge.Run(ctx, digests, stores, purge.Options{Ledger: fl.Ledger, DryRun: dryRun, Waiting: c.show})
	c.clear()
	if err != nil {
		return cli.Fail("run it again: what is done stays done", "%w", err)
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, r)
	} else {
		var untouched []string
		for _, s := range cfg.Stores {
			if s.Bucket == "" {
				untouched = append(untouched, s.Name)
			}
		}
		err = a.writePurge(r, untouched)
	}
	if err == nil && r.ExitCode != 0 {
		err = cli.Exit(r.ExitCode)
	}
	return err
}

// writePurge shows what was done. untouched are the stores without a bucket.
func (a *app) writePurge(r *purge.Report, untouched []string) error {
	t := cli.Table{Header: []string{"STORE", "BLOB", "INVENTORY", "OBJECT"}}
	for _, s := range r.Stores {
		for _, b := range s.Blobs {
			inventory, object := "not listed", "none"
			switch {
			case b.Unlisted:
				inventory = "listed no longer"
			case b.Listed:
				inventory = "listed"
			case s.Error != "":
				inventory = "not known"
			}
			switch {
			case b.Deleted:
				object = "deleted, " + size(b.Size)
			case b.Object:
				object = size(b.Size)
			}
			if s.Error != "" && !b.Deleted {
				object = "not known"
			}
			t.Row(s.Name, b.Digest.String(), inventory, object)
		}
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	failed := 0
	for _, s := range r.Stores {
		if s.Error != "" {
			failed++
			fmt.Fprintf(a.stdout, "%s is not done: %s\n", s.Name, aboutStore(s.Name, s.Error))
		}
	}
	if r.DryRun {
		fmt.Fprintf(a.stdout, "\nNothing was changed. A purge would wait %v between the inventories and the objects.\n", time.Duration(r.WaitSeconds*float64(time.Second)))
	}
	if len(r.URLs) > 0 {
		fmt.Fprintf(a.stdout, "\nCaches may still have it. Purge there:\n")
		for _, u := range r.URLs {
			note := ""
			if u.CDN {
				note = "  (CDN)"
			}
			fmt.Fprintf(a.stdout, "  %s%s\n", u.URL, note)
		}
	}
	for _, name := range untouched {
		fmt.Fprintf(a.stdout, "\n%s has no bucket in the config: the owner of that store must delete it there.\n", name)
	}
	if failed > 0 {
		_, err := fmt.Fprintf(a.stdout, "\n%s could not be done: run it again.\n", cli.Count(int64(failed), "store"))
		return err
	}
	return nil
}

// countdown shows the remaining wait: updated in place on a terminal, written once elsewhere.
type countdown struct {
	a     *app
	began bool
}

func (c *countdown) show(left time.Duration) {
	left = left.Round(time.Second)
	switch {
	case cli.IsTerminal(c.a.stderr):
		fmt.Fprintf(c.a.stderr, "\r\x1b[Kno inventory lists it any more; the objects are deleted in %v, when every server knows", left)
	case !c.began:
		fmt.Fprintf(c.a.stderr, "no inventory lists it any more; the objects are deleted in %v, when every server knows\n", left)
	}
	c.began = true
}

func (c *countdown) clear() {
	if c.began && cli.IsTerminal(c.a.stderr) {
		fmt.Fprint(c.a.stderr, "\r\x1b[K")
	}
}
