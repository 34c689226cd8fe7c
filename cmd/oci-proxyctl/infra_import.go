package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/config/edit"
	"ociproxy/internal/infra"
)

// importing holds the flags of infra import.
type importing struct {
	file, outputs string
	dry           bool
}

func (a *app) infraImport() *cobra.Command {
	var how importing
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Write stanzas for the stores that the Terraform modules have created",
		Long: `import reads what tofu output -json prints, and adds a stanza to the config for each store that the
config does not have. It changes no other byte of the file, and writes all stanzas or none. A new
store is in state filling: it gets no traffic before you fill and admit it. Check what serves says,
because the owner of the bucket pays for it.

import does not change the stores that the config has already. It names each value that differs from
what the modules have created, and ends with 4.`,
		Example: `  tofu output -json | oci-proxyctl infra import --config config.yaml --outputs - --dry-run
  oci-proxyctl infra import --config config.yaml --outputs outputs.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case how.file == "-":
				return cli.Usage("name the file with --config", "infra import changes a file, and stdin is none")
			case how.outputs == "":
				return cli.Usage("tofu output -json > outputs.json makes the file; --outputs - reads stdin", "--outputs is missing")
			}
			return a.runInfraImport(cmd.Context(), how)
		},
	}
	cli.ConfigFlag(cmd, &how.file, a.env)
	cmd.Flags().StringVar(&how.outputs, "outputs", "", "`file` with what tofu output -json prints; - is stdin")
	dryRunFlag(cmd, &how.dry)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the config has all stores now; with --dry-run: it could"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the file cannot be changed, and is as it was"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodeDifferent, Means: "done, and stores that the config had already differ from what the modules have created"})
	return cmd
}

// imported is the JSON document of infra import. Only add fields; never remove one.
type imported struct {
	File    string           `json:"file"`
	Added   []string         `json:"added"`
	Differ  []infra.Mismatch `json:"differ"`
	Diff    string           `json:"diff"`
	Written bool             `json:"written"`
	DryRun  bool             `json:"dryRun"`
}

func (a *app) runInfraImport(ctx context.Context, how importing) error {
	file, err := edit.Read(how.file)
	if errors.Is(err, fs.ErrNotExist) {
		return cli.Fail("name a file that exists with --config or OCI_PROXY_CONFIG", "%w", err)
	}
	if err != nil {
		return err
	}
	cfg, err := config.Parse(file.Name, file.Text)
	if err != nil {
		return a.invalid(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	created, err := a.created(how.outputs)
	if err != nil {
		return cli.Fail("run tofu output -json in the directory of the root module", "--outputs %s: %w", how.outputs, err)
	}
	fresh, differ := infra.Match(cfg, created)
	doc := imported{File: how.file, Added: []string{}, Differ: differ, DryRun: how.dry}
	if differ == nil {
		doc.Differ = []infra.Mismatch{}
	}
	text := file.Text
	for i := range fresh {
		c := &fresh[i]
		cloud, _, _ := strings.Cut(c.Place, "/")
		r, err := edit.Insert(file.Name, text, edit.Stanza{List: "stores", After: infra.Neighbour(cfg, cloud, c.CDN), Text: c.Stanza()})
		if refusal, ok := errors.AsType[*edit.Refusal](err); ok {
			return cli.Fail(refusal.Hint, "add %s: %w", c.Name, err)
		}
		if err != nil {
			return err
		}
		text, cfg = r.Text, r.Config
		doc.Added = append(doc.Added, c.Name)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(fresh) > 0 {
		doc.Diff = string(diff.Diff(how.file, file.Text, how.file+" (new)", text))
		if doc.Written = !how.dry; doc.Written {
			if err := file.Write(text); err != nil {
				return cli.Fail(writeHint(err), "%w", err)
			}
		}
	}
	return a.tellImported(&doc)
}

// created reads the outputs of the modules.
func (a *app) created(name string) ([]infra.Created, error) {
	if name != "-" {
		text, _, err := readVariables(name)
		if err == nil && text == nil {
			err = fs.ErrNotExist
		}
		if err != nil {
			return nil, err
		}
		return infra.ParseOutputs(text)
	}
	text, err := io.ReadAll(io.LimitReader(a.stdin, infra.MaxBytes))
	if err != nil {
		return nil, err
	}
	return infra.ParseOutputs(text)
}

func (a *app) tellImported(doc *imported) error {
	var err error
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, doc)
	} else {
		err = writeImported(a.stdout, doc)
	}
	if err == nil && len(doc.Differ) > 0 {
		return cli.Exit(cli.CodeDifferent)
	}
	return err
}

func writeImported(w io.Writer, doc *imported) error {
	var b strings.Builder
	if doc.Diff != "" {
		b.WriteString(doc.Diff + "\n")
	}
	for _, d := range doc.Differ {
		fmt.Fprintf(&b, "%s: %s is %s in the config, and the modules have created %s\n", d.Store, d.Key, dash(d.Config), cli.OneLine(dash(d.Output)))
	}
	switch {
	case doc.Written:
		fmt.Fprintf(&b, "%s is written, with %s. Check serves, and fill the stores: oci-proxyctl mirror.\n", doc.File, strings.Join(doc.Added, ", "))
	case len(doc.Added) > 0:
		b.WriteString("Nothing is written: --dry-run.\n")
	default:
		fmt.Fprintf(&b, "%s has all stores that the modules have created\n", doc.File)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
