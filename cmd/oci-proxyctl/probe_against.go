package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/against"
	"ociproxy/internal/probe/show"
)

// probeAgainst compares two names, shows the differences, and returns the exit code.
func (a *app) probeAgainst(ctx context.Context, name string, f *probeFlags) error {
	if _, err := probe.Base(f.against, f.plainHTTP); err != nil {
		return cli.Usage("for example --against registry.example.org", "%w", err)
	}
	opt := against.Options{
		Here: name, There: f.against, SampleTags: f.sampleTags,
		Limits:  probe.Limits{Requests: f.requests, Bytes: int64(f.bytes), Time: f.most, Rate: f.rate},
		Timeout: f.timeout, Concurrency: f.concurrency, UserAgent: agent(), PlainHTTP: f.plainHTTP,
	}
	var err error
	if opt.TLS, err = authorities(f.ca); err != nil {
		return err
	}
	if opt.Repositories, err = a.comparedRepositories(name, f); err != nil {
		return err
	}
	which := cli.Count(int64(len(opt.Repositories)), "repository", "repositories")
	if len(opt.Repositories) == 0 {
		which = "the repositories that the registries list"
	}
	fmt.Fprintf(a.stderr, "comparing %s with at most %s, %s and %s\n", which, cli.Count(f.requests, "request"), size(int64(f.bytes)), f.most)
	if f.dry {
		for _, r := range opt.Repositories {
			fmt.Fprintln(a.stdout, r)
		}
		return nil
	}
	line := a.progress()
	var begun atomic.Int64
	opt.Progress = func(repository string) {
		line.line(fmt.Sprintf("%d of %d: %s", begun.Add(1), len(opt.Repositories), repository))
	}
	r, err := against.Run(ctx, opt)
	line.clear()
	if err != nil {
		return err
	}
	err = a.writeReports(f.reports, func(w io.Writer, format cli.Format) error {
		switch format {
		case cli.JSON:
			return cli.WriteJSON(w, r)
		case cli.Markdown:
			return show.AgainstMarkdown(w, r)
		default:
			return show.Against(w, r)
		}
	})
	switch {
	case err != nil:
		return err
	case r.Found() > 0:
		return cli.Exit(cli.CodeDifferent)
	case r.Failed > 0 && len(opt.Repositories) == 0:
		return cli.Fail("oci-proxy lists no repositories: name them with --image, with --promoted, or in mirror.repositories.list of a config",
			"the names have no common list of repositories")
	case r.Failed > 0 || r.Cut:
		return cli.Exit(cli.CodeFailure)
	}
	return nil
}

// comparedRepositories are those of the images that the flags or the config name. Without any, the registries must list
// theirs.
func (a *app) comparedRepositories(name string, f *probeFlags) (out []string, err error) {
	var cfg *config.Config
	if f.file != "" {
		if cfg, err = a.load(f.file); err != nil {
			return nil, a.invalid(err)
		}
	}
	if len(f.images) == 0 && f.promoted == "" && (cfg == nil || len(cfg.Mirror.Repositories.List) == 0) {
		return nil, nil
	}
	whole := *f
	whole.maxImages = 0 // --max-requests bounds a comparison
	images, _, err := a.probeImages(name, &whole, cfg)
	if err != nil {
		return nil, err
	}
	for _, ref := range images {
		out = append(out, ref.Name)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
