package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/oci"
)

// Expected is where the config sends a client.
type Expected struct{ Candidate, Location, Reason string }

// Options say what to ask. Name and Images are required.
type Options struct {
	Name   string // host or host:port
	Images []judge.Ref
	// Classes are asked for in addition to Self. They need Sign.
	Classes []Class
	// Sign returns the header that makes the server take a request for one of addr, or, if addr is invalid, for a
	// probe's own. It is sent to the name only.
	Sign func(method, host, pathAndQuery string, addr netip.Addr) (header, value string)
	// Listed reports whether clients were told of a host that blobs come from. nil: not known.
	Listed func(host string) bool
	// Explain says where the config sends a client. nil: not known.
	Explain func(ctx context.Context, addr netip.Addr, host, pathAndQuery string) (Expected, error)

	// Self is the address at which servers should see the machine of the probe. With Sign, the probe then finds out
	// whether they do.
	Self netip.Addr

	// Hosts is how many hosts may serve blobs, for the estimate of a run's cost; 0: not known.
	Hosts int

	Platforms []string // os/architecture; empty: all
	Signed    bool     // an image without a signature is an error
	Decisions bool     // read no whole layers
	Vantage   string   // where the probe runs, for the report

	Limits      Limits
	Timeout     time.Duration // of one request without its body; default 10 s
	Concurrency int           // classes asked for at once; default 4
	UserAgent   string
	PlainHTTP   []string // hosts to reach over plain HTTP, as loopback always is

	// Lookup resolves hosts; the default is the system's resolver. TLS is for private certificates.
	Lookup judge.Resolver
	TLS    *tls.Config
	// Progress is called for each finding, one call at a time. nil: no calls.
	Progress func(Finding)
}

func (o *Options) defaults() {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 4
	}
	if o.UserAgent == "" {
		o.UserAgent = "oci-proxy-probe"
	}
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupNetIP
	}
	d := DefaultLimits
	if o.Limits.Requests <= 0 {
		o.Limits.Requests = d.Requests
	}
	if o.Limits.Bytes <= 0 {
		o.Limits.Bytes = d.Bytes
	}
	if o.Limits.Time <= 0 {
		o.Limits.Time = d.Time
	}
	if o.Limits.Rate <= 0 {
		o.Limits.Rate = d.Rate
	}
}

// Run makes one run. Faults of the deployment are findings. The error is for what prevents a run: a name that is none,
// or the end of ctx.
func Run(ctx context.Context, opt Options) (*Report, error) {
	p, done, err := begin(&opt)
	if err != nil {
		return nil, err
	}
	defer done()
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, opt.Limits.Time)
	defer cancel()
	self := p.session(Self)
	self.host(within, p.base.JoinPath("/v2/"))
	if self.ping(within) {
		p.name(within, self)
	} else {
		for _, as := range opt.Classes {
			p.session(as).say(idPing, "", p.base, time.Now(), judge.Fail(judge.HintNetwork, "not asked: the name does not answer"))
		}
	}
	p.blobHosts(within)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.meter.spent.Load() || within.Err() != nil {
		l := opt.Limits
		self.say(idBudget, "", nil, began, judge.Warn("raise the bounds, or ask for fewer images and classes",
			"the run ended at its bounds of %d requests, %s and %s: some checks were not made", l.Requests, judge.Size(l.Bytes), l.Time))
	} else {
		self.say(idBudget, "", nil, began, judge.Good("%d requests, %s", p.meter.made(), judge.Size(p.meter.bytes.Load())))
	}
	return p.report(began), nil
}

// begin prepares a run.
func begin(opt *Options) (p *prober, done func(), err error) {
	opt.defaults()
	base, err := Base(opt.Name, opt.PlainHTTP)
	if err != nil {
		return nil, nil, err
	}
	if len(opt.Images) == 0 {
		return nil, nil, errors.New("no image to pull")
	}
	tr := judge.Transport(opt.Lookup, opt.TLS, opt.Timeout, judge.IPv4, judge.IPv6)
	tr.MaxIdleConnsPerHost = parallelRanges
	p = &prober{opt: opt, base: base, meter: newMeter(opt.Limits), tally: &tally{told: opt.Progress}, hosts: map[string]*host{}, digests: map[string]oci.Digest{}}
	p.via = p.meter.over(tr)
	return p, tr.CloseIdleConnections, nil
}

