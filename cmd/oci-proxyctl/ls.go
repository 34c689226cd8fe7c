package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inspect"
)

// listed is the JSON document of inventory ls. Only add fields; never remove one.
type listed struct {
	URL        string                 `json:"url"`
	Store      string                 `json:"store"`
	Generation uint64                 `json:"generation"`
	WrittenAt  time.Time              `json:"writtenAt"`
	State      string                 `json:"state"` // "current", or "stale": readers do not rely on it
	Segments   []inventory.SegmentRef `json:"segments"`
	Held       inspect.Totals         `json:"held"`
	Records    []exported             `json:"records"` // the first ones
}

func (a *app) inventoryLs() *cobra.Command {
	var s sources
	var limit int
	cmd := &cobra.Command{
		Use:   "ls URL",
		Short: "Show an inventory: its head and the first of its blobs",
		Long: `ls shows who wrote an inventory and when, its segments, how many blobs and bytes it lists, and its
first blobs, sorted by digest.`,
		Example: `  oci-proxyctl inventory ls https://bucket.example/inventory/
  oci-proxyctl inventory ls --config config.yaml --store s3-use1 --limit 0 --output json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := s.resolve(a, 1, args)
			if err != nil {
				return err
			}
			if limit < 0 {
				return cli.Usage("--limit 0 shows all", "--limit %d is negative", limit)
			}
			return a.runLs(cmd.Context(), src[0], limit)
		},
	}
	s.flags(a, cmd)
	limitFlag(cmd, &limit)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func (a *app) runLs(ctx context.Context, src inspect.Source, limit int) error {
	s, err := a.open(ctx, src)
	if err != nil {
		return err
	}
	defer s.Close()
	h := s.Head()
	doc := listed{
		URL: src.URL, Store: h.Store, Generation: h.Generation, WrittenAt: h.WrittenAt, State: s.State().String(),
		Segments: h.Segments, Records: []exported{},
	}
	for rec, err := range s.Records() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		doc.Held.Add(rec.Size)
		if limit == 0 || len(doc.Records) < limit {
			doc.Records = append(doc.Records, exported{rec.Digest.String(), rec.Size})
		}
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	return doc.writeText(a.stdout)
}

func (d *listed) writeText(w io.Writer) error {
	facts := cli.Table{}
	facts.Row("store", d.Store)
	facts.Row("state", d.State)
	facts.Row("written", fmt.Sprintf("%s (%s)", d.WrittenAt.Format(time.RFC3339), humanize.Time(d.WrittenAt)))
	facts.Row("generation", fmt.Sprint(d.Generation))
	var bytes int64
	for _, s := range d.Segments {
		bytes += s.Bytes
	}
	facts.Row("segments", fmt.Sprintf("%d, %s", len(d.Segments), size(bytes)))
	facts.Row("holds", totals(d.Held))
	if _, err := facts.WriteTo(w); err != nil {
		return err
	}
	segments := cli.Table{Header: []string{"SEGMENT", "RECORDS", "SIZE"}}
	for _, s := range d.Segments {
		segments.Row(s.SHA256, humanize.Comma(int64(s.Count)), size(s.Bytes))
	}
	blobs := cli.Table{Header: []string{"BLOB", "SIZE"}}
	for _, r := range d.Records {
		blobs.Row(r.Digest, size(r.Size))
	}
	for _, t := range []*cli.Table{&segments, &blobs} {
		if t.Len() == 0 {
			continue
		}
		fmt.Fprintln(w)
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
	}
	if more := d.Held.Blobs - int64(len(d.Records)); more > 0 {
		_, err := fmt.Fprintf(w, "and %s more: --limit 0 shows all\n", humanize.Comma(more))
		return err
	}
	return nil
}
