package admission

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/proxy"
)

// private is a proxy of this process on loopback. Only the store and the canonical upstream may serve there. A front
// gives each pull a client address of its own: when an address asks for a blob again, the proxy assumes that its
// download failed.
type private struct {
	addr  string // host:port of the front
	store string // URL of the store's blobs, with {digest}
	stop  func()

	mu     sync.Mutex
	client netip.Addr
	seen   map[string]asked // by digest, since the last turn
}

// asked says where the proxy sent a client for a blob.
type asked struct{ here, elsewhere bool }

// clients are the addresses that clients seem to have. They are of the prefix for benchmarks (RFC 2544), which nobody
// uses.
var clients = netip.MustParsePrefix("198.18.0.0/15")

const forwarded = "X-Forwarded-For"

// readyWithin is how long the proxy may take to start. It waits up to 10 s for inventories.
const readyWithin = 20 * time.Second

// confined returns the config of the private proxy. The store serves all clients there, over whichever IP family they
// reach it by; nothing else of the config that decides who serves is left.
func confined(cfg *config.Config, s config.Store) *config.Config {
	c := *cfg
	s.Serves, s.Families = config.Serves{All: true}, config.Families{IPv4: true, IPv6: true}
	c.Stores, c.Upstreams = []config.Store{s}, []config.Upstream{*cfg.Canonical()}
	c.Upstreams[0].Families = config.Families{IPv4: true, IPv6: true}
	c.Listen, c.Admin, c.TLS, c.Names, c.Pages = "", config.Admin{}, config.TLS{}, nil, config.Pages{}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	c.Client = config.Client{Behind: config.Behind{Header: forwarded, Entry: 1, Trusted: []netip.Prefix{loopback}}}
	c.Ranges = config.Ranges{Refresh: cfg.Ranges.Refresh} // no feeds, no files
	c.Route = config.Route{Pins: []config.Pin{{CIDR: clients, To: []string{s.Name}}}}
	c.Limits.Drain = 0
	c.Limits.CheckTimeout = max(c.Limits.CheckTimeout, 5*time.Second) // clients that try it out can wait
	return &c
}

// startPrivate starts the proxy and its front. The caller calls stop.
func (r *run) startPrivate(ctx context.Context) (*private, error) {
	ready := make(chan struct{})
	server, err := proxy.New(proxy.Options{
		Config: confined(r.cfg, r.store), Version: r.opt.Version, Client: &http.Client{Transport: r.meter.wrap(r.transport)},
		Supervisor: starting{ready},
	})
	if err != nil {
		return nil, err
	}
	inner, err := listen(ctx)
	if err != nil {
		server.Close()
		return nil, err
	}
	outer, err := listen(ctx)
	if err != nil {
		server.Close()
		return nil, errors.Join(err, inner.Close())
	}
	p := &private{addr: outer.Addr().String(), store: r.store.URL, client: clients.Addr()}
	p.turn()
	front := p.front(inner.Addr().String())
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	failed := make(chan error, 2)
	wg.Go(func() { failed <- server.Serve(running, nil, inner, nil) })
	wg.Go(func() { failed <- front.Serve(outer) })
	p.stop = func() {
		_ = front.Close()
		end()
		wg.Wait()
	}
	select {
	case <-ready:
		return p, nil
	case err = <-failed:
	case <-time.After(readyWithin):
		err = fmt.Errorf("the private proxy was not ready within %s", readyWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.stop()
	return nil, err
}

func listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// starting tells when the server wants traffic.
type starting struct{ ready chan struct{} }

func (s starting) Ready(string)  { close(s.ready) }
func (starting) Reloading()      {}
func (starting) Reloaded(string) {}
func (starting) Stopping(string) {}

// front returns a reverse proxy that names the client, and notes where blobs come from.
func (p *private) front(backend string) *http.Server {
	return &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: &httputil.ReverseProxy{
		Rewrite: func(q *httputil.ProxyRequest) {
			q.SetURL(&url.URL{Scheme: "http", Host: backend})
			q.Out.Host = q.In.Host
			p.mu.Lock()
			defer p.mu.Unlock()
			q.Out.Header.Set(forwarded, p.client.String())
		},
		ModifyResponse: func(resp *http.Response) error {
			p.note(resp)
			return nil
		},
	}}
}

// note remembers where an answer sends the client for a blob.
func (p *private) note(resp *http.Response) {
	parsed, err := oci.Parse(resp.Request.URL.EscapedPath(), "")
	if err != nil || parsed.Kind != oci.KindBlob {
		return
	}
	name := parsed.Digest.String()
	to, _, _ := strings.Cut(resp.Header.Get("Location"), "?") // the URL of a store has no query, but the redirect may have an id
	here := to == strings.ReplaceAll(p.store, "{digest}", name)
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.seen[name]
	a.here, a.elsewhere = a.here || here, a.elsewhere || !here
	p.seen[name] = a
}

// turn begins a pull: it gives the next client another network, and forgets what was asked.
func (p *private) turn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.client.As4()
	if b[2]++; b[2] == 0 {
		b[1] ^= 1
	}
	b[3] = 1
	p.client, p.seen = netip.AddrFrom4(b), map[string]asked{}
}

// asked returns where the client was sent for a blob since the last turn.
func (p *private) asked(digest string) asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[digest]
}
