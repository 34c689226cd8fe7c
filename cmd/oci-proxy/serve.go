package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/outbound"
	"ociproxy/internal/proxy"
)

func (a *app) serve() *cobra.Command {
	var file, level string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `serve runs the server until SIGTERM or SIGINT. Then /-/ready answers 503, the server keeps
answering for limits.drain (default 20s), and the process ends with 0.

SIGHUP, or a change of the config file, reloads the config. A file with errors changes nothing: the
log says what is wrong. Log lines go to stderr.

PORT in the environment overrides the port of listen. Platforms such as Cloud Run set it.`,
		Example: `  oci-proxy serve --config config.yaml
  PORT=8080 OCI_PROXY_CONFIG=/config/proxy.yaml oci-proxy serve`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usage("give the config as --config FILE", "serve takes no argument, and got %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if level != "" && !slices.Contains(levels(), level) {
				return cli.Usage("want debug, info, warn or error", "--log-level %q is no level", level)
			}
			return a.runServe(cmd.Context(), file, level)
		},
	}
	cli.ConfigFlag(cmd, &file, a.env)
	cmd.Flags().StringVar(&level, "log-level", "", "lowest `level` that is logged: debug, info, warn or error; default: log.level of the config")
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(levels(), cobra.ShellCompDirectiveNoFileComp))
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "stopped by a signal, in order"}, cli.Invalid)
	return cmd
}

func levels() []string { return config.LogLevel("").Values() }

func (a *app) runServe(ctx context.Context, file, level string) error {
	listening, done := context.WithCancel(context.WithoutCancel(ctx)) // including the drain
	defer done()
	reload := hangups(listening) // first, because an uncaught SIGHUP ends the process
	cfg, err := a.load(file)
	if err != nil {
		return a.invalid(err)
	}
	if level != "" {
		cfg.Log.Level = config.LogLevel(level)
	}
	logLevel := new(slog.LevelVar)
	if err := logLevel.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return err
	}
	logger := newLogger(a.stderr, logLevel, cfg.Log.Format)
	for _, fault := range outbound.EnvironmentFaults() {
		logger.Warn("the environment names no certificates", "error", fault)
	}
	for _, w := range cfg.Warnings {
		logger.Warn("config", "at", w.Error(), "hint", w.Hint)
	}
	server, err := proxy.New(proxy.Options{
		File: file, Logger: logger, Level: logLevel, Env: a.env, Version: thisBuild().Version,
		Modify: func(c *config.Config) {
			if level != "" {
				c.Log.Level = config.LogLevel(level)
			}
		},
	})
	if err != nil {
		return a.invalid(err)
	}
	err = server.Run(ctx, reload)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return cli.Fail("stop the other process, or change listen, admin or PORT", "%w", err)
	case errors.Is(err, syscall.EACCES):
		return cli.Fail("ports below 1024 need a privilege: use 8080, or give the process CAP_NET_BIND_SERVICE", "%w", err)
	}
	if op := new(net.OpError); errors.As(err, &op) && op.Op == "listen" {
		return cli.Fail("check listen and admin in the config, and PORT in the environment", "%w", err)
	}
	return err
}

// newLogger returns a logger that writes to w in the config's format. level may change while the logger is in use.
func newLogger(w io.Writer, level slog.Leveler, format config.LogFormat) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
