package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/config/edit"
	"ociproxy/internal/region"
	"ociproxy/internal/store/address"
)

// quietFor is the default of --quiet-for.
const quietFor = 5 * time.Minute

func (a *app) regionRemove() *cobra.Command {
	var f regional
	var quiet time.Duration
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a store out, and show the steps until its bucket can go",
		Long: `remove is the way back of region add. It shows the steps: drain the store, give that to all rings,
wait until no client is sent there, remove the stanza from the config, and give that to all rings.
Run it again at any time: it looks at what is there, and says which steps are done.

With --confirm it makes the next change of the file: first the state draining, and when no client is
sent to the store any more, it removes the stanza, with its comments.

It never deletes a bucket. At the end it prints the command that does. In an emergency use store
off.`,
		Example: `  oci-proxyctl region remove s3-eus2 --config config.yaml --dry-run
  oci-proxyctl region remove s3-eus2 --config config.yaml --confirm --run --gates gates.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRegionRemove(cmd.Context(), args[0], &f, quiet)
		},
	}
	f.flags(a, cmd)
	cmd.Flags().DurationVar(&quiet, "quiet-for", quietFor, "`time` for which Prometheus must have seen no client that was sent to the store")
	notNegative(cmd, "quiet-for")
	return cmd
}

func (a *app) runRegionRemove(ctx context.Context, name string, f *regional, quiet time.Duration) error {
	if err := f.check(); err != nil {
		return err
	}
	show := regionShow{app: a, doc: &regionDoc{Name: name, DryRun: !f.confirm}}
	show.steps = func() error { return a.removeSteps(ctx, f, name, quiet, show.doc) }
	if err := show.steps(); err != nil {
		return err
	}
	if step := show.next(); f.confirm && step != nil && (step.Name == "drain" || step.Name == "remove") {
		if err := a.changeOut(f.file, name, step.Name, show.doc); err != nil {
			return err
		}
		if err := show.steps(); err != nil {
			return err
		}
	}
	return a.walk(ctx, f, &show)
}

// changeOut makes the change of the file that a step needs.
func (a *app) changeOut(name, store, step string, doc *regionDoc) error {
	file, _, err := a.regionFile(name)
	if err != nil {
		return err
	}
	var result *edit.Result
	if step == "drain" {
		result, err = edit.Apply(file.Name, file.Text, edit.Set{List: "stores", Name: store, Key: "state", Value: string(config.Draining)})
	} else {
		result, err = edit.Remove(file.Name, file.Text, "stores", store)
	}
	if err != nil {
		return refused(err)
	}
	doc.Diff = string(diff.Diff(name, file.Text, name+" (new)", result.Text))
	if err := file.Write(result.Text); err != nil {
		return cli.Fail(writeHint(err), "%w", err)
	}
	doc.Written = true
	return nil
}

// removeSteps looks at what is there.
func (a *app) removeSteps(ctx context.Context, f *regional, name string, since time.Duration, doc *regionDoc) error {
	cfg, err := a.loaded(ctx, f.file)
	if err != nil {
		return err
	}
	facts := &region.Facts{File: f.file, Name: name, Store: namedStore(cfg, name), Now: time.Now()}
	write := []string{"region", "remove", name}
	if since != quietFor {
		write = append(write, "--quiet-for", since.String())
	}
	facts.How = f.how(write, "store "+name+" goes")
	facts.How.Write = slices.Concat(facts.How.Write, facts.How.Rollout) // it looks at the rings and at Prometheus, too
	if err := a.gatherRings(ctx, f, facts); err != nil {
		return err
	}
	s := facts.Store
	for _, r := range facts.Rings {
		if s == nil {
			s = r.Store
		}
	}
	if s == nil && doc.Place == "" {
		_, err := candidateOf(cfg, name)
		return err
	}
	if s != nil {
		facts.Notice = noticeOf(cfg, s, facts.Now)
		doc.Place = s.Place.String()
		doc.bucket = s.Bucket
	}
	if quiet, known, err := a.quiet(ctx, f, name, since); err != nil {
		return err
	} else if known || !facts.Published {
		facts.Quiet = quiet
	}
	doc.Steps = region.Remove(facts, deletion(doc.bucket)...)
	return nil
}

// deletion returns the commands that delete a bucket.
func deletion(bucket string) []region.Command {
	b, err := address.Parse(bucket)
	if err != nil {
		return nil
	}
	var command region.Command
	switch b.Scheme {
	case "s3":
		command = region.Command{Program: "aws", Args: []string{"s3", "rb", "s3://" + b.Name, "--force"}}
		if b.Region != "" {
			command.Args = append(command.Args, "--region", b.Region)
		}
		if b.Endpoint != "" {
			command.Args = append(command.Args, "--endpoint-url", b.Endpoint)
		}
	case "gs":
		command = region.Command{Program: "gcloud", Args: []string{"storage", "rm", "--recursive", "gs://" + b.Name}}
	case "azblob":
		command = region.Command{Program: "az", Args: []string{"storage", "container", "delete", "--account-name", b.Name, "--name", b.Container}}
	default:
		command = region.Command{Program: "rm", Args: []string{"-r", fmt.Sprint(b.Dir)}}
	}
	return []region.Command{command}
}
