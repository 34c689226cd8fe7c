package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

func (a *app) configLog() *cobra.Command {
	var at published
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show who did what to the publication",
		Long: `log prints the audit log of the publication, the oldest entry first. The commands that publish write
it, below audit/ in the bucket. It is for people: nobody signs it, and nothing is decided by it.`,
		Example: `  oci-proxyctl config log --last 24h
  oci-proxyctl config log --output json | jq 'select(.action == "publish")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			site, err := at.open(cmd.Context(), a)
			if err != nil {
				return err
			}
			log := publish.Audit{Bucket: site.Bucket}
			entries, err := log.Entries(cmd.Context(), time.Now().Add(-since))
			if err != nil {
				return err
			}
			return a.writeLog(entries)
		},
	}
	at.flags(cmd)
	cmd.Flags().DurationVar(&since, "last", 30*24*time.Hour, "only entries of this last `time`")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

// writeLog writes entries: as JSON one line each, as they are stored.
func (a *app) writeLog(entries []publish.Entry) error {
	for i := range entries {
		if a.format != cli.JSON {
			break
		}
		if err := cli.WriteJSONLine(a.stdout, &entries[i]); err != nil {
			return err
		}
	}
	if a.format == cli.JSON {
		return nil
	}
	t := cli.Table{Header: []string{"TIME (UTC)", "BY", "ACTION", "GENERATION", "WHAT", "WHY"}}
	for i := range entries {
		e := &entries[i]
		what := strings.TrimSpace(strings.Join(e.Rings, ",") + " " + short(e.SHA256) + " " + e.Detail)
		t.Row(e.Time.Format(time.DateTime), e.By, e.Action, fmt.Sprint(e.Generation), what, e.Why)
	}
	_, err := t.WriteTo(a.stdout)
	return err
}

func (a *app) configExport() *cobra.Command {
	var at published
	var rings []string
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Copy the publication into a directory, for --config-fallback of the server",
		Long: `export writes the documents and the configs that the rings use into DIR, in the same layout. Put DIR
into the image of the server, and name it with serve --config-fallback: then a new instance starts
even when the bucket is not reachable. It copies only what it can believe.`,
		Example: `  oci-proxyctl config export fallback/
  oci-proxyctl config export fallback/ --ring all`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRings(rings); err != nil {
				return err
			}
			return a.runConfigExport(cmd.Context(), &at, args[0], rings)
		},
	}
	at.flags(cmd)
	ringFlag(cmd, &rings)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

// exportedSite is the JSON document of config export. Only add fields; never remove one.
type exportedSite struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
}

func (a *app) runConfigExport(ctx context.Context, at *published, dir string, rings []string) error {
	site, err := at.open(ctx, a)
	if err != nil {
		return err
	}
	state, err := readSite(ctx, site)
	if err != nil {
		return err
	}
	for name, fault := range state.Faults {
		a.warn("%s is left out, because it cannot be believed: %v", name, fault)
	}
	if len(rings) == 0 {
		rings = state.Rings()
	}
	if len(rings) == 0 {
		return cli.Fail("config publish publishes the first", "nothing is published")
	}
	// The content comes before the head that names it, so that no reader of DIR finds half.
	var names []string
	for _, ring := range rings {
		h := state.Heads[ring]
		if h == nil {
			return cli.Usage("there are "+strings.Join(state.Rings(), ", "), "ring %s: %w", ring, publish.ErrNoRing)
		}
		names = append(names, publication.ContentName(h.SHA256))
	}
	if state.Keys != nil {
		names = append(names, publication.KeysName)
	}
	if state.Overrides != nil {
		names = append(names, publication.OverridesName)
	}
	for _, ring := range rings {
		names = append(names, publication.HeadName(ring))
	}
	doc := exportedSite{Dir: dir, Files: names}
	for _, name := range names {
		text, err := site.Document(ctx, state, name)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // the server runs as another user
			return err
		}
		if err := atomicfile.Write(file, text, 0o644); err != nil {
			return err
		}
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	_, err = fmt.Fprintf(a.stdout, "%s has %s: %s\n", dir, cli.Count(int64(len(names)), "file"), strings.Join(names, ", "))
	return err
}
