package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/health"
	"ociproxy/internal/inventory"
	"ociproxy/internal/metrics"
	"ociproxy/internal/outbound"
	"ociproxy/internal/reach"
)

// Options configure a [Server].
type Options struct {
	// File is the configuration file, which the server watches and reloads; with "" it uses Config and never reloads.
	File string
	// Config is used when File is empty.
	Config *config.Config
	// Logger receives operational messages and the request log; nil discards them.
	Logger *slog.Logger
	// Level, when given, follows the configuration's log level and /log-level of the admin port.
	Level *slog.LevelVar
	// Env reads the environment (PORT); nil for an empty one.
	Env func(string) string
	// Version is the build's version, for metrics.
	Version string
	// Client makes all outbound requests (feeds, existence checks, relays); nil for one with sensible bounds.
	Client *http.Client
	// Modify, when given, changes each configuration after it is loaded (flags of a command line).
	Modify func(*config.Config)
}

// Server is the public server. Several can run in one process.
type Server struct {
	opt      Options
	log      *slog.Logger
	metrics  *metrics.Metrics
	checker  *existence.Checker
	health   *health.Monitor
	reach    *reach.Table
	evidence *reach.Evidence
	stays    *stays
	again    *again
	repeated afterwards // limits checks of repeated requests

	inventories *inventory.Follower
	afterwards  afterwards
	started     time.Time
	loaded      atomic.Bool // readiness does not wait for inventories any more
	client      *http.Client
	relays      *relays

	// Only the loading goroutine uses these fields: the state of the files that were read last, and the last config
	// that was parsed, in use or not.
	seen  [sha256.Size]byte
	tried *config.Config
	// together is how long changed files that do not fit may wait for other files. Tests shorten it.
	together time.Duration

	began    *config.Config // the configuration of the start
	wiring   atomic.Pointer[wiring]
	draining atomic.Bool
}

// New loads the configuration and builds the first wiring. It makes no outbound request.
func New(opt Options) (*Server, error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Env == nil {
		opt.Env = func(string) string { return "" }
	}
	if opt.Client == nil {
		opt.Client = newClient()
	}
	s := &Server{opt: opt, log: opt.Logger, client: opt.Client, relays: newRelays(), stays: newStays(), again: newAgain(), started: time.Now(), together: together}
	s.metrics = metrics.New(opt.Version)
	cfg, err := s.load()
	if err != nil {
		return nil, err
	}
	if dir := cfg.Ranges.Cache; dir != "" {
		atomicfile.SweepTree(dir)
	}
	s.reach, s.evidence = reach.New(), reach.NewEvidence()
	s.checker, err = existence.New(existence.Options{
		Client: s.client, Budget: cfg.Limits.CheckTimeout,
		Observe: s.observeCheck, Turned: s.turned,
	})
	if err != nil {
		return nil, err
	}
	w, err := s.build(cfg, nil)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.began, s.health = cfg, s.newHealth(w)
	s.inventories = inventory.NewFollower(inventory.Options{
		Dir: inventoryDir(cfg), Client: s.client, Logger: s.log,
		MaxStoreRecords: int64(cfg.Limits.StoreRecords), MaxDigests: int64(cfg.Limits.Digests),
	})
	if err := s.publish(w); err != nil {
		s.Close()
		return nil, err
	}
	s.loadPaths(pathsFile(cfg))
	s.inventories.Load() // last good copies: a restart must not depend on the stores
	return s, nil
}

// outboundConnections is how many connections to one host may be open.
const outboundConnections = 64

// newClient returns the outbound client, with bounded connections and a time-out at every step.
func newClient() *http.Client {
	return &http.Client{
		Transport: outbound.New(outbound.Options{
			Dial: 3 * time.Second, Handshake: 5 * time.Second, Header: 30 * time.Second, Idle: 90 * time.Second,
			Connections: outboundConnections, Kept: 32 /* as many checks as one origin gets at once */, KeptInAll: 256, HeaderBytes: 64 << 10, Decompress: true,
		}),
	}
}

func (s *Server) load() (*config.Config, error) {
	cfg := s.opt.Config
	if s.opt.File != "" {
		s.seen = s.fileState(s.files(), "")
		var err error
		if cfg, err = config.Load(s.opt.File); err != nil {
			return nil, err
		}
		// The server has seen what it parsed, whatever happened to the file since.
		s.tried = cfg
		s.seen = s.fileState(s.files(), cfg.Hash)
	}
	if cfg == nil {
		return nil, errors.New("proxy: no configuration")
	}
	if s.opt.Modify != nil {
		s.opt.Modify(cfg)
	}
	return cfg, nil
}

// publish makes w the wiring that requests use.
func (s *Server) publish(w *wiring) error {
	var err error
	if w.live, err = s.inventories.Follow(w.inventories()); err != nil {
		return err
	}
	w.health = s.health.SetTargets(s.targets(w))
	old := s.wiring.Swap(w)
	s.forgetRemoved(old, w)
	s.checker.Renew()
	s.keepPaths(w)
	s.metrics.ConfigInfo.Reset()
	s.metrics.ConfigInfo.WithLabelValues(w.cfg.Hash).Set(1)
	s.metrics.ConfigLoaded.SetToCurrentTime()
	if s.opt.Level != nil {
		// Package config has checked the level's name.
		_ = setLevel(s.opt.Level, string(w.cfg.Log.Level))
	}
	return nil
}

// Metrics returns the server's metrics, on its own Prometheus registry.
func (s *Server) Metrics() *metrics.Metrics { return s.metrics }

// Prepare makes one pass over the feeds without serving, for `explain` on the command line. The error lists the feeds
// that it could not refresh; the others are in use.
func (s *Server) Prepare(ctx context.Context) error { return s.wiring.Load().ranges.Refresh(ctx) }

// Close frees what New took, for a server that does not run.
func (s *Server) Close() {
	s.checker.Close()
	s.client.CloseIdleConnections()
}

// Run listens on the configured addresses, serves until ctx is done, and then drains. A value on reload loads the
// configuration again.
func (s *Server) Run(ctx context.Context, reload <-chan struct{}) error {
	public, admin, err := s.listen(ctx)
	if err != nil {
		s.Close()
		return err
	}
	return s.Serve(ctx, reload, public, admin)
}

func (s *Server) listen(ctx context.Context) (public, admin net.Listener, err error) {
	cfg := s.wiring.Load().cfg
	addr, err := publicAddress(cfg.Listen, s.opt.Env("PORT"))
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	if public, err = lc.Listen(ctx, "tcp", addr); err != nil {
		return nil, nil, fmt.Errorf("public port: %w", err)
	}
	if cfg.Admin.Listen == "" {
		return public, nil, nil
	}
	if admin, err = lc.Listen(ctx, "tcp", cfg.Admin.Listen); err != nil {
		_ = public.Close()
		return nil, nil, fmt.Errorf("admin port: %w", err)
	}
	return public, admin, nil
}

// publicAddress returns listen with the port that the platform's PORT asks for.
func publicAddress(listen, port string) (string, error) {
	if port == "" {
		return listen, nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("listen %q: %w", listen, err)
	}
	return net.JoinHostPort(host, port), nil
}
