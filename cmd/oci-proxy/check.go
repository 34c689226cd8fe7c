package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/outbound"
	"ociproxy/internal/ranges"
	"ociproxy/internal/route"
	"ociproxy/internal/usable"
)

// checked is the document of check --output json. Only add fields; never remove one.
type checked struct {
	File      string            `json:"file"`
	Valid     bool              `json:"valid"`
	Errors    []*config.Error   `json:"errors"`
	Warnings  []*config.Error   `json:"warnings"`
	Hash      string            `json:"hash,omitempty"` // SHA-256 of the file, as in the server's metric
	Stores    int               `json:"stores"`
	Upstreams int               `json:"upstreams"`
	Serving   []check.Serving   `json:"serving,omitempty"`
	Announced []check.Announced `json:"announced,omitempty"` // the announced dates that are not over
	Seed      []ranges.Seeded   `json:"seed,omitempty"`      // what ranges.seed has of each feed
	Live      *check.Report     `json:"live,omitempty"`
}

func (a *app) check() *cobra.Command {
	var (
		file string
		how  checking
		from published
		opts check.Options
	)
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a config file, and with --live the stores and upstreams in it",
		Long: `check reads the config and reports every error and warning at once, with its line in the file
and what to do. It opens the files that the config names (certificate, latency matrix, GeoIP), as
serve does. Use --no-files on a machine that lacks these files. It also lists which candidates
serve the clients of each cloud, and warns of a store that is no client's first choice. With
ranges.seed it shows how old each feed is there. FILE, or --config FILE, may be - for stdin, or the
URL of a publication: then check reads what an instance of that ring would read.

With --live it sends each store and upstream the requests that the server and container runtimes
send, without a login: GET and HEAD over IPv4 and over IPv6, ranges, a digest that does not exist,
and an image's manifests and blobs. For the inventory of each store it says how much it lists, how
old it is, and whether the server would believe it. Name an image that the stores hold with
--image. Without --image it tries the first repositories of mirror.repositories.list.`,
		Example: `  oci-proxy check config.yaml
  oci-proxy check config.yaml --print                     # the config with all defaults
  oci-proxy check config.yaml --live --image pause:3.10
  oci-proxy check config.yaml --output json | jq .errors`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"},
			cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && cmd.Flags().Changed("config") && args[0] != file:
				return cli.Usage("name one file, with or without --config", "%s and --config %s are two files", args[0], file)
			case how.print && how.live:
				return cli.Usage("run check twice", "--print and --live exclude each other")
			case how.print && a.format == cli.JSON:
				return cli.Usage("leave out --output json", "--print writes YAML")
			case len(opts.Images) > 0 && !how.live:
				return cli.Usage("add --live", "--image needs --live")
			}
			for _, image := range opts.Images {
				if err := check.ValidImage(image); err != nil {
					return cli.Usage("for example pause:3.10", "%w", err)
				}
			}
			if len(args) > 0 {
				file = args[0]
			}
			return a.runCheck(cmd.Context(), file, from, how, opts)
		},
	}
	cli.ConfigFlag(cmd, &file, a.env)
	f := cmd.Flags()
	a.publicationFlags(cmd, &from)
	f.BoolVar(&how.print, "print", false, "print the config as the server reads it, with all defaults, as YAML")
	f.BoolVar(&how.live, "live", false, "test the stores and upstreams with requests")
	f.BoolVar(&how.noFiles, "no-files", false, "do not open the files that the config names")
	liveFlags(cmd, &opts)
	f.IntVar(&opts.Concurrency, "concurrency", 8, "`number` of stores and upstreams that --live tests at once")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "--live found a failure, or could not test something"}, cli.Invalid)
	return cmd
}

// liveFlags adds the flags of commands that ask stores and upstreams.
func liveFlags(cmd *cobra.Command, opts *check.Options) {
	f := cmd.Flags()
	f.StringArrayVar(&opts.Images, "image", nil, "`image` NAME[:TAG] or NAME@DIGEST to request, without a host; may be repeated")
	f.DurationVar(&opts.Timeout, "timeout", 10*time.Second, "`time` for each request to a store or upstream")
}

