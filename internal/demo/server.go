package demo

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"ociproxy/internal/proxy"
	"ociproxy/internal/route"
)

// server is the real proxy. It runs with the config file that was written for this world.
type server struct{ proxy *proxy.Server }

// newServer loads the config. It ignores the environment, so that a PORT
// variable for another program does not move the demo.
func newServer(config string, log *slog.Logger) (*server, error) {
	p, err := proxy.New(proxy.Options{
		File: config, Logger: log, Version: "demo",
		Client: &http.Client{Transport: newTransport()},
	})
	if err != nil {
		return nil, fmt.Errorf("start the proxy: %w", err)
	}
	return &server{p}, nil
}

// serve loads the address ranges first, so that the proxy can locate the first
// client. Then it serves until ctx is done. It closes the listeners.
func (s *server) serve(ctx context.Context, public, admin net.Listener) error {
	if err := s.proxy.Prepare(ctx); err != nil && ctx.Err() == nil {
		_ = public.Close()
		_ = admin.Close()
		s.proxy.Close()
		return fmt.Errorf("load address ranges: %w", err)
	}
	return s.proxy.Serve(ctx, nil, public, admin)
}

// explain implements explainer.
func (s *server) explain(ctx context.Context, addr netip.Addr, path string) (explanation, error) {
	e, err := s.proxy.Explain(ctx, addr, path)
	if err != nil {
		return explanation{}, err
	}
	if e.Answer.Error != "" {
		return explanation{}, fmt.Errorf("status %d: %s", e.Answer.Status, e.Answer.Error)
	}
	x := explanation{Place: e.Place, Location: e.Answer.Location, Reason: e.Answer.Reason}
	if x.Reason != route.Absent.String() {
		return x, nil
	}
	for _, c := range e.Candidates { // best first
		if c.Taken {
			break
		}
		x.PassedBy = append(x.PassedBy, c.Name)
	}
	return x, nil
}
