package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

// returning holds the flags of config rollback.
type returning struct {
	ringWriting
	generation uint64
}

func (a *app) configRollback() *cobra.Command {
	var f returning
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Go back to the config before the last publication",
		Long: `rollback publishes the former config of the rings again, under a new generation. Instances use it
within 30 seconds. Without --ring it takes back the newest publication, in all the rings that it
went to. A second rollback goes one config further back, and never returns to what was taken back
before. If one of the rings has no earlier config, nothing is written, and the error names the ring.

--generation returns to any of the last 20 publications of a ring: config status lists them.

It asks no question. --dry-run shows what it would do.`,
		Example: `  oci-proxyctl config rollback --why "retries went up"
  oci-proxyctl config rollback --ring canary --generation 41 --why "#1234"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runConfigRollback(cmd.Context(), &f) },
	}
	f.flags(a, cmd)
	cmd.Flags().Uint64Var(&f.generation, "generation", 0, "`number` of the publication to return to; 0: the one before")
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "the rings have the former config; with --dry-run: they could have it"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "nothing is written: there is no earlier config, the key may not sign, or the bucket cannot be used"}, partlyWritten)
	return cmd
}

func (a *app) runConfigRollback(ctx context.Context, f *returning) error {
	if err := f.check(a); err != nil {
		return err
	}
	site, signer, state, err := f.open(ctx, a)
	if err != nil {
		return err
	}
	rings := f.rings
	if len(rings) == 0 {
		rings = newest(state)
	}
	if len(rings) == 0 {
		return cli.Fail("config publish publishes the first", "nothing is published")
	}
	if err := canReturn(state, rings, f.generation); err != nil {
		return err
	}
	doc := publishedDoc{Written: []string{}, DryRun: f.dry}
	for _, ring := range rings {
		c, err := a.back(ctx, site, state, ring, f.generation)
		if err != nil {
			return err
		}
		doc.Rings, doc.SHA256 = append(doc.Rings, c), c.Is
	}
	if f.dry {
		return a.writePublished(&doc, rings)
	}
	heads, err := site.Rollback(ctx, state, signer, rings, f.generation, f.reason.by, f.reason.why)
	return a.finishPublished(ctx, site, &doc, heads, rings, "rollback", &f.reason, err)
}

// newest returns the rings of the newest publication.
func newest(state *publish.State) (rings []string) {
	for _, ring := range state.Rings() {
		if state.Heads[ring].Generation == state.Generation() {
			rings = append(rings, ring)
		}
	}
	return rings
}

// canReturn refuses a rollback of rings when one of them has nothing to go back to. The error names all such rings.
func canReturn(state *publish.State, rings []string, to uint64) error {
	var can, cannot []string
	for _, ring := range rings {
		if fault := state.Faults[publication.HeadName(ring)]; fault != nil {
			return cli.Fail("find out who wrote it; config publish to this ring needs the same repair", "ring %s: what is there cannot be believed: %w", ring, fault)
		}
		h := state.Heads[ring]
		switch {
		case h == nil:
			return cli.Usage("there are "+strings.Join(state.Rings(), ", "), "ring %s: %w", ring, publish.ErrNoRing)
		case publish.Earlier(h, to) != nil:
			can = append(can, ring)
		case to != 0:
			return cli.Fail("config status lists the earlier publications of each ring", "ring %s: generation %d is not one of its last %d publications", ring, to, publication.MaxPrevious)
		default:
			cannot = append(cannot, ring)
		}
	}
	if len(cannot) == 0 {
		return nil
	}
	list := strings.Join(cannot, ",")
	hint := "publish an earlier config from its repository: config publish FILE --ring " + list
	if len(can) > 0 {
		hint = "go back in the other rings with --ring " + strings.Join(can, ",") + "; for " + list + " " + hint
	}
	return cli.Fail(hint, "ring %s: %w; no ring is changed", strings.Join(cannot, ", "), publish.ErrNothing)
}

// back says what a rollback changes for a ring that can go back. What this release cannot read may still be right for
// the instances.
func (a *app) back(ctx context.Context, site *publish.Site, state *publish.State, ring string, to uint64) (*changed, error) {
	h := state.Heads[ring]
	target := publish.Earlier(h, to)
	text, err := site.Content(ctx, target.SHA256, target.Bytes)
	if err != nil {
		return nil, cli.Fail("publish a config from the repository of your configs", "ring %s: %w", ring, err)
	}
	next, err := config.Parse(publication.ContentName(target.SHA256), text)
	if err != nil {
		a.warn("ring %s: this release cannot read the config of generation %d: %v", ring, target.Generation, err)
		return &changed{Ring: ring, Generation: h.Generation, Was: h.SHA256, Is: target.SHA256, Candidates: []string{}, Unknown: "this release cannot read it"}, nil
	}
	c, err := change(ctx, site, ring, h, next, text, time.Now())
	if err == nil {
		c.back = fmt.Sprintf("ring %s goes back from generation %d (%s by %s) to the config of %d (%s by %s)", ring,
			h.Generation, h.PublishedAt.Format("2006-01-02 15:04"), h.By, target.Generation, target.PublishedAt.Format("2006-01-02 15:04"), target.By)
	}
	return c, err
}

func (a *app) configRefresh() *cobra.Command {
	var at published
	var k documentKey
	var rootKey, overrideKey string
	cmd := &cobra.Command{
		Use:   "refresh",
		Short: "Sign the documents again, so that they do not become stale",
		Long: `refresh signs the heads of all rings again with a config key, and changes nothing else. Instances
believe a document for 7 days after it was signed: a daily job should run refresh. A running
instance never stops because a document is old, but a new instance needs a fresh one.

With --override-key-file and --root-key-file it also signs the overrides and the set of keys again.
Without them it warns when these are older than 5 days.`,
		Example: `  oci-proxyctl config refresh --key ci.key
  oci-proxyctl config refresh --root-key-file root.key    # the set of keys, once a week`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runConfigRefresh(cmd.Context(), &at, &k, rootKey, overrideKey)
		},
	}
	at.flags(cmd)
	k.flags(cmd)
	cmd.Flags().StringVar(&rootKey, "root-key-file", "", "`file` with the root key, to sign the set of keys again")
	cmd.Flags().StringVar(&overrideKey, "override-key-file", "", "`file` with an override key, to sign the overrides again")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "not all is signed again: a key is wrong, or the bucket cannot be used"})
	return cmd
}

// old is when a document that nobody signs again is worth a warning: two days before instances refuse it.
const old = 5 * 24 * time.Hour

func (a *app) runConfigRefresh(ctx context.Context, at *published, k *documentKey, rootKey, overrideKey string) error {
	site, err := at.open(ctx, a)
	if err != nil {
		return err
	}
	keys := refreshKeys{}
	if err := keys.open(a, k, rootKey, overrideKey); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		state, err := readSite(ctx, site)
		if err != nil {
			return err
		}
		err = site.Refresh(ctx, state, keys.root, keys.config, keys.override)
		if errors.Is(err, publish.ErrChanged) && attempt < 5 { // a publication came between, which is fresh
			continue
		}
		if err != nil {
			return writeFault(err, "a key of the role")
		}
		return a.refreshed(state, &keys)
	}
}
