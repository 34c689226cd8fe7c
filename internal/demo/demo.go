package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/wait"
)

// DefaultListen is the default address of the demo's proxy.
const DefaultListen = "127.0.0.1:5050"

// onceTimeout bounds Run with Once. Such a run takes well under a second.
const onceTimeout = 2 * time.Minute

// Options say how to run the demo. The zero value runs it on DefaultListen
// until the context is done and prints nothing.
type Options struct {
	// Once pulls the sample image as the seven clients of the scenario, reports
	// and ends. Without Once the demo serves until the context is done.
	Once bool
	// Fail names a store that fails and recovers while clients pull. Then Run reports and ends.
	Fail string
	// Listen is the proxy's address, which must be on loopback. Default:
	// DefaultListen, or any free port if that one is in use or Once or Fail is
	// set.
	Listen string
	// Published is for a container. The demo listens on every address, on fixed ports that start at the port of Listen.
	// The container's host publishes them on its loopback under the same numbers. Published excludes Once and Fail,
	// which need no ports outside.
	Published bool
	// Idle keeps a serving demo from pulling by itself. Otherwise its clients pull all the time, so that there is
	// something to see in the console.
	Idle bool
	// Stdin is where a person types names of stores while the demo serves. A name stops the store, or starts it again.
	// Run does not wait for a read that is under way when ctx is done. Nil: nobody types.
	Stdin io.Reader
	// Stdout gets the report. A serving demo writes what to try, and then a
	// line for each piece that an upstream or store has sent. Default: nowhere.
	Stdout io.Writer
	// Stderr gets warnings and the proxy's log. Default: nowhere.
	Stderr io.Writer
	// Output is "text" (default) or "json": one document. While serving, one
	// line follows for each piece that a client of the user got, for each pull of the demo's own clients that failed,
	// and for each change of a store.
	Output string
	// Logger is the proxy's logger. Default: it logs to Stderr while serving,
	// so that the user sees when an edited config is loaded or refused; none
	// with Once or Fail.
	Logger *slog.Logger
}

// Run runs the demo. With Once, the error is not nil if anything deviates from
// the scenario. With Fail, it is not nil if a pull failed or the store did not
// come back. Without them, the error is nil when ctx is done. When Run returns,
// everything it started has ended and everything it wrote to disk is removed.
func Run(ctx context.Context, opt Options) error {
	opt = opt.filled()
	format := cli.Text
	if err := format.Set(opt.Output); err != nil {
		return cli.Usage("use --output text or --output json", "output %q: %w", opt.Output, err)
	}
	out := &printer{w: opt.Stdout, json: format == cli.JSON, color: cli.UseColor(opt.Stdout, os.Getenv)}
	if opt.Fail != "" && !slices.Contains(Stores(), opt.Fail) {
		return cli.Usage("the stores are "+strings.Join(Stores(), ", "), "fail: there is no store %q", opt.Fail)
	}
	if opt.Fail != "" && opt.Once {
		return cli.Usage("run them one after the other", "once and fail exclude each other")
	}
	if opt.Published && opt.ends() {
		return cli.Usage("leave out --published", "once and fail need no published ports")
	}
	if opt.Idle && opt.ends() {
		return cli.Usage("leave out --idle", "idle is for serving: once and fail have no other clients to leave out")
	}
	notify := out.entry
	if opt.ends() {
		notify = nil
	}
	d, err := build(ctx, opt, notify)
	if err != nil {
		return err
	}
	defer d.remove()
	switch {
	case opt.Once:
		return d.once(ctx, out)
	case opt.Fail != "":
		return d.outage(ctx, d.newOutage(opt.Fail, out))
	}
	return d.serve(ctx, opt, out)
}

// ends reports whether the demo ends without being stopped.
func (o Options) ends() bool { return o.Once || o.Fail != "" }

// filled returns o with its defaults.
func (o Options) filled() Options {
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if o.Output == "" {
		o.Output = string(cli.Text)
	}
	switch {
	case o.Logger != nil:
	case o.ends():
		o.Logger = slog.New(slog.DiscardHandler)
	default:
		o.Logger = slog.New(slog.NewTextHandler(o.Stderr, nil))
	}
	return o
}

// demo holds everything that runs.
type demo struct {
	world   *world
	dir     string
	scratch *atomicfile.ScratchDir // owns dir
	config  string                 // path
	hosts   string                 // containerd's --hosts-dir

	published            bool
	public, admin, front net.Listener
	server               *server
	transport            *http.Transport
}

// build opens all ports, writes the config and creates the proxy. It does not
// start to serve.
func build(ctx context.Context, opt Options, notify func(entry)) (_ *demo, err error) {
	d := &demo{transport: newTransport()}
	defer func() {
		if err != nil {
			d.closeListeners()
			d.remove()
		}
	}()
	open, first := listenLoopback, func() (net.Listener, error) { return listenPublic(ctx, opt) }
	if opt.Published {
		port, err := firstPort(cmp.Or(opt.Listen, DefaultListen))
		if err != nil {
			return nil, err
		}
		open = inARow(port)
		first = func() (net.Listener, error) { return open(ctx) }
	}
	if d.public, err = first(); err != nil {
		return nil, err
	}
	for _, l := range []*net.Listener{&d.front, &d.admin} {
		if *l, err = open(ctx); err != nil {
			return nil, fmt.Errorf("start the demo: %w", err)
		}
	}
	if d.world, err = newWorld(ctx, open, notify); err != nil {
		return nil, err
	}
	d.published = opt.Published
	if d.scratch, err = atomicfile.MakeScratchDir("oci-proxy-demo-"); err != nil {
		return nil, fmt.Errorf("start the demo: %w", err)
	}
	d.dir = d.scratch.Path
	proxy := d.public.Addr().String()
	if d.config, err = d.world.writeConfig(d.dir, proxy, d.admin.Addr().String(), opt.Published); err != nil {
		return nil, err
	}
	if d.hosts, err = writeHosts(d.dir, proxy, sampleAddress); err != nil {
		return nil, err
	}
	if d.server, err = newServer(d.config, opt.Logger); err != nil {
		return nil, err
	}
	return d, nil
}

