package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inspect"
)

// exported is a line of inventory export. Only add fields; never remove one.
type exported struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// exports are the forms of inventory export.
var exports = []string{"jsonl", "csv"}

func (a *app) inventoryExport() *cobra.Command {
	var s sources
	form := exports[0]
	cmd := &cobra.Command{
		Use:   "export URL",
		Short: "Write every blob of an inventory as JSON lines or CSV",
		Long: `export writes one line for each blob that the store holds, sorted by digest:

  {"digest":"sha256:…","size":1234}      --format jsonl
  sha256:…,1234                          --format csv, below a line of names

It writes nothing until it has read the whole inventory and found no fault in it.`,
		Example: `  oci-proxyctl inventory export https://bucket.example/inventory/ > held.jsonl
  oci-proxyctl inventory export --config config.yaml --store s3-use1 --format csv | cut -d, -f1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := s.resolve(a, 1, args)
			if err != nil {
				return err
			}
			if !slices.Contains(exports, form) {
				return cli.Usage("want jsonl or csv", "--format %q is none", form)
			}
			return a.runExport(cmd.Context(), src[0], form)
		},
	}
	s.flags(a, cmd)
	cmd.Flags().StringVarP(&form, "format", "f", form, "`form` of a line: jsonl or csv")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(exports, cobra.ShellCompDirectiveNoFileComp))
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func (a *app) runExport(ctx context.Context, src inspect.Source, form string) error {
	s, err := a.open(ctx, src)
	if err != nil {
		return err
	}
	defer s.Close()
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	line := writeJSONL
	if form == "csv" {
		line = writeCSV
		fmt.Fprintln(out, "digest,size") // out keeps an error until Flush
	}
	for rec, err := range s.Records() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = line(out, rec)
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// A digest has no characters that need escaping in JSON or CSV.

func writeJSONL(w io.Writer, r inventory.Record) error {
	_, err := fmt.Fprintf(w, "{\"digest\":\"%s\",\"size\":%d}\n", r.Digest, r.Size)
	return err
}

func writeCSV(w io.Writer, r inventory.Record) error {
	_, err := fmt.Fprintf(w, "%s,%d\n", r.Digest, r.Size)
	return err
}
