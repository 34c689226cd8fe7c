package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/manifest"
)

// checkedManifests is the JSON document of promote check. Only add fields; never remove one.
type checkedManifests struct {
	Path         string            `json:"path"`
	Valid        bool              `json:"valid"`
	Errors       []*manifest.Fault `json:"errors"`
	Warnings     []*manifest.Fault `json:"warnings"`
	Held         []*manifest.Held  `json:"held,omitempty"` // what plan and run hold back; absent: nothing or everything
	Projects     int               `json:"projects"`
	Destinations int               `json:"destinations"` // distinct names
	Images       int               `json:"images"`
	Digests      int               `json:"digests"`
	Tags         int               `json:"tags"`
	Edges        int64             `json:"edges"` // each destination of each tag, and of each digest without a tag
}

func (a *app) promoteCheck() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Find every error in the manifests, without network",
		Long: `check reads a thin tree of manifests (a directory) or a plain manifest (a file). It reports all
errors and warnings at once, with file, line, column and what to do. It sends no request to a
registry.

If a project has an error, plan, run, verify and sign hold back this project and do the rest. If a
project has only one of its two files, that is not an error: nothing of it is promoted yet. It is an
error if a manifest is where no command reads it, or if a tree has no project. Put words that YAML
would read as a number, a boolean or null (1.20, on, null) in quotes.`,
		Example: `  oci-proxyctl promote check registry.example.org/
  oci-proxyctl promote check plain.yaml -o json | jq '.errors[].message'`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.runPromoteCheck(args[0], strict) },
	}
	strictFlag(cmd, &strict)
	cli.OutputFlag(cmd, &a.format)
	checkExits(cmd)
	return cmd
}

func (a *app) runPromoteCheck(path string, strict bool) error {
	tree, err := manifest.Load(path)
	faults, bad := errors.AsType[*manifest.Errors](err)
	if err != nil && !bad {
		return err
	}
	doc := checkedManifests{Path: path, Errors: []*manifest.Fault{}, Warnings: []*manifest.Fault{}}
	if bad {
		doc.Errors = faults.List
	}
	if tree != nil {
		doc.count(tree)
		if held, e := tree.Hold(err, strict); e == nil {
			doc.Held = held.Held
		}
	}
	if strict {
		doc.Errors, doc.Warnings = append(doc.Errors, doc.Warnings...), []*manifest.Fault{}
	}
	doc.Valid = len(doc.Errors) == 0
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, doc)
	} else {
		err = doc.writeText(a.stdout)
	}
	if err == nil && !doc.Valid {
		err = cli.Exit(cli.CodeInvalid)
	}
	return err
}

func (d *checkedManifests) count(t *manifest.Tree) {
	d.Warnings = append(d.Warnings, t.Warnings...)
	d.Projects, d.Edges = len(t.Projects), t.Edges()
	destinations := map[string]bool{}
	for _, p := range t.Projects {
		for _, to := range p.Destinations {
			destinations[to.Name] = true
		}
	}
	d.Destinations = len(destinations)
	for _, i := range t.Images() {
		d.Images++
		d.Digests += len(i.Digests)
		for _, of := range i.Digests {
			d.Tags += len(of.Tags)
		}
	}
}

func (d *checkedManifests) writeText(w io.Writer) error {
	for _, f := range d.Warnings {
		fmt.Fprint(w, "warning: ", f.Text())
	}
	for _, f := range d.Errors {
		fmt.Fprint(w, "error: ", f.Text())
	}
	if !d.Valid {
		_, err := fmt.Fprintf(w, "%s is not valid: %s, %s\n", d.Path, cli.Count(int64(len(d.Errors)), "error"), cli.Count(int64(len(d.Warnings)), "warning"))
		if len(d.Held) > 0 {
			names := make([]string, len(d.Held))
			for i, h := range d.Held {
				names[i] = h.What()
			}
			_, err = fmt.Fprintf(w, "plan and run hold back what is faulty, and promote the rest: %s\n", someOf(names))
		}
		return err
	}
	_, err := fmt.Fprintf(w, "%s is valid: %s, %s; %s, %s and %s to %s make %s\n", d.Path,
		cli.Count(int64(d.Projects), "project"), cli.Count(int64(len(d.Warnings)), "warning"), cli.Count(int64(d.Images), "image"),
		cli.Count(int64(d.Digests), "digest"), cli.Count(int64(d.Tags), "tag"), cli.Count(int64(d.Destinations), "destination"),
		cli.Count(d.Edges, "promotion"))
	return err
}
