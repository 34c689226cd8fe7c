package proxy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/config"
	"ociproxy/internal/console"
	"ociproxy/internal/console/record"
	"ociproxy/internal/console/routing"
	"ociproxy/internal/existence"
	"ociproxy/internal/health"
	"ociproxy/internal/inventory"
	"ociproxy/internal/metrics"
	"ociproxy/internal/outbound"
	"ociproxy/internal/override"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/follow"
	"ociproxy/internal/ranges"
	"ociproxy/internal/reach"
)

// Options configure a [Server].
type Options struct {
	// File is the configuration file, which the server watches and reloads.
	File string
	// Publication, when given, takes the place of File. The server runs it. Relative file names in its configurations
	// start at the working directory.
	Publication *follow.Follower
	// Config is used, and never reloaded, when there is neither File nor Publication.
	Config *config.Config
	// Logger receives operational messages and the request log; nil discards them.
	Logger *slog.Logger
	// Level, when given, follows the configuration's log level and /log-level of the admin port.
	Level *slog.LevelVar
	// Env reads the environment (PORT, OCI_PROXY_SEED); nil for an empty one.
	Env func(string) string
	// Version is the build's version, for metrics.
	Version string
	// Client makes all outbound requests (feeds, existence checks, relays); nil for one with sensible bounds.
	Client *http.Client
	// Modify, when given, changes each configuration after it is loaded (flags of a command line).
	Modify func(*config.Config)
	// Fallback, when given, is the configuration to start on, because neither File nor Publication can be used. The
	// server takes these as soon as it can.
	Fallback *Fallback
	// Good, when given, gets each configuration from File with which the server has listened and served. It keeps a
	// copy.
	Good func(*config.Config) error
	// Clients and Admin, when given, replace the sockets on the addresses of the configuration.
	Clients, Admin net.Listener
	// Overrides, when given, hold from the start. [Server.SetOverrides] replaces them.
	Overrides *publication.Overrides
	// Supervisor, when given, gets reports of what the server does.
	Supervisor Supervisor
}

