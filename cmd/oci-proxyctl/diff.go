package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/inventory/inspect"
)

// compared is the JSON document of inventory diff. Only add fields; never remove one.
type compared struct {
	A           string         `json:"a"` // URLs
	B           string         `json:"b"`
	OnlyA       inspect.Totals `json:"onlyA"`
	OnlyB       inspect.Totals `json:"onlyB"`
	Both        inspect.Totals `json:"both"`
	Resized     inspect.Totals `json:"resized"`
	Differences []difference   `json:"differences"` // the first ones
}

// difference has no size for an inventory that does not list the blob.
type difference struct {
	Digest string `json:"digest"`
	A      *int64 `json:"a,omitempty"`
	B      *int64 `json:"b,omitempty"`
}

func (a *app) inventoryDiff() *cobra.Command {
	var s sources
	var limit int
	cmd := &cobra.Command{
		Use:   "diff URL URL",
		Short: "Show what one store holds and another does not",
		Long: `diff shows the blobs that only the first store holds (<), those that only the second store holds
(>), and those that both list with different sizes (!). At the end it shows the totals.`,
		Example: `  oci-proxyctl inventory diff https://a.example/inventory/ https://b.example/inventory/
  oci-proxyctl inventory diff --config config.yaml --store s3-use1 --store s3-euc1 --limit 0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := s.resolve(a, 2, args)
			if err != nil {
				return err
			}
			if limit < 0 {
				return cli.Usage("--limit 0 shows all", "--limit %d is negative", limit)
			}
			return a.runDiff(cmd.Context(), src[0], src[1], limit)
		},
	}
	s.flags(a, cmd)
	limitFlag(cmd, &limit)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid, cli.ExitCode{Code: cli.CodeDifferent, Means: "the inventories differ"})
	return cmd
}

func (a *app) runDiff(ctx context.Context, one, other inspect.Source, limit int) error {
	x, err := a.open(ctx, one)
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := a.open(ctx, other)
	if err != nil {
		return err
	}
	defer y.Close()
	doc := compared{A: one.URL, B: other.URL, Differences: []difference{}}
	out := bufio.NewWriter(a.stdout)
	shown := 0
	sum, err := inspect.Compare(x, y, func(d inspect.Difference) error {
		if shown++; limit > 0 && shown > limit {
			return ctx.Err()
		}
		if a.format == cli.JSON {
			doc.Differences = append(doc.Differences, difference{d.Digest.String(), known(d.A), known(d.B)})
			return ctx.Err()
		}
		_, err := fmt.Fprintln(out, differenceLine(d))
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
	if err != nil {
		return err
	}
	if a.format == cli.JSON {
		doc.OnlyA, doc.OnlyB, doc.Both, doc.Resized = sum.OnlyA, sum.OnlyB, sum.Both, sum.Resized
		err = cli.WriteJSON(out, doc)
	} else {
		err = writeSum(out, x.Head().Store, y.Head().Store, sum, max(0, shown-limit)*min(1, limit), shown > 0)
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil && !sum.Same() {
		err = cli.Exit(cli.CodeDifferent)
	}
	return err
}

func known(size int64) *int64 {
	if size == inspect.Absent {
		return nil
	}
	return &size
}

func differenceLine(d inspect.Difference) string {
	switch inspect.Absent {
	case d.A:
		return fmt.Sprintf("> %s  %s", d.Digest, size(d.B))
	case d.B:
		return fmt.Sprintf("< %s  %s", d.Digest, size(d.A))
	}
	return fmt.Sprintf("! %s  %d and %d bytes", d.Digest, d.A, d.B)
}

// writeSum writes the totals below the differences. hidden is the number of differences that were not shown.
func writeSum(w io.Writer, one, other string, c inspect.Comparison, hidden int, below bool) error {
	if hidden > 0 {
		fmt.Fprintf(w, "and %s more: --limit 0 shows all\n", humanize.Comma(int64(hidden)))
	}
	if below {
		fmt.Fprintln(w)
	}
	if one == other { // the same store at two URLs, or a replicated bucket
		one, other = one+" (first)", other+" (second)"
	}
	t := cli.Table{}
	t.Row("< only in "+one, totals(c.OnlyA))
	t.Row("> only in "+other, totals(c.OnlyB))
	t.Row("! of different sizes", totals(c.Resized))
	t.Row("= in both", totals(c.Both))
	_, err := t.WriteTo(w)
	return err
}
