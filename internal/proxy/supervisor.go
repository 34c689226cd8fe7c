package proxy

import (
	"context"
	"slices"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/wait"
)

// Supervisor gets reports of what the server does. A service manager is an example. Each status is one line for people.
// Several goroutines call the methods at once, so the methods must not block for long.
type Supervisor interface {
	// The server calls Ready once, when it wants traffic.
	Ready(status string)
	// The server calls Reloading before each reload, and Reloaded after it, whatever the result is.
	Reloading()
	Reloaded(status string)
	// The server calls Stopping when it begins to drain.
	Stopping(status string)
}

// nobody is the supervisor of a server that has none.
type nobody struct{}

func (nobody) Ready(string)    {}
func (nobody) Reloading()      {}
func (nobody) Reloaded(string) {}
func (nobody) Stopping(string) {}

// readyEvery is how often the server checks whether it is ready.
const readyEvery = 50 * time.Millisecond

// announce reports to the supervisor that the server is ready, as soon as it is. That takes 10 s at most, because ready
// waits no longer for inventories.
func (s *Server) announce(ctx context.Context) {
	if wait.Until(ctx, readyEvery, s.ready) == nil && !s.draining.Load() {
		s.opt.Supervisor.Ready(s.status())
	}
}

// status says in one line which configuration the server uses.
func (s *Server) status() string {
	hash := s.wiring.Load().cfg.Hash
	text := "serving, config " + hash[:min(len(hash), 12)]
	if from := s.fallback.Load(); from != nil {
		text = "serving on the fallback " + from.File + ": " + s.source.String() + " could not be used at the start"
	}
	if s.refusing.Load() {
		text += "; the config of " + s.source.String() + " is refused: see the log"
	}
	return text
}

// Fallback is a configuration to start on when the source of the server's configurations cannot be used.
type Fallback struct {
	Config *config.Config
	File   string // where it was read from
}

// needRestart returns the keys whose new values in cfg need a restart.
func (s *Server) needRestart(cfg *config.Config) []string {
	return slices.DeleteFunc(restartKeys(s.began, cfg), func(key string) bool {
		// Passed sockets have their own addresses.
		return key == keyListen && s.opt.Clients != nil || key == keyAdmin && s.opt.Admin != nil
	})
}

// settled notes that cfg, from the source, is in use. When a restart must still prove that the server can listen on new
// addresses of cfg, settled does nothing. Otherwise cfg is good: a fallback is over, and a copy of cfg may be kept.
func (s *Server) settled(cfg *config.Config) {
	if keys := s.needRestart(cfg); slices.Contains(keys, keyListen) || slices.Contains(keys, keyAdmin) {
		return
	}
	if s.opt.Publication != nil && s.from.generation == 0 {
		return // the fallback itself was loaded again
	}
	s.fallback.Store(nil)
	s.metrics.ConfigFallback.Set(0)
	err := s.source.good(cfg)
	s.metrics.ConfigCopyFailing.Set(boolGauge(err != nil))
	if err != nil {
		s.log.Error("no copy of the good config was kept: the server cannot fall back to it", "error", err.Error())
	}
}