// checking holds the flags of check that select what it does.
type checking struct{ print, live, noFiles bool }

func (a *app) runCheck(ctx context.Context, file string, from published, how checking, opts check.Options) error {
	var snap *route.Snapshot
	cfg, _, err := a.read(ctx, file, &from)
	if err == nil {
		snap, err = usable.Check(cfg, !how.noFiles)
	}
	if faults, bad := errors.AsType[*config.Errors](err); bad && a.format == cli.JSON {
		// The faults are the result of this command, so they go to stdout.
		doc := checked{File: file, Errors: faults.List, Warnings: []*config.Error{}}
		if err := cli.WriteJSON(a.stdout, doc); err != nil {
			return err
		}
		return cli.Exit(cli.CodeInvalid)
	}
	if err != nil {
		return a.invalid(err)
	}
	if how.print {
		text, err := config.Print(cfg)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(text)
		return err
	}
	doc, err := examined(file, cfg, snap, !how.noFiles, time.Now())
	if err != nil {
		return err
	}
	if a.format != cli.JSON {
		if err := a.writeChecked(doc); err != nil {
			return err
		}
	}
	if how.live {
		for _, fault := range outbound.EnvironmentFaults() {
			fmt.Fprintf(a.stderr, "warning: %v\n", fault)
		}
		opts.UserAgent = "oci-proxy/" + thisBuild().Version
		opts.Progress = a.progress()
		if doc.Live, err = check.Live(ctx, cfg.At(time.Now()), opts); err != nil {
			return err
		}
	}
	return a.finishCheck(doc)
}

// examined returns what check says about a config that can be used, without asking anybody.
func examined(file string, cfg *config.Config, snap *route.Snapshot, files bool, now time.Time) (checked, error) {
	doc := checked{
		File: file, Valid: true, Errors: []*config.Error{}, Warnings: cfg.Warnings, Hash: cfg.Hash,
		Stores: len(cfg.Stores), Upstreams: len(cfg.Upstreams), Serving: check.ServingOf(cfg.At(now)),
		Announced: check.AnnouncedIn(cfg, now),
	}
	if doc.Warnings == nil {
		doc.Warnings = []*config.Error{}
	}
	if files {
		if err := seeded(&doc, cfg); err != nil {
			return doc, err
		}
	}
	routed(&doc, cfg, snap)
	return doc, nil
}

// writeChecked writes the text for a valid file.
func (a *app) writeChecked(doc checked) error {
	a.tell("warning: ", doc.Warnings)
	_, err := fmt.Fprintf(a.stdout, "%s is valid: %s, %s, %s\n\n", doc.File,
		english.Plural(doc.Upstreams, "upstream", ""), english.Plural(doc.Stores, "store", ""), english.Plural(len(doc.Warnings), "warning", ""))
	if err != nil {
		return err
	}
	if err := check.WriteServing(a.stdout, doc.Serving); err != nil {
		return err
	}
	if err := check.WriteAnnounced(a.stdout, doc.Announced); err != nil {
		return err
	}
	return writeSeed(a.stdout, doc.Seed)
}

func (a *app) finishCheck(doc checked) error {
	if a.format == cli.JSON {
		if err := cli.WriteJSON(a.stdout, doc); err != nil {
			return err
		}
	} else if doc.Live != nil {
		fmt.Fprintln(a.stdout)
		if err := doc.Live.WriteText(a.stdout, cli.UseColor(a.stdout, a.env)); err != nil {
			return err
		}
	}
	if doc.Live != nil && !doc.Live.Passed() {
		return cli.Exit(cli.CodeFailure)
	}
	return nil
}

// progress shows the progress of --live, on a terminal only.
func (a *app) progress() func(done, total int, name string) {
	if !cli.IsTerminal(a.stderr) {
		return nil
	}
	return func(done, total int, name string) {
		fmt.Fprintf(a.stderr, "\r\x1b[K%d of %d  %s", done, total, name)
		if done == total {
			fmt.Fprint(a.stderr, "\r\x1b[K")
		}
	}
}
