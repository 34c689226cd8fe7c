package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/config/edit"
)

func (a *app) storeLs() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the stores and upstreams of the config",
		Long: `ls lists the stores and upstreams of the config: where they are, whether they get traffic, whom
they serve, and their addresses. Below the table it names those that announced dates keep traffic
from now. It asks no store and no server.`,
		Example: `  oci-proxyctl store ls
  oci-proxyctl store ls --output json | jq -r '.[] | select(.state == "filling") | .name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loaded(cmd.Context(), file)
			if err != nil {
				return err
			}
			return a.writeCandidates(candidates(cfg))
		},
	}
	cli.ConfigFlag(cmd, &file, a.env)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func (a *app) writeCandidates(all []candidate) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, all)
	}
	t := cli.Table{
		Header: []string{"NAME", "KIND", "PLACE", "STATE", "ROLLOUT", "SERVES", "FAMILIES", "BUCKET", "URL"},
		Color:  cli.UseColor(a.stdout, a.env), Painted: 3,
		Paint: func(state string) cli.Color {
			switch config.State(state) {
			case config.Active:
				return cli.Green
			case config.Off:
				return cli.Red
			default:
				return cli.Yellow
			}
		},
	}
	for _, c := range all {
		kind, rollout, at := c.Kind, "", c.Place
		if c.Canonical {
			kind = "canonical"
		}
		if c.Rollout != nil {
			rollout = fmt.Sprintf("%d%%", *c.Rollout)
		}
		if c.CDN != "" {
			at = strings.TrimSpace(at + " cdn:" + c.CDN)
		}
		state := c.State
		if c.Announced != "" {
			state += "*"
		}
		t.List(c.Name, kind, at, state, cmp.Or(rollout, "-"), strings.Join(c.Serves, ","), strings.Join(c.Families, ","), cmp.Or(c.Bucket, "-"), c.URL)
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	return a.writeHeld(all)
}

// writeHeld names the candidates that announced dates keep traffic from, whatever the table says.
func (a *app) writeHeld(all []candidate) error {
	var b strings.Builder
	for _, c := range all {
		if c.Announced != "" {
			fmt.Fprintf(&b, "%s is %s\n", c.Name, c.Announced)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s", &b)
	return err
}

// shownStanza is the JSON document of store show. Only add fields; never remove one.
type shownStanza struct {
	Name   string         `json:"name"`
	Kind   string         `json:"kind"`
	File   string         `json:"file"`
	Line   int            `json:"line,omitempty"`  // of the file, from 1, where the stanza begins
	Lines  []string       `json:"lines,omitempty"` // of the stanza, as the file has them
	Hash   string         `json:"hash,omitempty"`  // of a store, as records of admission name it
	Values []config.Value `json:"values"`          // effective, with defaults
}

func (a *app) storeShow() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show what the config says about a store or upstream",
		Long: `show prints the values of a store or upstream that the server uses, with defaults filled in, and
then the lines of the file that say so.`,
		Example: `  oci-proxyctl store show s3-use1
  oci-proxyctl store show s3-use1 --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.loaded(cmd.Context(), file)
			if err != nil {
				return err
			}
			c, err := candidateOf(cfg, args[0])
			if err != nil {
				return err
			}
			return a.writeStanza(cfg, file, c)
		},
	}
	cli.ConfigFlag(cmd, &file, a.env)
	cli.OutputFlag(cmd, &a.format)
	a.completeCandidates(cmd, &file)
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func (a *app) writeStanza(cfg *config.Config, file string, c candidate) error {
	doc := shownStanza{Name: c.Name, Kind: c.Kind, File: file, Values: config.Values(c.stanza)}
	doc.Line, doc.Lines = edit.Lines(cfg.Text(), c.list, c.index)
	if s, ok := c.stanza.(*config.Store); ok {
		doc.Hash = s.Hash()
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	t := cli.Table{}
	for _, v := range doc.Values {
		t.List(v.Key, v.Text)
	}
	if _, err := t.WriteTo(a.stdout); err != nil || doc.Line == 0 {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "\n%s:%d:\n", file, doc.Line); err != nil {
		return err
	}
	for i, line := range doc.Lines {
		if _, err := fmt.Fprintf(a.stdout, "%5d  %s\n", doc.Line+i, cli.OneLine(line)); err != nil {
			return err
		}
	}
	return nil
}
