package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/key"
	"ociproxy/internal/proxy"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/follow"
)

// The environment variables of a publication. They change the defaults of flags.
const (
	ringVariable       = "OCI_PROXY_RING"
	deploymentVariable = "OCI_PROXY_DEPLOYMENT"
	keysVariable       = "OCI_PROXY_CONFIG_KEYS" // separated by commas
)

// published holds the flags that say what to believe when --config is the URL of a publication.
type published struct {
	ring, deployment string
	keys             []string
}

func (a *app) publicationFlags(cmd *cobra.Command, p *published) {
	f := cmd.Flags()
	ring := a.env(ringVariable)
	if ring == "" {
		ring = publication.DefaultRing
	}
	f.StringVar(&p.ring, "ring", ring,
		"`name` of the ring to follow when --config is a URL; the environment variable "+ringVariable+" changes the default")
	f.StringVar(&p.deployment, "deployment", a.env(deploymentVariable),
		"`name` of the deployment that a published config must have; the environment variable "+deploymentVariable+
			" changes the default")
	var keys []string
	for one := range strings.SplitSeq(a.env(keysVariable), ",") {
		if one = strings.TrimSpace(one); one != "" {
			keys = append(keys, one)
		}
	}
	f.StringArrayVar(&p.keys, "config-key", keys,
		"public root `key` of published configs in base64, may be repeated; the environment variable "+keysVariable+
			" changes the default (separated by commas)")
}

// isURL reports whether --config names a publication and no file.
func isURL(config string) bool {
	return strings.HasPrefix(config, "https://") || strings.HasPrefix(config, "http://")
}

// options returns what a follower of the publication at url must know.
func (p *published) options(url string) (follow.Options, error) {
	opt := follow.Options{URL: url, Ring: p.ring, Deployment: p.deployment, MaxContent: config.MaxBytes}
	if err := follow.CheckURL(url); err != nil {
		return opt, cli.Usage("for example --config https://storage.example.org/bucket/config/", "--config %s: %w", url, err)
	}
	if p.deployment == "" {
		return opt, cli.Usage("give the name that oci-proxyctl config publish got, with --deployment or "+deploymentVariable, "--config is a URL, and --deployment is missing")
	}
	if err := publication.CheckName(p.deployment); err != nil {
		return opt, cli.Usage("give the name that oci-proxyctl config publish got", "--deployment %w", err)
	}
	if err := publication.CheckName(p.ring); err != nil {
		return opt, cli.Usage("give the name of a ring", "--ring %w", err)
	}
	if len(p.keys) == 0 {
		return opt, cli.Usage("give the public root key with --config-key or "+keysVariable, "--config is a URL, and --config-key is missing")
	}
	for _, text := range p.keys {
		public, err := key.Parse(text)
		if err != nil {
			return opt, cli.Usage("give the public key as base64; oci-proxyctl key show prints it", "--config-key %q: %w", text, err)
		}
		opt.Roots = append(opt.Roots, public)
	}
	return opt, nil
}

// startPublished starts on the best configuration of a publication that can be used: what is published, what the disk has,
// or a fallback.
func (a *app) startPublished(ctx context.Context, how *starting) (*proxy.Server, error) {
	opt, err := how.published.options(how.file)
	if err != nil {
		return nil, err
	}
	opt.Dir = how.lastGood
	if isDir(how.fallback) {
		opt.Fallback = how.fallback
	}
	level := new(slog.LevelVar)
	opt.Logger = newLogger(a.stderr, level, "json") // until the config says more
	follower, err := follow.New(opt)
	if err != nil {
		return nil, err
	}
	how.follower = follower
	choice, missing := follower.Start(ctx)
	why := missing
	for _, c := range choice {
		server, err := a.startOn(ctx, how, c)
		if err == nil || notConfig(err) {
			return server, err
		}
		why = errors.Join(why, named(c.Name, err))
	}
	if why == nil {
		why = errors.New("nothing was published to the ring " + opt.Ring)
	}
	server, none := a.fallBack(ctx, how, why)
	if server != nil {
		return server, nil
	}
	why = errors.Join(why, none)
	if c := follower.Stale(ctx); c != nil {
		server, err := a.startOn(ctx, how, c)
		if err == nil {
			how.logger.Error("the server starts on a publication that was not signed again for too long: there is nothing else",
				"source", how.file, "generation", c.Generation, "hint", "sign it again: oci-proxyctl config refresh")
			return server, nil
		}
		why = errors.Join(why, named(c.Name, err))
	}
	return nil, cli.Fail("check --config, --deployment, --ring and --config-key; publish with oci-proxyctl config publish; "+
		"give new instances a config in their image with --config-fallback", "no config to start on: %w", why)
}

// startOn starts on a configuration of the publication.
func (a *app) startOn(ctx context.Context, how *starting, c *follow.Config) (*proxy.Server, error) {
	how.follower.Offer(c)
	cfg, err := config.ParseIn(c.Dir, c.Name, c.Text)
	if err != nil {
		return nil, err
	}
	server, err := a.startWith(ctx, how, cfg, nil, nil)
	if err == nil && !strings.HasPrefix(c.Name, how.file) {
		how.logger.Warn("the server starts without the URL of its config", "source", how.file, "from", c.Name, "generation", c.Generation)
	}
	return server, err
}

// readPublished returns the configuration that is published and its overrides, for commands that do not serve.
func (a *app) readPublished(ctx context.Context, p *published, url string) (*config.Config, *publication.Overrides, error) {
	opt, err := p.options(url)
	if err != nil {
		return nil, nil, err
	}
	follower, err := follow.New(opt)
	if err != nil {
		return nil, nil, err
	}
	choice, why := follower.Start(ctx)
	if len(choice) == 0 {
		if c := follower.Stale(ctx); c != nil {
			choice = append(choice, c)
		}
	}
	if len(choice) == 0 {
		return nil, nil, cli.Fail("check --config, --deployment, --ring and --config-key, and what oci-proxyctl config status says", "read the published config: %w", why)
	}
	if why != nil {
		fmt.Fprintf(a.stderr, "warning: %v\n", why)
	}
	cfg, err := config.ParseIn(choice[0].Dir, choice[0].Name, choice[0].Text)
	if err == nil {
		cfg.DefaultSeed(a.env(config.SeedVariable))
	}
	return cfg, follower.Overrides(), err
}

// offerFile makes a file that was not published what the publication's follower loads.
func offerFile(how *starting, dir, file string, text []byte) {
	if how.follower == nil {
		return
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	how.follower.Offer(&follow.Config{Text: text, Name: file, Dir: dir})
}
