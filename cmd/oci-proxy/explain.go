package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/proxy"
)

// explanations holds the flags of explain.
type explanations struct {
	file, ip, host string
	feeds          []string
	timeout        time.Duration
	from           published
}

func (a *app) explain() *cobra.Command {
	var e explanations
	cmd := &cobra.Command{
		Use:   "explain --ip ADDRESS [PATH]",
		Short: "Explain where a client would be sent, and why",
		Long: `explain finds the place of an address as the server does. It shows every store and upstream with
its round trip, price and score, and why the server takes it or not. PATH is the path that the
client requests. Without PATH, explain assumes a blob that all candidates hold: it shows the
ranking and sends no request to a candidate. For a config with direct names, --host says which
name of the registry the client uses.

--ip - reads addresses from stdin, one a line. With --output json each address gives one line.
explain fetches the feeds of the config. With --feed it reads a feed from a file instead: the
config's feed of that provider (for a geofeed: of that cloud). It adds the feed when the config has
none. When it cannot get a feed in time, it says so and answers without that feed.

A running server sends an address past its nearest candidate when the address asks for a blob again.
explain knows of that only what the server has saved in ranges.cache. /explain on the server's admin
port knows all of it.`,
		Example: `  oci-proxy explain --config config.yaml --ip 192.0.2.7
  oci-proxy explain --config config.yaml --ip 2001:db8::7 /v2/pause/manifests/3.10
  oci-proxy explain --config config.yaml --ip 192.0.2.7 --host direct.registry.example.org
  oci-proxy explain --config config.yaml --feed aws=ip-ranges.json --feed gcp=cloud.json --ip - --output json < addresses`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			if len(args) > 0 {
				path = args[0]
			}
			if e.ip == "" {
				return cli.Usage("give the client's address with --ip, or --ip - and addresses on stdin", "--ip is missing")
			}
			if path != "" && !strings.HasPrefix(path, "/") {
				return cli.Usage("for example /v2/pause/manifests/latest", "path %q does not begin with /", path)
			}
			return a.runExplain(cmd.Context(), e, path)
		},
	}
	cli.ConfigFlag(cmd, &e.file, a.env)
	f := cmd.Flags()
	a.publicationFlags(cmd, &e.from)
	f.StringVar(&e.ip, "ip", "", "the client's `address`; - reads addresses from stdin")
	f.StringVar(&e.host, "host", "", "`name` of the registry that the client uses")
	f.StringArrayVar(&e.feeds, "feed", nil, "`provider=FILE`: read this feed from a file; may be repeated")
	f.DurationVar(&e.timeout, "feed-timeout", 15*time.Second, "`time` limit for fetching the feeds")
	cli.FormerFlag(cmd, "timeout", "feed-timeout")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func (a *app) runExplain(ctx context.Context, e explanations, path string) error {
	var single netip.Addr
	if e.ip != "-" {
		var err error
		if single, err = netip.ParseAddr(e.ip); err != nil {
			return cli.Usage("for example 192.0.2.7 or 2001:db8::7", "--ip %q is no address", e.ip)
		}
	}
	if e.file == "-" {
		return cli.Usage("give the config as a file", "explain does not read the config from stdin")
	}
	cfg, overrides, err := a.read(ctx, e.file, &e.from)
	if err != nil {
		return a.invalid(err)
	}
	if err := giveFeeds(cfg, e.feeds); err != nil {
		return err
	}
	server, err := proxy.New(proxy.Options{Config: cfg, Overrides: overrides, Env: a.env, Version: thisBuild().Version})
	if err != nil {
		return err
	}
	defer server.Close()
	a.prepare(ctx, server, e.timeout)
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.ip != "-" {
		return a.explainOne(ctx, server, single, e.host, path)
	}
	return a.explainAll(ctx, server, e.host, path)
}

// prepare loads the feeds within the timeout and prints which feeds it could not get.
func (a *app) prepare(ctx context.Context, server *proxy.Server, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := server.Prepare(ctx)
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.stderr, "warning: %s\n", cli.OneLine(strings.TrimSpace(line)))
	}
	fmt.Fprintln(a.stderr, "hint: give a file with --feed provider=FILE; the answers below are made without it")
}

func (a *app) explainOne(ctx context.Context, server *proxy.Server, addr netip.Addr, host, path string) error {
	ex, err := server.ExplainHost(ctx, addr, host, path)
	if err != nil {
		return cli.Usage("for example /v2/pause/manifests/latest", "%w", err)
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, ex)
	}
	return ex.WriteText(a.stdout)
}

// explainAll answers each line of stdin. If a line is not an address, the answer is an error, and the command exits
// with 1 after the last line.
func (a *app) explainAll(ctx context.Context, server *proxy.Server, host, path string) error {
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	bad, first := 0, true
	lines := bufio.NewScanner(a.stdin)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, out.Flush())
		}
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		ok, err := a.explainLine(ctx, out, server, text, host, path, first)
		if err != nil {
			return err
		}
		if !ok {
			bad++
		}
		first = false
	}
	if err := errors.Join(lines.Err(), out.Flush()); err != nil {
		return err
	}
	if bad > 0 {
		return cli.Fail("each line holds one address and nothing else", "stdin: %s could not be explained", english.Plural(bad, "line", ""))
	}
	return nil
}

func (a *app) explainLine(
	ctx context.Context, w io.Writer, server *proxy.Server, text, host, path string, first bool,
) (ok bool, err error) {
	var ex *proxy.Explanation
	addr, fault := netip.ParseAddr(text)
	if fault != nil {
		fault = errors.New("no IP address")
	} else {
		ex, fault = server.ExplainHost(ctx, addr, host, path)
	}
	switch {
	case a.format == cli.JSON && fault != nil:
		return false, cli.WriteJSONLine(w, map[string]string{"address": text, "error": fault.Error()})
	case a.format == cli.JSON:
		return true, cli.WriteJSONLine(w, ex)
	case fault != nil:
		_, err = fmt.Fprintf(a.stderr, "oci-proxy: %s: %v\n", cli.OneLine(text), fault)
		return false, err
	}
	if !first {
		if _, err := fmt.Fprintln(w); err != nil {
			return false, err
		}
	}
	return true, ex.WriteText(w)
}
