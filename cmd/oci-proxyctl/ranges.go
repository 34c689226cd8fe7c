package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/outbound"
	"ociproxy/internal/ranges"
)

// ranges is the group of commands for the address ranges that providers publish.
func (a *app) ranges() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "ranges",
		Short: "Fetch the address ranges that providers publish",
		Long: `The server needs the address ranges that providers publish (feeds) to find out in which cloud a
client is. The commands of ranges prepare them for servers that cannot fetch them.`,
	}, a.rangesFetch())
}

// fetching has the flags of ranges fetch.
type fetching struct {
	config  string
	dry     bool
	timeout time.Duration
}

func (a *app) rangesFetch() *cobra.Command {
	var how fetching
	cmd := &cobra.Command{
		Use:   "fetch DIR",
		Short: "Fetch every feed into a directory for ranges.seed",
		Long: `fetch gets every feed that the config names and writes it into DIR, in the form in which the server
reads ranges.seed. Without a config it gets the feeds of AWS, Google, Oracle, Exoscale, Vultr,
DigitalOcean and Linode. Azure has a new address each week, so only a config can name its file.

Each feed is checked as the server checks it, also against the copy that is in DIR. A feed that
fails keeps the copy that it has, and does not stop the others. Files are replaced in one step.

DIR/` + ranges.RecordFile + ` says when and from where each feed was fetched. Copy the whole directory to
servers without a network, or put it into an image.`,
		Example: `  oci-proxyctl ranges fetch /var/lib/oci-proxy/seed
  oci-proxyctl ranges fetch seed --config config.yaml --dry-run
  oci-proxyctl ranges fetch seed --output json | jq '.feeds[] | select(.state == "failed")'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return cli.Usage("for example oci-proxyctl ranges fetch seed", "want one directory, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if how.timeout <= 0 {
				return cli.Usage("leave it out for the default", "--timeout %v: want more than 0", how.timeout)
			}
			return a.runRangesFetch(cmd.Context(), args[0], how)
		},
	}
	cli.OptionalConfigFlag(cmd, &how.config, a.env)
	cmd.Flags().DurationVar(&how.timeout, "timeout", 30*time.Second, "`time` for each attempt to fetch a feed")
	dryRunFlag(cmd, &how.dry)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid,
		cli.ExitCode{Code: cli.CodeFailure, Means: "no feed could be fetched, or DIR cannot be written"},
		cli.ExitCode{Code: cli.CodePartial, Means: "some feeds failed; the others are in DIR"})
	return cmd
}

// renewed is the JSON document of ranges fetch. New versions only add fields.
type renewed struct {
	Directory string           `json:"directory"`
	DryRun    bool             `json:"dryRun"`
	Feeds     []ranges.Renewed `json:"feeds"`
	Failed    int              `json:"failed"`
}

func (a *app) runRangesFetch(ctx context.Context, dir string, how fetching) error {
	cfg := config.Default()
	cfg.Ranges.Feeds = config.UsualFeeds()
	if how.config != "" {
		var err error
		if cfg, err = a.load(how.config); err != nil {
			return a.invalid(err)
		}
	}
	if len(cfg.Ranges.Feeds) == 0 {
		return cli.Fail("name feeds under ranges.feeds, or give --config '' for the usual ones",
			"%s names no feed", how.config)
	}
	transport := outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Header: how.timeout, Idle: 30 * time.Second,
	})
	defer transport.CloseIdleConnections()
	watch, done := a.progress(), 0
	list, err := ranges.Renew(ctx, cfg.Ranges, cfg.Map(), dir, ranges.RenewOptions{
		Client: &http.Client{Transport: transport}, Timeout: how.timeout, DryRun: how.dry,
		Done: func(r ranges.Renewed) {
			done++
			watch.line(fmt.Sprintf("%d of %d feeds  %s", done, len(cfg.Ranges.Feeds), r.Feed))
		},
	})
	watch.clear()
	if err != nil {
		return cli.Fail("DIR is a directory that you may write, or a name for a new one", "%w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	doc := renewed{Directory: dir, DryRun: how.dry, Feeds: list}
	for _, r := range list {
		if r.State == ranges.Failed {
			doc.Failed++
		}
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, doc)
	} else {
		err = doc.writeText(a.stdout)
	}
	if err != nil {
		return err
	}
	return a.fetched(doc)
}

func (d *renewed) writeText(w io.Writer) error {
	t := cli.Table{Header: []string{"FEED", "RESULT", "FETCHED", "PREFIXES", "FILE"}}
	for _, r := range d.Feeds {
		at, file := "never", ""
		if !r.Fetched.IsZero() {
			at, file = r.Fetched.Format(time.RFC3339), filepath.Join(d.Directory, r.File)
		}
		t.Row(r.Feed, r.State, at, humanize.Comma(int64(r.Rows)), file)
	}
	if _, err := t.WriteTo(w); err != nil || !d.DryRun {
		return err
	}
	_, err := fmt.Fprintln(w, "dry run: nothing was written")
	return err
}

// fetched reports why feeds failed, and gives the exit code. With JSON, the document on stdout says everything.
func (a *app) fetched(d renewed) error {
	if d.Failed == 0 {
		return nil
	}
	if a.format != cli.JSON {
		for _, r := range d.Feeds {
			if r.State != ranges.Failed {
				continue
			}
			fmt.Fprintf(a.stderr, "%s: feed %s: %s\n", program, r.Feed, cli.OneLine(r.Error))
			if r.Guarded {
				fmt.Fprintf(a.stderr, "hint: if the provider really changed that much, remove %s and fetch again\n",
					filepath.Join(d.Directory, r.File))
			}
		}
	}
	code := cli.CodePartial
	if d.Failed == len(d.Feeds) {
		code = cli.CodeFailure
	}
	if a.format == cli.JSON {
		return cli.Exit(code)
	}
	return &cli.Error{
		Err:  fmt.Errorf("%d of %s failed", d.Failed, cli.Count(int64(len(d.Feeds)), "feed")),
		Hint: "the same command fetches them again", Code: code,
	}
}
