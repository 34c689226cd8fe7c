package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/envelope"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

// ringWriting holds the flags of the commands that write the heads of rings: config publish and config rollback.
type ringWriting struct {
	at     published
	key    documentKey
	reason reason
	rings  []string
	dry    bool
	over   bool // config publish only
}

func (w *ringWriting) flags(a *app, cmd *cobra.Command) {
	w.at.flags(cmd)
	w.key.flags(cmd)
	w.reason.flags(cmd)
	ringFlag(cmd, &w.rings)
	dryRunFlag(cmd, &w.dry)
	cli.OutputFlag(cmd, &a.format)
}

// check checks the flags before anything is read.
func (w *ringWriting) check(a *app) error {
	if err := checkRings(w.rings); err != nil {
		return err
	}
	return w.reason.check(a)
}

// open reads what is published. signer is nil with --dry-run when there is no key.
func (w *ringWriting) open(ctx context.Context, a *app) (site *publish.Site, signer envelope.Signer, state *publish.State, err error) {
	if site, err = w.at.open(ctx, a); err != nil {
		return nil, nil, nil, err
	}
	site.Replace = w.over
	if signer, err = w.key.signer(a, configRole); err != nil && !w.dry {
		return nil, nil, nil, err
	}
	state, err = readSite(ctx, site)
	return site, signer, state, err
}

func (a *app) configPublish() *cobra.Command {
	var f ringWriting
	cmd := &cobra.Command{
		Use:   "publish FILE",
		Short: "Publish a config to rings",
		Long: `publish examines the config in FILE, as oci-proxy check --no-files does, and refuses it if it is
invalid. It shows which stores and upstreams change in each ring, and which clients go elsewhere.
Then it writes the config, and the signed heads of the rings. FILE may be - for stdin.

It writes nothing if all the rings have this config already. It stops if somebody else publishes at
the same time. With several rings it writes them in the order of --ring, and an error says which
rings have the new config.`,
		Example: `  oci-proxyctl config publish config.yaml --ring canary --why "new store in Oregon" --dry-run
  oci-proxyctl config publish config.yaml --ring canary,early --why "#1234" --to s3://BUCKET/config?region=us-east-1
  oci-proxyctl config publish config.yaml --ring all --why "#1234" --key-command ./sign-with-kms.sh --public 'mRrzl8…='`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runConfigPublish(cmd.Context(), args[0], &f) },
	}
	f.flags(a, cmd)
	replaceFlag(cmd, &f.over)
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "the rings have this config now, or had it before; with --dry-run: it could be published"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "nothing is published: somebody else published, the key may not sign, or the bucket cannot be used"},
		cli.Invalid, partlyWritten)
	return cmd
}

// partlyWritten is the exit code of a command that writes several rings.
var partlyWritten = cli.ExitCode{Code: cli.CodePartial, Means: "some of the rings are written, the rest are as they were"}

// publishedDoc is the JSON document of config publish and config rollback. Only add fields; never remove one.
type publishedDoc struct {
	Rings      []*changed `json:"rings"`
	Generation uint64     `json:"generation,omitempty"` // the new one; absent when nothing was written
	SHA256     string     `json:"sha256,omitempty"`     // of the content
	Written    []string   `json:"written"`              // rings
	DryRun     bool       `json:"dryRun"`
}

func (a *app) runConfigPublish(ctx context.Context, file string, f *ringWriting) error {
	if len(f.rings) == 0 {
		return cli.Usage("for example --ring canary", "name the rings: --ring is missing")
	}
	if err := f.check(a); err != nil {
		return err
	}
	cfg, err := a.parsed(file)
	if err != nil {
		return err
	}
	site, signer, state, err := f.open(ctx, a)
	if err != nil {
		return err
	}
	text := cfg.Text()
	doc := publishedDoc{SHA256: publication.Hash(text), Written: []string{}, DryRun: f.dry}
	if doc.Rings, err = a.compareRings(ctx, site, state, f.rings, cfg, text); err != nil {
		return err
	}
	a.warnPublished(cfg, &doc)
	var to []string
	for _, c := range doc.Rings {
		if c.Was != c.Is || f.over {
			to = append(to, c.Ring)
		}
	}
	if len(to) == 0 || f.dry {
		return a.writePublished(&doc, to)
	}
	heads, err := site.Publish(ctx, state, signer, publish.Change{Rings: to, Content: text, By: f.reason.by, Why: f.reason.why})
	return a.finishPublished(ctx, site, &doc, heads, to, "publish", &f.reason, err)
}

