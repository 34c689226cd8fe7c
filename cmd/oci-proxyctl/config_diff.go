package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

func (a *app) configDiff() *cobra.Command {
	var at published
	var rings []string
	cmd := &cobra.Command{
		Use:   "diff [FILE]",
		Short: "Show how a file differs from what a ring uses, or two rings from each other",
		Long: `diff compares the config that a ring uses with FILE, or the configs of two rings: the lines of the
text, the stores and upstreams that differ, and the clients that would go elsewhere.`,
		Example: `  oci-proxyctl config diff config.yaml --ring canary
  oci-proxyctl config diff --ring all,canary`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRings(rings); err != nil {
				return err
			}
			if len(rings)+len(args) != 2 {
				return cli.Usage("FILE and --ring canary, or --ring all,canary", "want two configs, got %d", len(rings)+len(args))
			}
			return a.runConfigDiff(cmd.Context(), &at, rings, args)
		},
	}
	at.flags(cmd)
	ringFlag(cmd, &rings)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid, cli.ExitCode{Code: cli.CodeDifferent, Means: "they differ"})
	return cmd
}

func (a *app) runConfigDiff(ctx context.Context, at *published, rings, files []string) error {
	var next *config.Config
	var err error
	if len(files) > 0 {
		if next, err = a.parsed(files[0]); err != nil {
			return err
		}
	}
	site, err := at.open(ctx, a)
	if err != nil {
		return err
	}
	state, err := readSite(ctx, site)
	if err != nil {
		return err
	}
	heads := make([]*publication.Head, len(rings))
	for i, ring := range rings {
		if heads[i] = state.Heads[ring]; heads[i] == nil {
			if fault := state.Faults[publication.HeadName(ring)]; fault != nil {
				return cli.Fail("find out who wrote it", "ring %s: what is there cannot be believed: %w", ring, fault)
			}
			return cli.Usage("there are "+strings.Join(state.Rings(), ", "), "ring %s: %w", ring, publish.ErrNoRing)
		}
	}
	if next == nil {
		if next, err = contentOf(ctx, site, heads[1]); err != nil {
			return fmt.Errorf("ring %s: %w", rings[1], err)
		}
	}
	c, err := change(ctx, site, rings[0], heads[0], next, next.Text(), time.Now())
	if err != nil {
		return err
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, c)
	} else {
		err = c.writeText(a.stdout, true)
	}
	if err == nil && c.Was != c.Is {
		err = cli.Exit(cli.CodeDifferent)
	}
	return err
}
