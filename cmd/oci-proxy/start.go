package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/lastgood"
	"ociproxy/internal/outbound"
	"ociproxy/internal/proxy"
	"ociproxy/internal/publication/follow"
	"ociproxy/internal/systemd"
)

// The names of passed sockets (FileDescriptorName= of a socket unit). A single socket without a name is for clients.
const clientsSocket, adminSocket = "clients", "admin"

// starting says how serve was called, and what this process inherited.
type starting struct {
	file, level        string // file may be the URL of a publication
	lastGood, fallback string // "" means none
	published          published
	follower           *follow.Follower // nil: file is a file
	sockets            systemd.Sockets
	missed             string // why passed sockets are not for this process
	manager            *systemd.Notifier
	logger             *slog.Logger // of the server that start made
}

// falls reports whether there may be a fallback to start on when the config file cannot be used.
func (how *starting) falls() bool { return how.lastGood != "" || how.fallback != "" }

// start makes a server that listens. It uses the config file. The error of a config with faults is a *config.Errors.
func (a *app) start(ctx context.Context, how *starting) (*proxy.Server, error) {
	cfg, err := a.load(how.file)
	if err != nil {
		return nil, err
	}
	return a.startWith(ctx, how, cfg, nil, nil)
}

// startWith makes a server that listens, with cfg. When from is given, cfg is its config, and why is the reason.
func (a *app) startWith(ctx context.Context, how *starting, cfg *config.Config, from *proxy.Fallback, why error) (*proxy.Server, error) {
	modify := func(c *config.Config) {
		if how.level != "" {
			c.Log.Level = config.LogLevel(how.level)
		}
	}
	modify(cfg)
	logLevel := new(slog.LevelVar)
	if err := logLevel.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return nil, err
	}
	logger := newLogger(a.stderr, logLevel, cfg.Log.Format)
	how.logger = logger
	opt := proxy.Options{
		File: how.file, Logger: logger, Level: logLevel, Env: a.env, Version: thisBuild().Version,
		Modify: modify, Fallback: from, Clients: how.sockets[clientsSocket], Admin: how.sockets[adminSocket],
		Supervisor: how.manager,
	}
	if how.follower != nil {
		how.follower.SetLogger(logger)
		opt.File, opt.Publication, opt.Overrides = "", how.follower, how.follower.Overrides()
	} else if how.lastGood != "" {
		opt.Good = func(c *config.Config) error { return lastgood.Dir(how.lastGood).Keep(c.Text()) }
	}
	server, err := proxy.New(opt)
	if err != nil {
		return nil, err
	}
	if err := server.Listen(ctx); err != nil {
		server.Close()
		return nil, err
	}
	greet(logger, how, cfg, from, why)
	return server, nil
}

// greet logs what the operator must know about the start.
func greet(logger *slog.Logger, how *starting, cfg *config.Config, from *proxy.Fallback, why error) {
	if how.missed != "" {
		logger.Warn("the service manager's sockets are for another process, the server opens its own", "why", how.missed,
			"hint", "a script that starts the server must do so by exec")
	}
	for _, fault := range outbound.EnvironmentFaults() {
		logger.Warn("the environment names no certificates", "error", fault)
	}
	for _, w := range cfg.Warnings {
		logger.Warn("config", "at", w.Error(), "hint", w.Hint)
	}
	if from != nil {
		logger.Error("the config cannot be used, the server starts on a fallback", "file", how.file, "fallback", from.File,
			"hash", cfg.Hash, "error", why.Error(),
			"hint", "repair the config: the server takes it as soon as it is good, without a restart")
	}
}

// fallBack starts on the first fallback that can be used. why is the reason why the config file was not used. Without a
// server, the error says why no fallback can be used; nil: there is none.
func (a *app) fallBack(ctx context.Context, how *starting, why error) (*proxy.Server, error) {
	var faults []error
	if how.follower != nil && !how.follower.Copies() {
		faults = append(faults, fmt.Errorf("%s: its copies do not count, because a key that was revoked has signed the newest", how.lastGood))
	} else if how.lastGood != "" {
		copies, err := lastgood.Dir(how.lastGood).Copies()
		if err != nil {
			faults = append(faults, err)
		}
		if err == nil && len(copies) == 0 {
			faults = append(faults, fmt.Errorf("%s: it has no copy yet", how.lastGood))
		}
		for _, c := range copies {
			// The copy takes the place of the config: its relative file names start at the config's directory.
			dir := "."
			if how.follower == nil {
				dir = filepath.Dir(how.file)
			}
			cfg, err := config.ParseIn(dir, c.File, c.Text)
			if err == nil {
				offerFile(how, dir, c.File, c.Text)
				var server *proxy.Server
				if server, err = a.startWith(ctx, how, cfg, &proxy.Fallback{Config: cfg, File: c.File}, why); err == nil {
					return server, nil
				}
			}
			faults = append(faults, named(c.File, err))
		}
	}
	if how.fallback != "" && !isDir(how.fallback) {
		cfg, err := config.Load(how.fallback)
		if err == nil {
			offerFile(how, filepath.Dir(how.fallback), how.fallback, cfg.Text())
			var server *proxy.Server
			if server, err = a.startWith(ctx, how, cfg, &proxy.Fallback{Config: cfg, File: how.fallback}, why); err == nil {
				return server, nil
			}
		}
		faults = append(faults, named(how.fallback, err))
	}
	return nil, errors.Join(faults...)
}

// named returns err in one line that names file.
func named(file string, err error) error {
	if faults, bad := errors.AsType[*config.Errors](err); bad {
		err = faults.List[0] // it names the file; check reports the others
	}
	if strings.Contains(err.Error(), file) {
		return err
	}
	return fmt.Errorf("%s: %w", file, err)
}

// unstarted adds a hint to the error of a start that failed.
func (a *app) unstarted(how *starting, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && how.missed != "":
		return cli.Fail("the service manager may hold the port for another process ("+how.missed+
			"): a script must start the server by exec", "%w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return cli.Fail("stop the other process, or change listen, admin or PORT", "%w", err)
	case errors.Is(err, syscall.EACCES) && isListen(err):
		return cli.Fail("ports below 1024 need a privilege: use 8080, or give the process CAP_NET_BIND_SERVICE", "%w", err)
	case isListen(err):
		return cli.Fail("check listen and admin in the config, and PORT in the environment", "%w", err)
	}
	return a.invalid(err)
}

// notConfig reports whether no other config would help.
func notConfig(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func isListen(err error) bool {
	op := new(net.OpError)
	return errors.As(err, &op) && op.Op == "listen"
}
