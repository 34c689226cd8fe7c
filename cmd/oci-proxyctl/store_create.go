package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/admission"
	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/outbound"
	"ociproxy/internal/provision"
	"ociproxy/internal/targets"
)

// creating holds the flags of store create.
type creating struct {
	file         string
	dry, confirm bool
	opt          provision.Options
}

func (a *app) storeCreate() *cobra.Command {
	var f creating
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make the bucket of a store, with the settings that it needs",
		Long: `create makes the bucket that the config names for a store, and gives it the settings that a store
needs: everybody may read blobs and the inventory and list nothing, requests without TLS are
refused, ACLs have no effect, what is deleted can be restored for some days, and unfinished uploads
end. The settings are those of the Terraform modules in deploy/terraform.

The command compares what is with what should be. --dry-run shows this and writes nothing; it ends
with 4 if there is something to change. --confirm changes what differs, one setting after the
other, and reads each one back. It can be stopped at any time and run again: it finishes what is
left, and says "nothing to do" at last. What you added to the bucket stays: rules of the lifecycle,
statements of the policy, tags. If a change permits what is forbidden now, the output says so. A
bucket of another account, or in another region, is refused.

A service may not have a setting. Then the command says so and goes on. What only the account or the
organisation can change is named with its command.

With --confirm the command then makes sure of what it did: it writes a probe as the mirror does,
reads it without credentials, and tries to list the bucket without credentials.`,
		Example: `  oci-proxyctl store create s3-use1 --config config.yaml --dry-run
  oci-proxyctl store create s3-use1 --config config.yaml --confirm
  oci-proxyctl store create s3-use1 --config config.yaml --confirm --log-bucket example-logs-use1
  oci-proxyctl store create gcs-eu --config config.yaml --dry-run --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.dry == f.confirm {
				return cli.Usage("--dry-run shows what would change; --confirm changes it", "give one of --dry-run and --confirm")
			}
			return a.runStoreCreate(cmd.Context(), args[0], f)
		},
	}
	cli.ConfigFlag(cmd, &f.file, a.env)
	cmd.Flags().StringVar(&f.opt.LogBucket, "log-bucket", "", "S3 `bucket` in the same region that gets the access logs; default: leave the logs as they are")
	dryRunFlag(cmd, &f.dry)
	confirmFlag(cmd, &f.confirm)
	cli.OutputFlag(cmd, &a.format)
	a.completeCandidates(cmd, &f.file)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the bucket is as it should be"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the bucket is refused or cannot be made, or the command was interrupted"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodeDifferent, Means: "--dry-run: there is something to change; --confirm: something above the bucket forbids a setting"},
		cli.ExitCode{Code: cli.CodePartial, Means: "a setting could not be read or changed, or the bucket does not work as a store; the rest is done"})
	return cmd
}

// created is the JSON document of store create. Only add fields; never remove one.
type created struct {
	*provision.Report
	DryRun  bool   `json:"dryRun"`
	Changes int    `json:"changes"` // settings that were changed, or would be
	Proof   *proof `json:"proof,omitempty"`
}

// unsure returns how many settings are missing of which only a try shows whether the service has them.
func (c *created) unsure() (n int) {
	for _, f := range c.Findings {
		if f.Unsure {
			n++
		}
	}
	return n
}

// proof is what was found out about a bucket by using it.
type proof struct {
	// Preflight is why the bucket cannot be written to, or its content not be read without credentials; "" is good.
	Preflight string `json:"preflight"`
	// List is why strangers may be able to list the bucket; "" is good.
	List string `json:"list"`
}

func (p *proof) good() bool { return p == nil || p.Preflight == "" && p.List == "" }

func (a *app) runStoreCreate(ctx context.Context, name string, f creating) error {
	cfg, err := a.loaded(ctx, f.file)
	if err != nil {
		return err
	}
	c, err := candidateOf(cfg, name)
	if err != nil {
		return err
	}
	s, ok := c.stanza.(*config.Store)
	if !ok {
		return cli.Usage("store ls lists the names", "%s is an upstream, and only stores have a bucket", name)
	}
	opt := f.opt
	opt.Getenv, opt.Logger = a.env, a.mirrorLog()
	b, err := provision.Open(ctx, s, opt)
	if errors.Is(err, provision.ErrNoBucket) {
		return cli.Usage("set bucket: of the store in the config, for example s3://NAME?region=us-east-1", "%w", err)
	}
	if err != nil {
		return err
	}
	doc := created{DryRun: f.dry}
	if f.dry {
		doc.Report, err = b.Look(ctx)
	} else {
		doc.Report, err = b.Apply(ctx, func(found provision.Finding) {
			if a.format != cli.JSON {
				writeSetting(a.stdout, found)
			}
		})
	}
	if err != nil {
		return a.notCreated(ctx, err)
	}
	doc.Changes = doc.Count(provision.Missing, provision.Changed)
	if f.dry {
		doc.Changes = doc.Count(provision.Missing) - doc.unsure()
	}
	if !f.dry {
		if doc.Proof, err = a.tryOut(ctx, cfg, s); err != nil {
			return a.notCreated(ctx, err)
		}
	}
	if err := a.writeCreated(&doc); err != nil {
		return err
	}
	return doc.exit()
}

// exit returns the exit code as an error. 0 is only for a bucket of which everything is known and good.
func (c *created) exit() error {
	switch {
	case !c.DryRun && (c.Count(provision.Failed, provision.Missing) > 0 || !c.Proof.good()):
		return cli.Exit(cli.CodePartial)
	case c.DryRun && c.Changes > 0, c.Count(provision.Blocked) > 0:
		return cli.Exit(cli.CodeDifferent)
	case c.unread() > 0:
		return cli.Exit(cli.CodePartial)
	}
	return nil
}

// unread returns how many settings could not be read, so that nobody knows whether they are as they should be.
func (c *created) unread() int { return c.Count(provision.Unknown, provision.Failed) }

// notCreated adds to an error what the person can do.
func (a *app) notCreated(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return cli.Fail("run the command again: it finishes what is left", "interrupted")
	case errors.Is(err, provision.ErrForeign):
		return cli.Fail("choose another name, or correct bucket:, owner: and place: of the store in the config", "%w", err)
	}
	return err
}

// strangerTimeout bounds the look whether strangers can list a bucket.
const strangerTimeout = 30 * time.Second

// tryOut makes sure that the bucket works as a store: it can be written to, everybody can read what was written, and
// strangers cannot list it. The error is the end of ctx.
func (a *app) tryOut(ctx context.Context, cfg *config.Config, s *config.Store) (*proof, error) {
	var p proof
	set, err := targets.Open(ctx, cfg, targets.Options{Only: []string{s.Name}, Resting: true, Getenv: a.env, Logger: a.mirrorLog()})
	if err == nil {
		err = set.Preflight(ctx, 0)
		err = errors.Join(err, set.Close(ctx))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		p.Preflight = err.Error()
	}
	ask := judge.Asker{Client: &http.Client{Transport: outbound.New(outbound.Options{}), CheckRedirect: outbound.NoRedirect}, Timeout: strangerTimeout, UserAgent: agent()}
	for _, at := range admission.ListURLs(s) {
		switch got := ask.Ask(ctx, judge.Query{Method: http.MethodGet, URL: at, Max: 1}); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case got.Err != nil:
			p.List = got.Err.Error()
		case got.Status/100 == 2:
			p.List = fmt.Sprintf("a stranger may list the bucket: status %d for %s", got.Status, at)
		}
	}
	return &p, nil
}

// signs are how a state of a setting is shown.
var signs = map[provision.State]string{
	provision.Good: "ok", provision.Missing: "change", provision.Changed: "changed", provision.Unsupported: "not supported",
	provision.Blocked: "FORBIDDEN", provision.ByHand: "by hand", provision.Unknown: "not readable", provision.Failed: "FAILED",
}

// writeSetting writes what was found out about one setting: in one line if it is good, else with what a person needs to
// know.
func writeSetting(w io.Writer, f provision.Finding) {
	text := f.Want
	if f.State != provision.Good && f.State != provision.Changed && f.Have != "" {
		text = f.Have + " → " + f.Want
	} else if f.State == provision.Good && f.Have != "as wanted" && f.Have != "" {
		text = f.Have
	}
	sign := signs[f.State]
	if f.Unsure {
		sign = "try"
	}
	fmt.Fprintf(w, "%-13s  %s: %s\n", sign, f.Name, cli.OneLine(text))
	more := func(what, text string) {
		if text != "" {
			fmt.Fprintf(w, "%-13s    %s: %s\n", "", what, cli.OneLine(text))
		}
	}
	if f.State != provision.Good {
		more("why", f.Why)
	}
	more("careful", f.Weaker)
	for _, kept := range f.Kept {
		more("stays", kept)
	}
	more("reason", f.Detail)
	more("to do", f.Remedy)
}

func (a *app) writeCreated(doc *created) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	var b strings.Builder
	if doc.DryRun {
		for _, f := range doc.Findings {
			writeSetting(&b, f)
		}
	}
	b.WriteString("\n")
	if p := doc.Proof; p != nil {
		if p.Preflight == "" {
			b.WriteString("The mirror can write to the bucket, and everybody can read what it writes.\n")
		} else {
			fmt.Fprintf(&b, "The bucket does not work as a store: %s\n", cli.OneLine(p.Preflight))
		}
		if p.List == "" {
			b.WriteString("Strangers cannot list the bucket.\n")
		} else {
			fmt.Fprintf(&b, "Strangers: %s\n", cli.OneLine(p.List))
		}
	}
	switch {
	case doc.DryRun && doc.Changes > 0:
		fmt.Fprintf(&b, "%s: %d to change. Nothing is written: --dry-run.\n", doc.Bucket, doc.Changes+doc.unsure())
	case doc.DryRun && doc.unsure() > 0:
		fmt.Fprintf(&b, "%s: nothing to do but to try %d again, which this service may not have.\n", doc.Bucket, doc.unsure())
	case doc.Changes > 0:
		fmt.Fprintf(&b, "%s: %d changed.\n", doc.Bucket, doc.Changes)
	case doc.unread()+doc.Count(provision.Blocked) == 0:
		fmt.Fprintf(&b, "%s: nothing to do.\n", doc.Bucket)
	}
	if n := doc.Count(provision.Blocked); n > 0 {
		fmt.Fprintf(&b, "%s: %d FORBIDDEN: see above what to do.\n", doc.Bucket, n)
	}
	if n := doc.unread(); n > 0 {
		fmt.Fprintf(&b, "%s: %d not readable, or FAILED: see above what to do.\n", doc.Bucket, n)
	}
	_, err := fmt.Fprint(a.stdout, &b)
	return err
}
