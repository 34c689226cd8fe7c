package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/config/edit"
	"ociproxy/internal/place"
	"ociproxy/internal/region"
)

// adding holds the flags of region add.
type adding struct {
	regional
	wish      region.Wish
	admission string
	images    []string
}

func (a *app) regionAdd() *cobra.Command {
	var f adding
	cmd := &cobra.Command{
		Use:   "add PLACE",
		Short: "Add a store in a region, and show the steps until clients use it",
		Long: `add writes the stanza of a store in the region PLACE, such as aws/eu-south-2, into the config. The
store begins in the state filling, and gets no client. Its values follow from the nearest store of
the same cloud: wherever a name has the region in it, add writes the new one. Comments and the order
of the file stay.

Then it shows the steps: make the bucket, fill it, admit the store, roll it out. Run it again at any
time: it looks at what is there, and says which steps are done and which one comes next. With --run
it runs them, until one needs a person or must wait.

At last it shows which clients get nearer to their bytes by the store, and what a gigabyte for them
costs before and after.`,
		Example: `  oci-proxyctl region add aws/eu-south-2 --config config.yaml --dry-run
  oci-proxyctl region add aws/eu-south-2 --config config.yaml --confirm
  oci-proxyctl region add aws/eu-south-2 --config config.yaml --infra deploy/terraform/examples/production --confirm --run
  oci-proxyctl region add onprem/berlin --bucket 's3://layers?region=eu-central-1&endpoint=https://s3.example' \
    --url 'https://s3.example/layers/containers/images/{digest}' --confirm`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runRegionAdd(cmd.Context(), args[0], &f) },
	}
	f.flags(a, cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.wish.Name, "name", "", "`name` of the store; default: that of the nearest one, with the new region in it")
	fl.StringVar(&f.wish.Bucket, "bucket", "", "`name` or URL of the bucket; default: as for --name")
	fl.StringVar(&f.wish.URL, "url", "", "`URL` of a blob, with {digest}; default: as for --name")
	fl.StringVar(&f.wish.Owner, "owner", "", "`account` that must own the bucket; default: that of the nearest store")
	fl.StringVar(&f.infra, "infra", "", "`directory` of the OpenTofu modules that make the bucket; without it, store create makes it")
	fl.StringVar(&f.admission, "admission", "", "`file` for the record of store admit; default: NAME.admission.json beside the config")
	fl.IntSliceVar(&f.percents, "percents", []int{1, 5, 25, 50, 100}, "the `percents` of client networks of the rollout, separated by commas")
	imageFlag(cmd, &f.images)
	return cmd
}

func (a *app) runRegionAdd(ctx context.Context, text string, f *adding) error {
	if err := f.check(); err != nil {
		return err
	}
	at, err := place.Parse(text)
	if err != nil {
		return cli.Usage("for example aws/eu-south-2", "PLACE %q: %w", text, err)
	}
	file, result, err := a.regionFile(f.file)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	site, err := region.Site(result.Config, at)
	if err != nil {
		return refused(err)
	}
	f.wish.Place, f.wish.Now = site.Place, time.Now()
	show := regionShow{app: a, doc: &regionDoc{Place: site.Place.String(), DryRun: !f.confirm}}
	s := f.present(result.Config)
	if s == nil {
		draft, err := region.Make(result.Config, f.wish)
		if err != nil {
			return refused(err)
		}
		if result, err = edit.Insert(file.Name, file.Text, edit.Stanza{List: "stores", Text: draft.Text}); err != nil {
			return refused(err)
		}
		show.doc.Like, show.doc.Notes = draft.Like, draft.Notes
		show.doc.Diff = string(diff.Diff(f.file, file.Text, f.file+" (new)", result.Text))
		if f.confirm {
			if err := file.Write(result.Text); err != nil {
				return cli.Fail(writeHint(err), "%w", err)
			}
			show.doc.Written = true
		}
		s = namedStore(result.Config, draft.Name)
	}
	show.doc.Name = s.Name
	show.steps = func() error { return a.addSteps(ctx, f, site, s.Name, show.doc, result.Config) }
	if err := show.steps(); err != nil {
		return err
	}
	return a.walk(ctx, &f.regional, &show)
}