// Base returns the URL of a registry's name: HTTPS, except for loopback and the hosts of plainHTTP. A name that begins
// with https:// is always HTTPS.
func Base(name string, plainHTTP []string) (*url.URL, error) {
	host, secure := strings.CutPrefix(strings.TrimSuffix(name, "/"), "https://")
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || u.User != nil {
		return nil, fmt.Errorf("%q is not the name of a registry: want HOST or HOST:PORT", name)
	}
	if !secure && (&prober{opt: &Options{PlainHTTP: plainHTTP}}).plain(u.Host) {
		u.Scheme = "http"
	}
	return u, nil
}

// name asks everything that begins at the registry's name.
func (p *prober) name(ctx context.Context, self *session) {
	if p.opt.Sign != nil {
		self.signed = true
		self.signed = self.accepted(ctx)
	}
	self.refusals(ctx, p.opt.Images[0].Name)
	for i, ref := range p.opt.Images {
		im, ok := self.resolve(ctx, ref)
		if !ok {
			continue
		}
		if !slices.ContainsFunc(p.opt.Images[:i], func(r judge.Ref) bool { return r.Name == ref.Name }) {
			self.tags(ctx, ref)
		}
		self.pull(ctx, im)
		if i == 0 && p.opt.Self.IsValid() && self.signed {
			self.address(ctx, im)
		}
		self.coherent(ctx, im)
		self.signatures(ctx, im)
	}
	var g errgroup.Group
	g.SetLimit(p.opt.Concurrency)
	for _, as := range p.opt.Classes {
		g.Go(func() error {
			p.session(as).class(ctx)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
}

// pull pulls an image as the machine of the probe, completely unless only decisions are wanted.
func (s *session) pull(ctx context.Context, im *image) {
	all := blobs(im.pulled)
	for i, b := range all {
		if s.over(ctx) {
			return // the first check that was not made is in the report
		}
		at, ok := s.locate(ctx, im, b)
		if !ok {
			continue
		}
		s.headBlob(ctx, im, at, b)
		if s.opt.Decisions {
			s.small(ctx, im, at, b)
		} else if !s.whole(ctx, im, at, b) {
			continue
		}
		if last := i == len(all)-1; last || s.fresh(at) {
			s.ranges(ctx, im, at, b)
			if !s.opt.Decisions || b.Size <= decisionBlob {
				s.resume(ctx, im, at, b)
			}
		}
	}
}

// fresh reports whether no blob of that host was asked for by ranges yet, and remembers that one is now.
func (p *prober) fresh(at *url.URL) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[at.Host]
	if h == nil || h.checked {
		return false
	}
	h.checked = true
	return true
}

// class asks what a client of a place would be told: decisions, and a little of each blob.
func (s *session) class(ctx context.Context) {
	if !s.accepted(ctx) {
		return
	}
	for i, ref := range s.opt.Images {
		if s.over(ctx) {
			return
		}
		im, ok := s.resolve(ctx, ref)
		if !ok {
			continue
		}
		all := blobs(im.pulled)
		for _, b := range sample(all) {
			at, ok := s.locate(ctx, im, b)
			if !ok {
				continue
			}
			s.headBlob(ctx, im, at, b)
			s.small(ctx, im, at, b)
			if s.fresh(at) {
				s.ranges(ctx, im, at, b)
				if b.Size <= decisionBlob {
					s.resume(ctx, im, at, b)
				}
			}
		}
		if i == 0 && len(all) > 0 {
			s.near(ctx, im, all[len(all)-1])
		}
	}
}

// sample returns the smallest and the biggest blob.
func sample(all []judge.Blob) []judge.Blob {
	if len(all) < 3 {
		return all
	}
	return []judge.Blob{all[0], all[len(all)-1]}
}

// outcomeText is a word that a server says about an identity. It is printed, so it must be no more than a word.
var outcomeText = regexp.MustCompile(`^[a-z-]{1,40}$`)

// accepted finds out whether the server takes the probe for a client of the class.
func (s *session) accepted(ctx context.Context) bool {
	began := s.meter.begin(ctx)
	ref := s.opt.Images[0]
	ans := s.registry(ctx, http.MethodHead, manifestPath(ref.Name, ref.Reference()), 4096, acceptHeader)
	if s.spent(ctx, idIdentity, "", s.base, ans.Err) {
		return false
	}
	name, _ := s.opt.Sign(http.MethodHead, s.base.Host, "/", s.as.Addr)
	outcome, _, _ := strings.Cut(ans.Header.Get(name), ";")
	v := judge.Good("accepted as %s", s.as.Name)
	trouble, bad := judge.Trouble(ans)
	switch {
	case outcome == "accepted":
	case outcomeText.MatchString(outcome):
		v = judge.Fail("docs/client-address.md says what each outcome means and what to do", "the server refuses the probe identity: %s", outcome)
	case bad && ans.Location == nil:
		v = trouble
	default:
		v = judge.Fail("put the public key under probe.keys in the config of every instance, and let the front pass the header on",
			"the server does not take notice of the probe identity (%d)", ans.Status)
	}
	s.say(idIdentity, "", s.base, began, v)
	return v.Result == judge.OK
}

// blobHosts checks the hosts to which the registry redirected.
func (p *prober) blobHosts(ctx context.Context) {
	self := p.session(Self)
	p.mu.Lock()
	var list []string
	for name, h := range p.hosts {
		if h.kind == "blob" && name != p.base.Host {
			list = append(list, h.url)
		}
	}
	p.mu.Unlock()
	slices.Sort(list)
	for _, text := range list {
		if u, err := url.Parse(text); err == nil {
			self.listed(u)
			self.host(ctx, u)
		}
	}
}

// listed compares a host that blobs come from with the published list. It may be one that a store redirects on to.
func (s *session) listed(at *url.URL) {
	if s.opt.Listed == nil {
		return
	}
	v := judge.Good("%s is on the list", at.Host)
	if !s.opt.Listed(at.Host) {
		v = judge.Fail("announce the host before clients are sent there, and declare where stores redirect to (redirectsTo): users behind firewalls cannot reach it",
			"%s is not on the list", at.Host)
	}
	s.say("endpoint", "", at, time.Now(), v)
}

func (p *prober) report(began time.Time) *Report {
	r := &Report{
		Name: p.base.Host, Vantage: p.opt.Vantage, Started: began.UTC().Truncate(time.Second), Classes: []string{Self.Name},
		Limits:   Cost{p.opt.Limits.Requests, p.opt.Limits.Bytes, p.opt.Limits.Time.Seconds()},
		Cost:     Cost{p.meter.made(), p.meter.bytes.Load(), time.Since(began).Seconds()},
		Findings: p.tally.findings,
	}
	for _, ref := range p.opt.Images {
		r.Images = append(r.Images, ref.String())
	}
	for _, as := range p.opt.Classes {
		r.Classes = append(r.Classes, as.Name)
	}
	for name, h := range p.hosts {
		hr := HostReport{Host: name, Kind: h.kind, TLSUntil: h.until.UTC(), BytesPerSecond: h.perSecond}
		if h.proto > 0 {
			hr.Proto = map[bool]string{true: "HTTP/2", false: "HTTP/1.1"}[h.proto == 2]
		}
		if slices.Sort(h.waits); len(h.waits) > 0 {
			hr.FirstByte = h.waits[len(h.waits)/2].Seconds()
		}
		r.Hosts = append(r.Hosts, hr)
	}
	slices.SortFunc(r.Hosts, func(a, b HostReport) int { return strings.Compare(b.Kind+a.Host, a.Kind+b.Host) })
	r.finish()
	return r
}
