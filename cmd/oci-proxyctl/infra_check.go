package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/infra"
)

// comparing holds the flags of infra check.
type comparing struct {
	file, tfvars          string
	stores, fronts, image []string
	write                 bool
}

func (a *app) infraCheck() *cobra.Command {
	var how comparing
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Compare what exists with what the config needs, and name what drifted",
		Long: `check compares what exists with what the config needs:

  variables  the file of infra export, with --tfvars
  bucket     the settings of each bucket, with the credentials of the environment
  clients    what clients without credentials get, as oci-proxy check --live asks; and no list
  writer     whether the mirror can write, with --try-writing
  front      whether a front answers /v2/, with --front

It writes nothing. With --try-writing it writes a small object into each store, as the mirror does
before its first blob. Of a store that is off, check compares the bucket and asks nothing as a
client.

Each line says DRIFT, UNKNOWN (it could not be looked at), BY HAND, WARNING or UNSUPPORTED. What is
as it should be has one line for each store. The remedies follow. An interrupted run shows what it
has found so far.`,
		Example: `  oci-proxyctl infra check --config config.yaml --tfvars stores.auto.tfvars.json
  oci-proxyctl infra check --config config.yaml --store s3-use1 --try-writing
  oci-proxyctl infra check --config config.yaml --front https://registry.example.org --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, front := range how.fronts {
				if !isFront(front) {
					return cli.Usage("for example --front https://registry.example.org", "--front is not the URL of a host, without login, path and query")
				}
			}
			for _, image := range how.image {
				if err := check.ValidImage(image); err != nil {
					return cli.Usage("for example --image library/alpine:3.20", "--image: %w", err)
				}
			}
			return a.runInfraCheck(cmd.Context(), how)
		},
	}
	cli.ConfigFlag(cmd, &how.file, a.env)
	f := cmd.Flags()
	f.StringVar(&how.tfvars, "tfvars", "", "`file` that infra export has written, to compare it, too")
	f.StringArrayVar(&how.fronts, "front", nil, "`URL` of a front that must answer /v2/, such as https://registry.example.org; may be repeated")
	f.BoolVar(&how.write, "try-writing", false, "also write a small object into each store that gets blobs, as the mirror does")
	storeFlag(cmd, &how.stores)
	imageFlag(cmd, &how.image)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "everything that was looked at is as the config needs it"},
		cli.Invalid, cli.ExitCode{Code: cli.CodeDifferent, Means: "something drifted"},
		cli.ExitCode{Code: cli.CodePartial, Means: "nothing drifted, and something could not be looked at"})
	return cmd
}

// isFront reports whether text is the URL of a host. It is shown in results, so it must not have a login.
func isFront(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}

// drifted is the JSON document of infra check. Only add fields; never remove one.
type drifted struct {
	File        string          `json:"file"`
	Findings    []infra.Finding `json:"findings"`
	Drift       int             `json:"drift"`
	Unknown     int             `json:"unknown"`
	Interrupted bool            `json:"interrupted"` // what was not looked at is unknown
}

func (a *app) runInfraCheck(ctx context.Context, how comparing) error {
	cfg, err := a.loaded(ctx, how.file)
	if err != nil {
		return err
	}
	for _, name := range how.stores {
		if c, err := candidateOf(cfg, name); err != nil || c.Kind != "store" {
			return cli.Usage("store ls lists the names", "no store %q in the config", name)
		}
	}
	doc := drifted{File: how.file, Findings: []infra.Finding{}}
	if how.tfvars != "" {
		if doc.Findings, err = a.compareVariables(cfg, how.tfvars); err != nil {
			return err
		}
	}
	if len(how.stores) > 0 { // after the variables, which are about the whole config
		less := *cfg
		less.Stores = slices.DeleteFunc(slices.Clone(cfg.Stores), func(s config.Store) bool { return !slices.Contains(how.stores, s.Name) })
		doc.Findings = slices.DeleteFunc(doc.Findings, func(f infra.Finding) bool { return !slices.Contains(how.stores, f.Target) })
		cfg = &less
	}
	doc.Findings = append(doc.Findings, a.lookAround(ctx, cfg, how)...)
	doc.Drift, doc.Unknown, doc.Interrupted = infra.Count(doc.Findings, infra.Drift), infra.Count(doc.Findings, infra.Unknown), ctx.Err() != nil
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, doc)
	} else {
		err = a.writeCompared(a.stdout, &doc)
	}
	switch {
	case err != nil:
		return err
	case doc.Interrupted:
		return cli.Interrupted()
	case doc.Drift > 0:
		return cli.Exit(cli.CodeDifferent)
	case doc.Unknown > 0:
		return cli.Exit(cli.CodePartial)
	}
	return nil
}

// compareVariables compares the file of --tfvars with the config.
func (a *app) compareVariables(cfg *config.Config, name string) ([]infra.Finding, error) {
	want, _, err := infra.Export(cfg)
	if err != nil {
		return nil, a.invalid(err)
	}
	text, _, err := readVariables(name)
	if err != nil {
		return nil, cli.Fail("name the file that infra export has written", "--tfvars: %w", err)
	}
	if text == nil {
		return []infra.Finding{{
			Target: name, Source: infra.OfVariables, What: "file", Result: infra.Drift, Detail: "there is no such file",
			Remedy: "write it with oci-proxyctl infra export --out " + name,
		}}, nil
	}
	have, err := infra.ParseVariables(text)
	if err != nil {
		return nil, cli.Fail("name the file that infra export has written", "--tfvars %s: %w", name, err)
	}
	return infra.CompareVariables(want, have), nil
}

// writeCompared writes a table: one line for all that is fine with a target, and one for each other finding.
func (a *app) writeCompared(w io.Writer, doc *drifted) error {
	t := cli.Table{Header: []string{"TARGET", "OF", "WHAT", "RESULT", "DETAIL"}, Color: cli.UseColor(a.stdout, a.env), Painted: 3, Paint: paintResult}
	var targets []string
	for _, f := range doc.Findings {
		if !slices.Contains(targets, f.Target) {
			targets = append(targets, f.Target)
		}
	}
	for _, target := range targets {
		var fine []string
		for _, f := range doc.Findings {
			if f.Target == target && f.Result == infra.OK && !slices.Contains(fine, f.What) {
				fine = append(fine, f.What)
			}
		}
		name := target
		if len(fine) > 0 {
			t.List(name, "all", cli.Count(int64(len(fine)), "check"), shownResult(infra.OK), strings.Join(fine, " "))
			name = ""
		}
		for _, f := range doc.Findings {
			if f.Target == target && f.Result != infra.OK {
				t.Row(name, f.Source, f.What, shownResult(f.Result), f.Detail)
				name = ""
			}
		}
	}
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	for _, r := range infra.Remedies(doc.Findings) {
		if _, err := fmt.Fprintf(w, "remedy: %s\n", cli.OneLine(r)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d drifted, %d unknown\n", doc.Drift, doc.Unknown)
	return err
}

func shownResult(r infra.Result) string { return strings.ToUpper(string(r)) }

func paintResult(cell string) cli.Color {
	switch infra.Result(strings.ToLower(cell)) {
	case infra.OK:
		return cli.Green
	case infra.Drift:
		return cli.Red
	case infra.Unknown, infra.Warning, infra.ByHand:
		return cli.Yellow
	case infra.Unsupported:
	}
	return cli.Plain
}
