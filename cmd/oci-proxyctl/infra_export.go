package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/infra"
)

// exporting holds the flags of infra export.
type exporting struct {
	file, out  string
	dry, check bool
}

func (a *app) infraExport() *cobra.Command {
	var how exporting
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the variables of the Terraform modules from the config",
		Long: `export writes the variables aws_stores, gcp_stores, azure_stores, r2_stores and front of the root
modules in deploy/terraform/examples, as JSON. The same config always gives the same text. Without
--out, or with --out -, it writes them to stdout.

It names on stderr the stores that no module can make, and why: those without a bucket, or with a
directory or a server of your own in its place. It refuses a config that contradicts itself about a
bucket.

A store that is draining or off stays in the variables, so that no apply destroys a bucket that has
objects. To remove a bucket, drain the store, remove its stanza from the config and export again.
export then warns of each bucket that is no longer there. The modules do not destroy a bucket with
objects in it: empty it first.`,
		Example: `  oci-proxyctl infra export --config config.yaml --out stores.auto.tfvars.json --dry-run
  oci-proxyctl infra export --config config.yaml --out stores.auto.tfvars.json
  oci-proxyctl infra export --config config.yaml --out stores.auto.tfvars.json --check   # in CI`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if toStdout := how.out == "" || how.out == "-"; toStdout && (how.dry || how.check) {
				return cli.Usage("for example --out stores.auto.tfvars.json", "--dry-run and --check compare with a file: name it with --out")
			}
			return a.runInfraExport(cmd.Context(), how)
		},
	}
	cli.ConfigFlag(cmd, &how.file, a.env)
	outFlag(cmd, &how.out)
	checkFlag(cmd, &how.check)
	dryRunFlag(cmd, &how.dry)
	cli.OutputFlag(cmd, &a.format)
	cmd.SetFlagErrorFunc(fileIsOut)
	cmd.MarkFlagsMutuallyExclusive("check", "dry-run")
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the file says what the config says; with --dry-run: it could"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "the config is invalid, or contradicts itself about a bucket"},
		cli.ExitCode{Code: cli.CodeDifferent, Means: "--check: the file differs from what the config says"})
	return cmd
}

// exportedInfra is the JSON document of infra export --out. Only add fields; never remove one.
type exportedInfra struct {
	File    string          `json:"file"`
	Diff    string          `json:"diff"`    // "": the file says so already
	LeftOut []infra.LeftOut `json:"leftOut"` // stores that no module can make
	Lost    []string        `json:"lost"`    // buckets that the file has and the config has not
	Written bool            `json:"written"`
	DryRun  bool            `json:"dryRun"`
}

func (a *app) runInfraExport(ctx context.Context, how exporting) error {
	cfg, err := a.loaded(ctx, how.file)
	if err != nil {
		return err
	}
	vars, left, err := infra.Export(cfg)
	if err != nil {
		return a.invalid(err)
	}
	text, err := vars.Encode()
	if err != nil {
		return err
	}
	for _, l := range left {
		fmt.Fprintf(a.stderr, "%s is left out: %s\n", l.Store, l.Reason)
	}
	if how.out == "" || how.out == "-" {
		_, err = a.stdout.Write(text)
		return err
	}
	was, mode, err := readVariables(how.out)
	if err != nil {
		return cli.Fail("name a file of variables, or one that does not exist yet", "--out: %w", err)
	}
	if len(was) > 0 && !json.Valid(was) { // perhaps the config itself, or a file of variables that a person wrote
		return cli.Fail("name another file, or remove this one first", "--out: %s is not JSON, so infra export did not write it", how.out)
	}
	doc := exportedInfra{File: how.out, LeftOut: left, Lost: a.lost(vars, was), DryRun: how.dry || how.check}
	if left == nil {
		doc.LeftOut = []infra.LeftOut{}
	}
	if !bytes.Equal(was, text) {
		doc.Diff = string(diff.Diff(how.out, was, how.out+" (new)", text))
	}
	if doc.Diff != "" && !doc.DryRun {
		if err := atomicfile.Write(how.out, text, mode); err != nil {
			return cli.Fail("name a file in a directory that exists and that you may write to", "--out: %w", err)
		}
		doc.Written = true
	}
	return a.tellExported(&doc, how)
}

// lost warns of each bucket that the file has and the new variables have not, and returns their names. A file that
// cannot be read names none: an earlier release may have written it.
func (a *app) lost(vars *infra.Variables, was []byte) []string {
	names := []string{}
	old, err := infra.ParseVariables(was)
	if err != nil {
		if len(was) > 0 {
			a.warn("the present file is not one of infra export, so the buckets that it has are not known: %v", err)
		}
		return names
	}
	for _, w := range vars.Lost(old) {
		a.warn("the bucket %s of %s (%s in %s) is no longer there: an apply destroys it if it is empty, and fails if it is not", w.Bucket, w.Store, w.Account, w.Variable)
		names = append(names, w.Bucket)
	}
	return names
}

// readVariables returns the text of a file and its mode; nothing and the mode of a new file when there is none.
func readVariables(name string) ([]byte, fs.FileMode, error) {
	const fresh = 0o644
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fresh, nil
	case err != nil:
		return nil, 0, err
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	case info.Size() > infra.MaxBytes:
		return nil, 0, fmt.Errorf("%s is larger than %d MiB", name, infra.MaxBytes>>20)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, infra.MaxBytes))
	return text, info.Mode().Perm(), err
}

func (a *app) tellExported(doc *exportedInfra, how exporting) error {
	var err error
	switch {
	case a.format == cli.JSON:
		err = cli.WriteJSON(a.stdout, doc)
	case doc.Diff == "":
		_, err = fmt.Fprintf(a.stdout, "%s says what the config says\n", doc.File)
	case doc.Written:
		_, err = fmt.Fprintf(a.stdout, "%s is written\n", doc.File)
	default:
		_, err = fmt.Fprintf(a.stdout, "%s\nNothing is written.\n", doc.Diff)
	}
	if err == nil && how.check && doc.Diff != "" {
		return cli.Exit(cli.CodeDifferent)
	}
	return err
}
