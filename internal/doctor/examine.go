package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/outbound"
)

// These bound one run. With everything blocked it takes two to three times the time-out of a step.
const (
	DefaultTimeout = 5 * time.Second
	maxSteps       = 6 // the whole run may take this many times the time-out of a step
	maxHosts       = 64
	// MaxBytes is the most that one run reads: a list, two manifests, two layers with two ranges, and the beginning of an
	// answer of each host by each way.
	MaxBytes = endpoints.MaxBytes + 2*maxManifest + maxWhole*maxLayer + 2*rangeBytes + 3*maxHosts*maxLook
)

// Options say how to examine.
type Options struct {
	// Timeout is for one step: a look-up with a connection and an answer, or a request. 0: [DefaultTimeout].
	Timeout   time.Duration
	UserAgent string
	// Roots are the authorities that this machine trusts. nil: those of the system.
	Roots *x509.CertPool
	// Proxy finds the proxy of a request. nil: in the environment.
	Proxy func(*http.Request) (*url.URL, error)
	// Resolvers is the file that names the resolvers; "": /etc/resolv.conf.
	Resolvers string
}

// MaxTime is how long [Examine] takes at most.
func (o *Options) MaxTime() time.Duration { return maxSteps * o.timeout() }

func (o *Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return DefaultTimeout
}

type doctor struct {
	opt       Options
	target    Target
	servers   []string
	proxy     func(*http.Request) (*url.URL, error)
	asker     *judge.Asker
	facts     *Facts
	bytes     atomic.Int64
	answering atomic.Pointer[string] // a server of the resolver, when others before it do not answer
}

// Examine finds out what is between this machine and a registry, and what to do about it. It takes at most
// [Options.MaxTime], and reads at most [MaxBytes].
func Examine(ctx context.Context, target Target, opt Options) *Report {
	start := time.Now()
	opt.Timeout = opt.timeout()
	ctx, cancel := context.WithTimeout(ctx, opt.MaxTime())
	defer cancel()
	d := newDoctor(target, opt)
	defer d.asker.Client.CloseIdleConnections()
	d.run(ctx)
	return d.report(time.Since(start))
}

func newDoctor(target Target, opt Options) *doctor {
	file := opt.Resolvers
	if file == "" {
		file = resolvConf
	}
	d := &doctor{
		opt: opt, target: target, servers: nameservers(file), proxy: opt.Proxy,
	}
	transport := outbound.New(outbound.Options{
		DialContext: d.dial, TLS: &tls.Config{RootCAs: opt.Roots}, Handshake: opt.Timeout, Header: opt.Timeout, Kept: 1, HeaderBytes: 64 << 10,
	})
	if d.proxy == nil {
		d.proxy = transport.Proxy
	}
	transport.Proxy = d.proxy
	d.asker = &judge.Asker{
		// A layer may take longer than a step.
		Client:  &http.Client{Transport: outbound.Explaining(transport), CheckRedirect: outbound.NoRedirect},
		Timeout: 3 * opt.Timeout, UserAgent: opt.UserAgent,
	}
	d.facts = &Facts{Target: target, Servers: d.servers}
	return d
}

func (d *doctor) run(ctx context.Context) {
	u, err := url.Parse(d.target.base())
	if err != nil {
		return // the target was parsed before
	}
	registry := d.add(u, "registry")
	d.lookAll(ctx)
	if fault, _ := registry.fault(); fault != noFault {
		return
	}
	defer d.lookAll(ctx) // what redirects led to
	if !d.ping(ctx) {
		return
	}
	listed := d.list(ctx)
	d.facts.Listed = listed != nil
	for _, l := range listed {
		d.listed(l)
	}
	var all sync.WaitGroup
	hosts := d.unseen()
	all.Go(func() { d.lookAt(ctx, hosts) })
	if d.target.Image.Name != "" {
		d.pull(ctx)
	} else {
		d.discover(ctx)
	}
	all.Wait()
}

// lookAll looks at the hosts that were not looked at.
func (d *doctor) lookAll(ctx context.Context) { d.lookAt(ctx, d.unseen()) }

func (d *doctor) unseen() (out []*Host) {
	for _, h := range d.facts.Hosts {
		if h.V4 == nil {
			out = append(out, h)
		}
	}
	return out
}

func (d *doctor) lookAt(ctx context.Context, hosts []*Host) {
	var all sync.WaitGroup
	for _, h := range hosts {
		all.Go(func() { d.look(ctx, h) })
	}
	all.Wait()
}

// add adds a host once.
func (d *doctor) add(u *url.URL, kind string) *Host {
	if h := d.facts.host(hostOf(u)); h != nil {
		return h
	}
	h := &Host{Address: hostOf(u), Name: u.Hostname(), Port: portOf(u), Plain: u.Scheme == "http", Kind: kind}
	if len(d.facts.Hosts) < maxHosts {
		d.facts.Hosts = append(d.facts.Hosts, h)
	}
	return h
}

func (d *doctor) listed(l endpoints.Endpoint) {
	u := &url.URL{Scheme: "https", Host: net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))}
	if l.Insecure {
		u.Scheme = "http"
	}
	if !l.Until.IsZero() && time.Now().After(l.Until) {
		return // no client is sent there any more
	}
	h := d.add(u, string(l.Kind))
	if l.Bucket != "" {
		h.Buckets = append(h.Buckets, l)
	}
	if l.Since.After(time.Now()) {
		h.Later = l.Since
	}
}

// found notes a host that a redirect leads to.
func (d *doctor) found(u *url.URL) { d.add(u, "redirect") }

// counted counts the bytes that are read from a connection, and reads no more than [MaxBytes] from all of them.
func (d *doctor) counted(c net.Conn) net.Conn { return &meter{c, &d.bytes} }

type meter struct {
	net.Conn
	read *atomic.Int64
}

var errEnough = errors.New("more data than the doctor reads")

func (m *meter) Read(b []byte) (int, error) {
	if m.read.Load() >= MaxBytes {
		return 0, errEnough
	}
	n, err := m.Conn.Read(b)
	m.read.Add(int64(n))
	return n, err
}
