package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/fleet"
	"ociproxy/internal/mirror"
)

// mirrorLoop makes passes until the program is told to stop. The config is read anew before each pass; one that is wrong changes
// nothing.
func (a *app) mirrorLoop(ctx context.Context, f *mirrorFlags, cfg *config.Config, opt mirror.Options) error {
	opt.Interval = f.every
	opt.Seen = new(mirror.Seen)
	fit := new(fleet.Fit)
	loop := &mirror.Loop{
		Every: f.every,
		Pass: func(ctx context.Context, running func(*mirror.Pass)) (*mirror.Report, error) {
			cfg = a.reloaded(f, cfg)
			src, err := a.mirrorSource(cfg, f)
			if err != nil {
				return nil, err
			}
			defer src.Close()
			return a.mirrorOnce(ctx, f, cfg, src, opt, fit, running)
		},
		Report: func(r *mirror.Report, err error) { a.passEnded(r, err) },
	}
	stop, err := a.serveLoop(ctx, f.listen, loop.Handler())
	if err != nil {
		return err
	}
	defer stop()
	loop.Run(ctx)
	return nil // told to stop: it did
}

// reloaded is the config as the file has it now, or as it was when that is wrong.
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

// passEnded writes one summary a pass.
func (a *app) passEnded(r *mirror.Report, err error) {
	switch {
	case err != nil:
		fmt.Fprintf(a.stderr, "%s: no pass: %v\n", program, err)
	case a.format == cli.JSON:
		err = cli.WriteJSONLine(a.stdout, r)
	default:
		err = writeMirrorReport(a.stdout, r)
		fmt.Fprintln(a.stdout)
	}
	if err != nil && r != nil {
		fmt.Fprintf(a.stderr, "%s: %v\n", program, err)
	}
}

// serveLoop serves h at address, when there is one, until stop is called.
func (a *app) serveLoop(ctx context.Context, address string, h http.Handler) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, cli.Fail("--listen 127.0.0.1:9091 is usual", "%w", err)
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(a.stderr, "%s: serve %s: %v\n", program, address, err)
		}
	}()
	fmt.Fprintf(a.stderr, "metrics and health on http://%s\n", l.Addr())
	return func() {
		srv.Close()
		<-done
	}, nil
}
