package main

import (
	"context"
	"errors"
	"fmt"

	"ociproxy/internal/config"
	"ociproxy/internal/mirror"
	"ociproxy/internal/targets"
)

// mirrorLoop makes passes until the program is stopped. It reads the config again before each pass. If the config is
// wrong, it keeps the old one.
func (a *app) mirrorLoop(ctx context.Context, f *mirrorFlags, cfg *config.Config, opt mirror.Options) error {
	opt.Interval = f.every
	opt.Seen = new(mirror.Seen)
	fit := new(targets.Fit)
	loop := mirror.NewLoop(f.every, func(ctx context.Context, running func(*mirror.Pass)) (*mirror.Report, error) {
		cfg = a.reloaded(f, cfg)
		src, err := a.mirrorSource(cfg, f)
		if err != nil {
			return nil, err
		}
		defer src.Close()
		return a.mirrorOnce(ctx, f, cfg, src, opt, fit, running)
	}, func(r *mirror.Report, err error) {
		if err != nil {
			err = fmt.Errorf("no pass: %w", err)
		}
		a.turnEnded(r, err, func() error { return writeMirrorReport(a.stdout, r) })
	})
	return a.runLoop(ctx, f.listen, loop)
}

// reloaded returns the config from the file, or the old one if the file is wrong.
func (a *app) reloaded(f *mirrorFlags, was *config.Config) *config.Config {
	if f.file == "-" {
		return was
	}
	cfg, err := a.load(f.file)
	if err == nil && !cfg.Mirror.Enabled() {
		err = errors.New("it has no mirror stanza")
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "%s: the config in use stays: %v\n", program, err)
		return was
	}
	return cfg
}