// Server is the public server. Several can run in one process.
type Server struct {
	opt      Options
	source   source
	log      *slog.Logger
	metrics  *metrics.Metrics
	checker  *existence.Checker
	health   *health.Monitor
	reach    *reach.Table
	evidence *reach.Evidence
	stays    *stays
	again    *again
	begun    *begun
	repeated afterwards // limits checks of repeated requests
	tags     tagMemory

	overrides atomic.Pointer[publication.Overrides]
	changed   chan struct{} // has a value when overrides is news
	returning atomic.Pointer[[]override.Return]

	inventories *inventory.Follower
	afterwards  afterwards
	started     time.Time
	loaded      atomic.Bool // readiness does not wait for inventories any more
	client      *http.Client
	relays      *relays

	recorder record.Recorder
	console  *console.Handler
	facts    *routing.Facts // only the goroutine that takes samples uses it

	// Only the loading goroutine uses these fields: the state of the files that were read last, and the last config
	// that was parsed, in use or not.
	seen  [sha256.Size]byte
	tried *config.Config
	from  provenance // of tried
	// returns follows the candidates that overrides keep out. warned has the overrides whose end was announced. behind
	// says that overrides are not followed yet, because the wiring could not be built.
	returns override.Returns
	warned  map[string]time.Time
	behind  bool
	// together is how long changed files that do not fit may wait for other files. Tests shorten it.
	together time.Duration

	began    *config.Config // the configuration of the start
	wiring   atomic.Pointer[wiring]
	draining atomic.Bool
	fallback atomic.Pointer[Fallback] // the server started on it instead of the source's; nil when that is good
	refusing atomic.Bool              // what the source has is refused, and another configuration is in use
	refusal  atomic.Pointer[string]   // why, the last time; nil: not known

	public, admin net.Listener // set when Listen has returned
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
	if opt.Supervisor == nil {
		opt.Supervisor = nobody{}
	}
	s := &Server{opt: opt, log: opt.Logger, client: opt.Client, relays: newRelays(), stays: newStays(), again: newAgain(), begun: newBegun(),
		started: time.Now(), together: together, changed: make(chan struct{}, 1), warned: map[string]time.Time{}}
	s.overrides.Store(opt.Overrides)
	s.source, s.metrics = newSource(&s.opt), metrics.New(opt.Version)
	if opt.Publication != nil {
		s.metrics.FollowPublication(publicationState(opt.Publication))
	}
	cfg, err := s.first()
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
	w, err := s.wire(cfg, nil)
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
	s.source.loaded(nil)
	s.loadPaths(pathsFile(cfg))
	s.inventories.Load() // last good copies: a restart must not depend on the stores
	s.console = console.New(console.Options{Source: &s.recorder, Explainer: s.Box()})
	s.observe(time.Now())
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

// first returns the configuration to start on. With a fallback in place of a file it does not record the state of the
// files, so the server reads File again as soon as it watches it. A publication offers its fallback itself.
func (s *Server) first() (*config.Config, error) {
	from := s.opt.Fallback
	if from == nil {
		return s.load()
	}
	s.fallback.Store(from)
	s.refusing.Store(true)
	s.metrics.StartedOnFallback()
	if s.opt.Publication != nil {
		return s.load()
	}
	return s.modified(from.Config), nil
}

func (s *Server) modified(cfg *config.Config) *config.Config {
	cfg.DefaultSeed(s.opt.Env(config.SeedVariable))
	if s.opt.Modify != nil {
		s.opt.Modify(cfg)
	}
	return cfg
}

func (s *Server) load() (*config.Config, error) {
	s.seen = s.fileState(s.files(), "")
	cfg, from, err := s.source.load()
	if err != nil {
		return nil, err
	}
	// The server has seen what it parsed, whatever happened to the file since.
	s.tried, s.from = cfg, from
	s.seen = s.fileState(s.files(), cfg.Hash)
	return s.modified(cfg), nil
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
	s.noteOverrides(old, w)
	s.checker.Renew()
	s.keepPaths(w)
	s.metrics.ConfigInfo.Reset()
	s.metrics.ConfigInfo.WithLabelValues(w.cfg.Hash, w.from.String(), w.from.ring, w.from.deployment).Set(1)
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

// Table returns the address ranges in use.
func (s *Server) Table() *ranges.Table { return s.wiring.Load().ranges.Table() }

// Close frees what New took, for a server that does not run.
func (s *Server) Close() {
	s.checker.Close()
	s.client.CloseIdleConnections()
}

// Run listens on the configured addresses unless Listen was called before, serves until ctx is done, and then drains. A
// value on reload loads the configuration again.
func (s *Server) Run(ctx context.Context, reload <-chan struct{}) error {
	if s.public == nil {
		if err := s.Listen(ctx); err != nil {
			s.Close()
			return err
		}
	}
	return s.Serve(ctx, reload, s.public, s.admin)
}

// Listen opens the ports, so that an error of an address shows before Run. Call Run afterwards; it closes the ports.
func (s *Server) Listen(ctx context.Context) error {
	cfg := s.wiring.Load().cfg
	addr, err := publicAddress(cfg.Listen, s.opt.Env("PORT"))
	if err != nil {
		return err
	}
	public, err := s.open(ctx, "public", keyListen, addr, s.opt.Clients)
	if err != nil {
		return err
	}
	if cfg.Admin.Listen != "" || s.opt.Admin != nil {
		if s.admin, err = s.open(ctx, "admin", keyAdmin, cfg.Admin.Listen, s.opt.Admin); err != nil {
			if s.opt.Clients == nil {
				_ = public.Close()
			}
			return err
		}
	}
	s.public = public
	return nil
}

// open returns the passed socket of a port. Without one, it opens a socket.
func (s *Server) open(ctx context.Context, port, key, addr string, passed net.Listener) (net.Listener, error) {
	if passed != nil {
		s.log.Info("the service manager's socket is used, and not the address of the config", "port", port,
			"address", passed.Addr().String(), "key", key, "config", addr)
		return passed, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s port: %w", port, err)
	}
	return l, nil
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