// listenPublic opens the proxy's port.
func listenPublic(ctx context.Context, opt Options) (net.Listener, error) {
	if opt.Listen == "" && opt.ends() {
		return listenLoopback(ctx)
	}
	address := opt.Listen
	if address == "" {
		address = DefaultListen
	}
	addr, err := netip.ParseAddrPort(address)
	if err != nil || !addr.Addr().IsLoopback() {
		return nil, cli.Usage("the demo believes anyone who can reach it, so it listens on loopback only: 127.0.0.1:5050",
			"listen %q: not an address and port on loopback", address)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil && opt.Listen == "" && errors.Is(err, syscall.EADDRINUSE) {
		fmt.Fprintf(opt.Stderr, "%s is taken, so the demo listens on another port\n", address)
		return listenLoopback(ctx)
	}
	if err != nil {
		return nil, cli.Fail("choose another address with --listen", "listen: %w", err)
	}
	return ln, nil
}

// once pulls as every client of the scenario and reports.
func (d *demo) once(ctx context.Context, out *printer) error {
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	return d.run(ctx, func(ctx context.Context) error {
		defer cancel() // which ends everything else
		if err := d.awaitReady(ctx); err != nil {
			return err
		}
		c := d.checker()
		r := c.check(ctx, clients())
		c.playScenes(ctx, r)
		if err := ctx.Err(); err != nil { // a report of an interrupted pull is worthless
			return fmt.Errorf("pull as every client: %w", err)
		}
		return out.report(r)
	})
}

// outageTimeout bounds an outage, which takes some twenty seconds.
const outageTimeout = 3 * time.Minute

// outage plays an outage and reports.
func (d *demo) outage(ctx context.Context, o *outage) error {
	ctx, cancel := context.WithTimeout(ctx, outageTimeout)
	defer cancel()
	return d.run(ctx, func(ctx context.Context) error {
		defer cancel() // which ends everything else
		if err := d.awaitReady(ctx); err != nil {
			return err
		}
		return o.run(ctx)
	})
}

// serve prints what to try and serves until ctx is done.
func (d *demo) serve(ctx context.Context, opt Options, out *printer) error {
	return d.run(ctx, func(ctx context.Context) error {
		if err := d.awaitReady(ctx); err != nil {
			if ctx.Err() != nil { // stopped before everything was up
				return nil
			}
			return err
		}
		if err := out.guide(d.guide(opt)); err != nil {
			return err
		}
		start := time.Now()
		var alongside sync.WaitGroup
		defer alongside.Wait()
		if !opt.Idle {
			alongside.Go(func() { d.traffic(ctx, out, start, trafficPace) })
		}
		if opt.Stdin != nil {
			(&switches{demo: d, out: out, start: start, turns: map[string]*turn{}}).run(ctx, opt.Stdin)
		}
		return nil
	})
}

// run serves everything and calls use at the same time. It ends when ctx is
// done or anything fails. It returns the first error.
func (d *demo) run(ctx context.Context, use func(context.Context) error) error {
	defer d.transport.CloseIdleConnections()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.world.serve(ctx) })
	g.Go(func() error { return d.server.serve(ctx, d.public, d.admin) })
	g.Go(func() error { return serveHTTP(ctx, d.front, newFront(d.public.Addr().String(), d.transport)) })
	g.Go(func() error { return use(ctx) })
	return g.Wait()
}

// readyTimeout bounds the wait for the proxy to answer.
const readyTimeout = 30 * time.Second

// awaitReady polls the proxy until it is ready.
func (d *demo) awaitReady(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(limited, http.MethodGet, d.url(d.public)+"/-/ready", nil)
		if err != nil {
			return err
		}
		res, err := d.transport.RoundTrip(req)
		if err == nil {
			drain(res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if wait.For(limited, 10*time.Millisecond) != nil {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("wait for the proxy: %w", err)
			}
			return fmt.Errorf("the proxy was not ready within %s", readyTimeout)
		}
	}
}

// usable reads from the proxy's metrics whether a store is in service. ok is false when the metrics do not say.
func (d *demo) usable(ctx context.Context, store string) (usable, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url(d.admin)+"/metrics", nil)
	if err != nil {
		return false, false
	}
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		return false, false
	}
	defer resp.Body.Close()
	return readUsable(resp.Body, store)
}

func (d *demo) checker() *checker {
	return &checker{
		world: d.world, proxy: d.url(d.public), front: d.url(d.front),
		explain: d.server.explain, transport: d.transport,
	}
}

func (d *demo) url(l net.Listener) string { return "http://" + l.Addr().String() }

// closeListeners frees the ports of a demo that never ran.
func (d *demo) closeListeners() {
	if d.world != nil {
		d.world.close()
	}
	for _, l := range []net.Listener{d.public, d.admin, d.front} {
		if l != nil {
			_ = l.Close() // only a port, so an error does not matter
		}
	}
}

// remove deletes the demo's files. If it cannot delete a file, that file stays
// in the system's temporary directory.
func (d *demo) remove() {
	if d.scratch != nil {
		_ = d.scratch.Remove()
	}
}
