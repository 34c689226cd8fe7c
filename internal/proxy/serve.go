package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/config"
	"ociproxy/internal/listener"
	"ociproxy/internal/ranges"
	"ociproxy/internal/wait"
)

// platformDrain is how long to keep answering after SIGTERM where PORT is set: such platforms kill after 10 s.
const platformDrain = 8 * time.Second

// closeTimeout is when connections that are still busy after the drain are closed. Where PORT is set there is less
// time.
const closeTimeout, platformCloseTimeout = 5 * time.Second, time.Second

// Serve serves on the given listeners until ctx is done, then drains and closes them. admin may be nil. It returns
// nil after an orderly end.
func (s *Server) Serve(ctx context.Context, reload <-chan struct{}, public, admin net.Listener) error {
	w := s.wiring.Load()
	servers := []*http.Server{s.publicServer(w.cfg)}
	listeners := []*listener.Listener{s.publicListener(public, w)}
	if admin != nil {
		servers = append(servers, s.adminServer())
		listeners = append(listeners, s.adminListener(admin))
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx by the drain
	defer stop()
	g, work := errgroup.WithContext(work)
	for i, srv := range servers {
		g.Go(func() error {
			if err := srv.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	g.Go(func() error { s.refreshRanges(work); return nil })
	g.Go(func() error { s.health.Run(work); return nil })
	g.Go(func() error { s.watchPlaces(work); return nil })
	g.Go(func() error { s.keepWarm(work); return nil })
	g.Go(func() error { s.inventories.Run(work); return nil })
	g.Go(func() error { s.watchInventories(work); return nil })
	g.Go(func() error { s.weighEvidence(work); return nil })
	g.Go(func() error { s.savePaths(work, pathsFile(s.wiring.Load().cfg)); return nil })
	g.Go(func() error {
		if s.fallback.Load() == nil {
			s.settled(w.cfg) // it writes to a disk; that must not delay the end of the server
		}
		return s.watch(work, reload)
	})
	g.Go(func() error { s.announce(work); return nil })
	g.Go(func() error { s.look(work); return nil })
	g.Go(func() error { s.console.Run(work); return nil })
	if p := s.opt.Publication; p != nil {
		g.Go(func() error { p.Run(work, s.SetOverrides); return nil })
	}
	s.log.Info("serving", "listen", public.Addr().String(), "admin", addrOf(admin), "config", w.cfg.Hash, "generation", w.from.generation, "ring", w.from.ring,
		"candidates", len(w.snapshot.Candidates))
	g.Go(func() error {
		select {
		case <-ctx.Done():
			s.drain(work, w.cfg)
		case <-work.Done(): // a listener failed
		}
		s.shutdown(servers, listeners)
		stop()
		return nil
	})
	err := g.Wait()
	s.Close()
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// drain reports "not ready" at once and keeps answering until the load balancer has had time to notice. Each answer
// closes its connection. Idle connections stay open, because a balancer may be about to use them.
func (s *Server) drain(ctx context.Context, cfg *config.Config) {
	s.draining.Store(true)
	long := cfg.Limits.Drain
	if s.opt.Env("PORT") != "" {
		long = min(long, platformDrain)
	}
	s.log.Info("draining", "for", long.String())
	s.opt.Supervisor.Stopping("draining for " + long.String())
	_ = wait.For(ctx, long) // ends early if a listener fails
}

// shutdown ends the servers. First it answers every request of the accepted connections, then it closes the idle
// connections.
func (s *Server) shutdown(servers []*http.Server, listeners []*listener.Listener) {
	limit := closeTimeout
	if s.opt.Env("PORT") != "" {
		limit = platformCloseTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	answered, enough := context.WithTimeout(ctx, limit*3/5) // HTTP/2 needs the rest to say goodbye by a frame
	defer enough()
	s.console.Close() // its streams would last
	for _, l := range listeners {
		l.Finish(answered)
	}
	for _, srv := range servers {
		if srv.Shutdown(ctx) != nil {
			srv.Close()
		}
	}
	s.log.Info("stopped")
}

// HTTPServer returns a server with every limit set. It speaks HTTP/1, HTTP/2 and unencrypted HTTP/2 by prior
// knowledge, which load balancers use to backends. It has no TimeoutHandler: no handler waits longer than the bounds
// of relays and checks. Benchmarks use the same server with other handlers.
func HTTPServer(limits config.Limits, handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: limits.ReadHeaderTimeout,
		ReadTimeout:       limits.ReadTimeout,
		WriteTimeout:      limits.WriteTimeout,
		IdleTimeout:       limits.IdleTimeout,
		MaxHeaderBytes:    limits.HeaderBytes,
		Protocols:         protocols,
		// OPTIONS is not allowed here, not even for "*".
		DisableGeneralOptionsHandler: true,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: limits.MaxStreams},
	}
}

// refreshRanges keeps the feeds of the wiring in use fresh until ctx is done.
func (s *Server) refreshRanges(ctx context.Context) {
	for ctx.Err() == nil {
		current := s.wiring.Load().ranges
		sub, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); current.Run(sub) }()
		s.whileCurrent(ctx, current)
		cancel()
		<-done
	}
}

// whileCurrent returns when a reload has replaced r or ctx is done.
func (s *Server) whileCurrent(ctx context.Context, r *ranges.Ranges) {
	_ = wait.Until(ctx, time.Second, func() bool { return s.wiring.Load().ranges != r })
}
