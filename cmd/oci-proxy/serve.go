package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/lastgood"
	"ociproxy/internal/proxy"
	"ociproxy/internal/systemd"
)

func (a *app) serve() *cobra.Command {
	how := &starting{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `serve runs the server until SIGTERM or SIGINT. Then /-/ready answers 503, the server keeps
answering for limits.drain (default 20s), and the process ends with 0.

SIGHUP, or a change of the config file, reloads the config. A file with errors changes nothing: the
log says what is wrong. Log lines go to stderr.

PORT in the environment overrides the port of listen. Platforms such as Cloud Run set it.

systemd, or another manager that speaks its protocol (LISTEN_FDS), can hold the sockets: give them
the names clients and admin (FileDescriptorName=). Then a restart loses no connection. The server
uses a passed socket in place of listen or admin of the config. It tells the manager when it is
ready, reloads and stops (NOTIFY_SOCKET, Type=notify-reload).

With --last-good the server keeps copies of the last configs that worked. When it cannot start on
the config file, it starts on the newest copy that it can use, then on --config-fallback, and says
so in the log and in the metrics. It takes the config file as soon as that is repaired.

--config may be the https URL of a publication, ending in /. Then --deployment and --config-key say
what the server believes, and --ring which config of it the server follows. It asks every 15 seconds
and takes a new config without a restart. What is unsigned, old or faulty changes nothing. See
docs/publication.md.`,
		Example: `  oci-proxy serve --config config.yaml
  oci-proxy serve --config config.yaml --last-good /var/lib/oci-proxy
  oci-proxy serve --config /config/proxy.yaml --config-fallback /previous/proxy.yaml
  oci-proxy serve --config https://storage.example.org/config/ --deployment prod --ring canary --config-key BASE64
  PORT=8080 OCI_PROXY_CONFIG=/config/proxy.yaml oci-proxy serve
  systemd-socket-activate -l 8080 --fdname=clients oci-proxy serve --config config.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usage("give the config as --config FILE", "serve takes no argument, and got %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if how.level != "" && !slices.Contains(levels(), how.level) {
				return cli.Usage("want debug, info, warn or error", "--log-level %q is no level", how.level)
			}
			return a.runServe(cmd.Context(), how)
		},
	}
	cli.ConfigFlag(cmd, &how.file, a.env)
	f := cmd.Flags()
	f.StringVar(&how.lastGood, "last-good", a.env(lastGoodVariable),
		"`directory` for copies of the configs that worked; the environment variable "+lastGoodVariable+
			" changes the default")
	f.StringVar(&how.fallback, "config-fallback", cmp.Or(a.env(configFallbackVariable), a.env(fallbackVariable)),
		"config `file` to start on when neither --config nor a copy of --last-good can be used, or a directory that "+
			"oci-proxyctl config export wrote; the environment variable "+configFallbackVariable+" changes the default")
	cli.FormerFlag(cmd, "fallback", "config-fallback")
	a.publicationFlags(cmd, &how.published)
	_ = cmd.MarkFlagDirname("last-good")
	_ = cmd.MarkFlagFilename("config-fallback", "yaml", "yml")
	f.StringVar(&how.level, "log-level", "",
		"lowest `level` that is logged: debug, info, warn or error; default: log.level of the config")
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(levels(), cobra.ShellCompDirectiveNoFileComp))
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "stopped cleanly by a signal"}, cli.Invalid)
	return cmd
}

// The environment variables that change the defaults of flags.
const (
	lastGoodVariable       = "OCI_PROXY_LAST_GOOD"
	configFallbackVariable = "OCI_PROXY_CONFIG_FALLBACK"
	fallbackVariable       = "OCI_PROXY_FALLBACK" // the former name
)

func levels() []string { return config.LogLevel("").Values() }

func (a *app) runServe(ctx context.Context, how *starting) error {
	listening, done := context.WithCancel(context.WithoutCancel(ctx)) // including the drain
	defer done()
	reload := hangups(listening) // first, because an uncaught SIGHUP ends the process
	how.manager = systemd.NewNotifier(a.env, func(err error) {
		how.logger.Warn("the service manager was not told what the server does", "error", err.Error())
	})
	how.missed = systemd.Missed(a.env)
	var err error
	if how.sockets, err = systemd.Inherit(clientsSocket, adminSocket); err != nil {
		return cli.Fail("change the socket unit: name its sockets clients and admin", "%w", err)
	}
	defer how.sockets.Close()
	if how.lastGood != "" {
		lastgood.Dir(how.lastGood).Sweep()
	}
	var server *proxy.Server
	if isURL(how.file) {
		if server, err = a.startPublished(ctx, how); err != nil {
			return a.unstarted(how, err)
		}
		return server.Run(ctx, reload)
	}
	server, err = a.start(ctx, how)
	if err != nil && how.falls() && !errors.Is(err, syscall.EADDRINUSE) { // a port in use is no fault of the config
		var none error
		if server, none = a.fallBack(ctx, how, err); none != nil {
			fmt.Fprintf(a.stderr, "oci-proxy: no fallback can be used either:\n%s\n", none)
		} else {
			err = nil
		}
	}
	if err != nil {
		return a.unstarted(how, err)
	}
	return server.Run(ctx, reload)
}

// newLogger returns a logger that writes to w in the config's format. level may change while the logger is in use.
func newLogger(w io.Writer, level slog.Leveler, format config.LogFormat) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
