package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"ociproxy/internal/cli"
)

// looping is a loop of any kind.
type looping interface {
	Run(ctx context.Context)
	Handler() http.Handler
}

// runLoop takes turns until the program is told to stop, and serves their metrics at address, when there is one.
func (a *app) runLoop(ctx context.Context, address string, l looping) error {
	stop, err := a.serveLoop(ctx, address, l.Handler())
	if err != nil {
		return err
	}
	defer stop()
	l.Run(ctx)
	return nil // told to stop: it did
}

// turnEnded writes what came of one turn; write does so for people.
func (a *app) turnEnded(report any, err error, write func() error) {
	switch {
	case err != nil:
	case a.format == cli.JSON:
		err = cli.WriteJSONLine(a.stdout, report)
	default:
		err = write()
		fmt.Fprintln(a.stdout)
	}
	if err != nil {
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