// compareRings says what a config changes in each ring.
func (a *app) compareRings(ctx context.Context, site *publish.Site, state *publish.State, rings []string, cfg *config.Config, text []byte) (out []*changed, err error) {
	now := time.Now()
	for _, ring := range rings {
		if fault := state.Faults[publication.HeadName(ring)]; fault != nil && site.Replace {
			a.warn("ring %s: what is there is replaced: %v", ring, fault)
		} else if fault != nil {
			return nil, cli.Fail("find out who wrote it; config keys show lists the keys; then use --replace", "ring %s: what is there cannot be believed: %w", ring, fault)
		}
		c, err := change(ctx, site, ring, state.Heads[ring], cfg, text, now)
		if err != nil {
			return nil, err
		}
		if state.Heads[ring] == nil && len(state.Heads) > 0 {
			a.warn("ring %s is new; there are %s", ring, strings.Join(state.Rings(), ", "))
		}
		out = append(out, c)
	}
	return out, nil
}

// warnPublished warns of what the person may not have meant.
func (a *app) warnPublished(cfg *config.Config, doc *publishedDoc) {
	for _, w := range cfg.Warnings {
		a.warn("%v", w)
	}
	for _, name := range relativeFiles(cfg) {
		a.warn("%s is relative to the config: write the complete path that the file has on the instances", name)
	}
	for _, c := range doc.Rings {
		if c.Clients == nil {
			continue
		}
		if half := c.Clients.Half(); half >= manyOfPlaces && float64(half) > manyMoved*float64(c.Clients.Places) {
			a.warn("ring %s: half of the client networks or more move at once at %d of %d places; rollout of a store moves them in steps", c.Ring, half, c.Clients.Places)
		}
	}
}

// finishPublished logs and shows what was written. heads are those that were written before err.
func (a *app) finishPublished(ctx context.Context, site *publish.Site, doc *publishedDoc, heads []*publication.Head, to []string, action string, r *reason, err error) error {
	for _, h := range heads {
		doc.Written, doc.Generation = append(doc.Written, h.Ring), h.Generation
	}
	if len(heads) > 0 {
		e := publish.Entry{By: r.by, Action: action, Rings: doc.Written, Generation: doc.Generation, SHA256: heads[0].SHA256, Why: r.why}
		if err != nil {
			e.Detail = "not all of " + strings.Join(to, ", ")
		}
		a.logged(ctx, site, e)
	}
	if err == nil {
		return a.writePublished(doc, to)
	}
	if len(heads) == 0 {
		return writeFault(err, configRole)
	}
	return &cli.Error{
		Err:  fmt.Errorf("%s: %s has generation %d, the rest is as it was: %w", action, strings.Join(doc.Written, ", "), doc.Generation, err),
		Hint: "the same command writes the rest", Code: cli.CodePartial,
	}
}

func (a *app) writePublished(doc *publishedDoc, to []string) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	for _, c := range doc.Rings {
		if err := c.writeText(a.stdout, false); err != nil {
			return err
		}
	}
	var err error
	switch {
	case len(to) == 0:
		_, err = fmt.Fprintln(a.stdout, "Nothing to do: the rings have this config. config refresh signs it again.")
	case doc.DryRun:
		_, err = fmt.Fprintln(a.stdout, "Nothing is written: --dry-run.")
	default:
		_, err = fmt.Fprintf(a.stdout, "%s has generation %d. Instances use it within 30 s.\n", strings.Join(doc.Written, ", "), doc.Generation)
	}
	return err
}
