package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/admit"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/console"
	"ociproxy/internal/console/routing"
	"ociproxy/internal/console/scraped"
	"ociproxy/internal/console/view"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/proxy"
	"ociproxy/internal/snapshot"
)

const (
	// consoleAddress is where the console of a fleet listens, unless --listen says so.
	consoleAddress = "127.0.0.1:9095"
	// consoleEvery is how often Prometheus is asked while somebody looks.
	consoleEvery = 15 * time.Second
	// consoleFeeds is how long the feeds may take, and feedsEvery how often they are fetched.
	consoleFeeds, feedsEvery = time.Minute, 6 * time.Hour
)

// consoling holds the flags of console.
type consoling struct {
	config, prometheus, job string
	window                  time.Duration
	at                      listening
}

func (a *app) console() *cobra.Command {
	var c consoling
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the console of a fleet, from what Prometheus knows",
		Long: `console serves a page that shows, for all instances that Prometheus scrapes: which stores are in and
out and since when, where the bytes flow and what that costs, and what happened in the last hour. An
instance shows the same page about itself on its admin port. The page listens on 127.0.0.1:9095,
unless --listen names another address. It has no login: keep it away from clients.

It asks Prometheus every 15 s while somebody looks. It takes places and prices from the config, and
explains from the config where a client is sent.

With --output json it prints once what it knows, and ends.`,
		Example: `  oci-proxyctl console --prometheus http://prometheus:9090 --config config.yaml
  oci-proxyctl console --prometheus http://prometheus:9090 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runConsole(cmd.Context(), &c) },
	}
	prometheusFlag(cmd, &c.prometheus)
	f := cmd.Flags()
	f.StringVar(&c.job, "job", "oci-proxy", "`name` of the job that scrapes the instances")
	f.DurationVar(&c.window, "window", 2*time.Minute, "`time` over which rates are measured: at least four times the interval of scrapes")
	c.at.flags(cmd)
	cli.ConfigFlag(cmd, &c.config, a.env)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func (a *app) runConsole(ctx context.Context, c *consoling) error {
	prom := prometheusFlags{url: c.prometheus}
	cfg, err := a.load(c.config)
	if err != nil {
		return a.invalid(err)
	}
	client, err := prom.open(a)
	switch {
	case err != nil:
		return err
	case client == nil:
		return cli.Usage("for example --prometheus http://prometheus.example:9090", "console needs --prometheus, or "+prometheusVariable)
	case c.window < time.Second:
		return cli.Usage("for example --window 2m", "--window %s is too short", c.window)
	}
	source, err := fleetSource(cfg, client, c)
	if err != nil {
		return err
	}
	if a.format == cli.JSON {
		return a.printConsole(ctx, source)
	}
	server, err := proxy.New(proxy.Options{Config: cfg, Env: a.env, Version: version})
	if err != nil {
		return err
	}
	defer server.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.serveConsole(ctx, c, source, server)
}

// printConsole prints one view. The source itself goes on when the caller leaves, for others who look.
func (a *app) printConsole(ctx context.Context, source *scraped.Source) error {
	type answer struct {
		v   *view.View
		err error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := source.View(ctx)
		done <- answer{v, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-done:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if got.err != nil {
			return got.err
		}
		return cli.WriteJSON(a.stdout, consoleDocOf(got.v))
	}
}

func fleetSource(cfg *config.Config, client *prometheus.Client, c *consoling) (*scraped.Source, error) {
	snap, err := snapshot.Of(cfg.At(time.Now()))
	if err != nil {
		return nil, err
	}
	docs := cfg.Admin.Docs
	if docs != "" && !strings.HasSuffix(docs, "/") {
		docs += "/"
	}
	return scraped.New(scraped.Options{Prometheus: client, Routing: routing.Of(cfg.Map(), snap), Job: c.job, Window: c.window, Every: consoleEvery, Docs: docs}), nil
}

func (a *app) serveConsole(ctx context.Context, c *consoling, source *scraped.Source, server *proxy.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := console.New(console.Options{Source: source, Explainer: fleetBox{server, source}})
	pages := admit.NewPages("oci-proxyctl: the console of a fleet")
	pages.Front("the console, in a browser", h.Page)
	h.Pages(pages.Handle)
	at := c.at
	at.address = cmp.Or(at.address, consoleAddress)
	stop, err := a.servePages(ctx, at, pages, console.Costly, "console on http://%s/\n")
	if err != nil {
		return err
	}
	defer stop()
	go a.keepFeeds(ctx, server)
	h.Run(ctx)
	return nil // stopped as requested
}

// keepFeeds fetches the feeds with which the box locates clients, now and again later.
func (a *app) keepFeeds(ctx context.Context, server *proxy.Server) {
	for {
		within, cancel := context.WithTimeout(ctx, consoleFeeds)
		if err := server.Prepare(within); err != nil && ctx.Err() == nil {
			fmt.Fprintf(a.stderr, "warning: some clients count as unknown when the box explains: %s\n", cli.OneLine(strings.TrimSpace(err.Error())))
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-time.After(feedsEvery):
		}
	}
}

// fleetBox explains from the config.
type fleetBox struct {
	server *proxy.Server
	source *scraped.Source
}

// Explain implements [view.Explainer].
func (b fleetBox) Explain(ctx context.Context, q view.Question) (*view.Explanation, error) {
	e, err := b.server.Box().Explain(ctx, q)
	if err != nil {
		return nil, err
	}
	e.Notes = append(e.Notes, "this is the answer of the config on this machine, which counts every store as healthy: an instance's own console knows more")
	v, err := b.source.View(ctx)
	if err != nil {
		return e, nil //nolint:nilerr // the answer is good without it
	}
	for i := range v.Candidates {
		if c := &v.Candidates[i]; c.Out > 0 {
			e.Notes = append(e.Notes, fmt.Sprintf("%s is out on %d of %d instances", c.Name, c.Out, c.Of))
		}
	}
	return e, nil
}
