package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/key"
	"ociproxy/internal/outbound"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/classes"
)

// probing is a probe that is ready to run.
type probing struct {
	*app
	flags *probeFlags
	name  string
	note  string // which images they are
	opt   probe.Options
	src   *classes.Source // nil: there is no config
}

func (p *probing) close() {
	if p.src != nil {
		p.src.Close()
	}
}

// openProbe reads what the flags name. The caller closes it.
func (a *app) openProbe(ctx context.Context, name string, f *probeFlags) (*probing, error) {
	p := &probing{app: a, flags: f, name: name}
	var cfg *config.Config
	if f.file != "" {
		var err error
		if cfg, err = a.load(f.file); err != nil {
			return nil, a.invalid(err)
		}
	}
	if err := p.checkStatus(cfg); err != nil {
		return nil, err
	}
	if err := p.options(ctx, cfg); err != nil {
		return nil, err
	}
	if err := p.identity(ctx, cfg); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// options are those of a run, without its classes of clients.
func (p *probing) options(ctx context.Context, cfg *config.Config) (err error) {
	f := p.flags
	p.opt = probe.Options{
		Name: p.name, Signed: f.signed, Decisions: f.decisions, Vantage: f.vantage,
		Limits:  probe.Limits{Requests: f.requests, Bytes: int64(f.bytes), Time: f.most, Rate: f.rate},
		Timeout: f.timeout, Concurrency: f.concurrency, UserAgent: agent(), PlainHTTP: f.plainHTTP, Platforms: f.platforms,
	}
	if slices.Contains(f.platforms, "all") {
		p.opt.Platforms = nil
	}
	if p.opt.TLS, err = authorities(f.ca); err != nil {
		return err
	}
	if p.opt.Images, p.note, err = p.probeImages(p.name, f, cfg); err != nil {
		return err
	}
	if p.opt.Images, err = p.withTags(ctx, p.opt); err != nil {
		return err
	}
	if !f.dry {
		p.opt.Listed, err = p.published(ctx)
	}
	return err
}

func agent() string { return "oci-proxyctl/" + cli.ThisBuild(version).Version }

// authorities returns TLS settings that trust those of a file too; nil: the usual ones.
func authorities(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, cli.Fail("name a PEM file with --ca", "read certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, cli.Usage("it must have at least one block BEGIN CERTIFICATE", "--ca %s has no certificate", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// identity adds the classes of clients.
func (p *probing) identity(ctx context.Context, cfg *config.Config) error {
	f := p.flags
	if cfg != nil {
		src, err := classes.Open(ctx, cfg, p.env, func(err error) {
			fmt.Fprintf(p.stderr, "warning: %v; clients of these ranges are missing\n", err)
		})
		if err != nil {
			return cli.Fail("oci-proxy check --config tests the config", "address ranges: %w", err)
		}
		p.src, p.opt.Explain, p.opt.Hosts = src, src.Explain, len(cfg.Stores)+len(cfg.Upstreams)
	}
	if f.identity == "" {
		return nil
	}
	private, err := key.Read(f.identity)
	if err != nil {
		return cli.Fail("name a file that oci-proxyctl key new has written", "--identity: %w", err)
	}
	p.opt.Sign = signer(private)
	if f.self != "" {
		if p.opt.Self, err = netip.ParseAddr(f.self); err != nil {
			return cli.Usage("for example 192.0.2.7", "--self %q is no address", f.self)
		}
	}
	as := f.as
	if len(as) == 0 && p.src != nil {
		as = []string{"config"}
	}
	for _, name := range as {
		more, err := p.classes(name)
		if err != nil {
			return err
		}
		for _, c := range more {
			if !slices.Contains(p.opt.Classes, c) {
				p.opt.Classes = append(p.opt.Classes, c)
			}
		}
	}
	return nil
}

// classes returns the classes of a word of --as.
func (p *probing) classes(word string) ([]probe.Class, error) {
	if a, err := netip.ParseAddr(word); err == nil {
		return []probe.Class{classes.Address(a)}, nil
	}
	switch {
	case word == classes.Unknown:
		return classes.OfUnknown(), nil
	case p.src == nil:
		return nil, cli.Usage("without a config only addresses and unknown are known", "--as %s needs a config", word)
	case word == "config":
		return p.src.All(false), nil
	case word == "all":
		return p.src.All(true), nil
	}
	out, err := p.src.Named(word)
	if err != nil {
		return nil, cli.Usage("want CLOUD/REGION, CLOUD, an address, unknown, config or all; the feeds of these ranges must be in the config", "--as: %w", err)
	}
	return out, nil
}

// endpointsPath is where a deployment publishes the hosts that clients are sent to.
const endpointsPath = "/.well-known/oci-proxy/endpoints.json"

// published returns whether clients were told of a host; nil: not known.
func (p *probing) published(ctx context.Context) (func(string) bool, error) {
	switch file := p.flags.endpoints; file {
	case "none":
		return nil, nil
	case "":
		listed, err := p.fetchPublished(ctx)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(p.stderr, "warning: the published list of hosts is not known: %v\n", err)
		}
		return listed, ctx.Err()
	default:
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, cli.Fail("name a file with --endpoints, or none", "read the list of hosts: %w", err)
		}
		listed, err := publishedHosts(text)
		if err != nil {
			return nil, cli.Usage("it must be a list as "+endpointsPath+" gives it", "--endpoints %s: %w", file, err)
		}
		return listed, nil
	}
}

var errUnpublished = errors.New("the deployment publishes none")

// maxEndpoints is far above the size of a list of a thousand hosts.
const maxEndpoints = 4 << 20

func (p *probing) fetchPublished(ctx context.Context) (func(string) bool, error) {
	base, err := probe.Base(p.name, p.opt.PlainHTTP)
	if err != nil {
		return nil, err
	}
	tr := judge.Transport(net.DefaultResolver.LookupNetIP, p.opt.TLS, p.opt.Timeout, judge.IPv4, judge.IPv6)
	defer tr.CloseIdleConnections()
	a := judge.Asker{Client: &http.Client{Transport: tr, CheckRedirect: outbound.NoRedirect}, Timeout: p.opt.Timeout, UserAgent: p.opt.UserAgent}
	ans := a.Ask(ctx, judge.Query{Method: http.MethodGet, URL: base.Scheme + "://" + base.Host + endpointsPath, Max: maxEndpoints})
	switch {
	case ans.Err != nil:
		return nil, ans.Err
	case ans.Status == http.StatusNotFound:
		return nil, errUnpublished
	case ans.Status != http.StatusOK:
		return nil, fmt.Errorf("%d for %s", ans.Status, endpointsPath)
	case ans.Truncated:
		return nil, fmt.Errorf("%s is too long", endpointsPath)
	}
	return publishedHosts(ans.Body)
}
