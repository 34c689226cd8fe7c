package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/admit"
	"ociproxy/internal/cli"
	"ociproxy/internal/listener"
)

// looping is a loop of any kind.
type looping interface {
	Run(ctx context.Context)
	Handler() http.Handler
}

// listening says where a loop's metrics are served.
type listening struct {
	address string
	hosts   []string
}

// flags adds the flags to cmd.
func (l *listening) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&l.address, "listen", "", "`address` of the port that the command serves while it runs")
	fl.StringArrayVar(&l.hosts, "listen-host", nil, "host `name` that --listen also accepts, besides IP addresses and localhost; may be repeated")
}

// runLoop runs turns until the program is stopped. If there is an address for metrics, it serves them.
func (a *app) runLoop(ctx context.Context, at listening, l looping) error {
	stop, err := a.serveLoop(ctx, at, l.Handler())
	if err != nil {
		return err
	}
	defer stop()
	l.Run(ctx)
	return nil // stopped as requested
}

// turnEnded writes the result of one turn. write writes it for people.
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

// loopConnections is the maximum number of connections to a loop's port. The loop's work needs the other file
// descriptors.
const loopConnections = 64

// serveLoop serves h until stop is called. Without an address it serves nothing.
func (a *app) serveLoop(ctx context.Context, at listening, h http.Handler) (stop func(), err error) {
	if at.address == "" {
		return func() {}, nil
	}
	return a.servePages(ctx, at, h, nil, "metrics and health on http://%s\n")
}

// servePages serves h, for operators only, until stop is called. costly is as in [admit.Port]. say is printed with the
// address.
func (a *app) servePages(ctx context.Context, at listening, h http.Handler, costly func(*http.Request) bool, say string) (stop func(), err error) {
	hosts := make([]string, len(at.hosts))
	for i, host := range at.hosts {
		if host == "" || strings.ContainsAny(host, ":/*, ") {
			return nil, cli.Usage("a host name without scheme and port, such as proxy.example.org", "--listen-host %q: not a host name", host)
		}
		hosts[i] = strings.ToLower(strings.TrimSuffix(host, "."))
	}
	port := admit.Port{Hosts: func() []string { return hosts }, Setting: "--listen-host", Costly: costly}
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", at.address)
	if err != nil {
		return nil, cli.Fail("name a free address of this machine, such as --listen 127.0.0.1:9091", "%w", err)
	}
	srv := &http.Server{
		Handler: port.Handler(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ConnState: listener.State, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	shared := listener.New(l, listener.Options{Max: loopConnections, Network: listener.Single, Logger: log})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(shared); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(a.stderr, "%s: serve %s: %v\n", program, at.address, err)
		}
	}()
	fmt.Fprintf(a.stderr, say, l.Addr())
	return func() {
		srv.Close()
		<-done
	}, nil
}
