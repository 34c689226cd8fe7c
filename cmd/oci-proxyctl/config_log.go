package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
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