// present returns the store that the command is about, if the config has it: that of --name, or the one of the place.
func (f *adding) present(cfg *config.Config) *config.Store {
	if f.wish.Name != "" {
		if s := namedStore(cfg, f.wish.Name); s != nil && s.Place == f.wish.Place {
			return s
		}
		return nil
	}
	if all := region.At(cfg, f.wish.Place); len(all) > 0 {
		return all[0]
	}
	return nil
}

func namedStore(cfg *config.Config, name string) *config.Store {
	i := slices.IndexFunc(cfg.Stores, func(s config.Store) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &cfg.Stores[i]
}

// addSteps looks at what is there. next is the config with the store, which the file may not have yet.
func (a *app) addSteps(ctx context.Context, f *adding, site place.Site, name string, doc *regionDoc, next *config.Config) error {
	cfg, err := a.loaded(ctx, f.file)
	if err != nil {
		return err
	}
	facts := &region.Facts{Name: name, Site: site, Store: namedStore(cfg, name)}
	s := facts.Store
	if s != nil {
		next = cfg
	} else {
		s = namedStore(next, name)
	}
	write := []string{"region", "add", site.Place.String()}
	for _, flag := range []struct{ name, value string }{{"--name", f.wish.Name}, {"--bucket", f.wish.Bucket}, {"--url", f.wish.URL}, {"--owner", f.wish.Owner}} {
		if flag.value != "" {
			write = append(write, flag.name, flag.value)
		}
	}
	facts.How = f.how(write, "new store "+name)
	facts.How.Record, facts.How.Images = f.admission, f.images
	if f.admission == "" {
		facts.How.Record = recordOf(f.file, name)
	}
	if err := a.gather(ctx, cfg, s, &f.regional, facts); err != nil {
		return err
	}
	doc.Steps = region.Add(facts)
	if err := a.gains(doc, next, name); err != nil || facts.Store == nil || facts.Store.State != config.Active {
		return err
	}
	return a.savings(ctx, f.prom, doc)
}

// regionFile reads the config for a command that changes it.
func (a *app) regionFile(name string) (*edit.File, *edit.Result, error) {
	file, err := edit.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, cli.Fail("name a file that exists with --config or OCI_PROXY_CONFIG", "%w", err)
	}
	if err != nil {
		return nil, nil, err
	}
	result, err := edit.Apply(file.Name, file.Text)
	if err != nil {
		return nil, nil, a.invalid(err)
	}
	return file, result, nil
}

// refused turns a refusal into an error with its hint.
func refused(err error) error {
	if r, ok := errors.AsType[*region.Refusal](err); ok {
		return cli.Usage(r.Hint, "%w", err)
	}
	if r, ok := errors.AsType[*edit.Refusal](err); ok {
		return cli.Fail(r.Hint, "%w", err)
	}
	return err
}

// walk shows the steps, and with --run runs them.
func (a *app) walk(ctx context.Context, f *regional, show *regionShow) error {
	if err := show.write(); err != nil || !f.run {
		return err
	}
	ran := map[string]bool{}
	for {
		step := show.next()
		switch {
		case step == nil:
			return nil
		case step.State == region.Waits, len(step.Commands) == 0, slices.ContainsFunc(step.Commands, func(c region.Command) bool { return c.Program != "" }):
			fmt.Fprintf(a.stderr, "The step %s is for you: %s\n", step.Name, step.Detail)
			return cli.Exit(cli.CodePaused)
		case ran[step.Name]:
			return cli.Fail("look at what it printed", "the step %s ended without an error, and is not done: %s", step.Name, step.Detail)
		}
		ran[step.Name] = true
		for _, c := range step.Commands {
			fmt.Fprintf(a.stderr, "\n%s: %s\n", step.Name, c.Shell(program))
			below := *a
			if err := below.execute(ctx, c.Args); err != nil {
				return cli.Fail("run the same command again: it goes on from here", "step %s: %w", step.Name, err)
			}
		}
		if err := show.steps(); err != nil {
			return err
		}
	}
}

// commandLines joins the commands of a step.
func commandLines(commands []region.Command) string {
	var all []string
	for _, c := range commands {
		all = append(all, c.Shell(program))
	}
	return strings.Join(all, "\n")
}
