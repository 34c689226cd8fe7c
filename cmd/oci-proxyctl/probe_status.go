package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/outbound"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/status"
	"ociproxy/internal/store"
	"ociproxy/internal/store/address"
)

// statusTime is the longest time that one write of the public status may take: runs wait for it.
const statusTime = 30 * time.Second

// checkStatus refuses a public status that falls with the registry. cfg may be nil.
func (p *probing) checkStatus(cfg *config.Config) error {
	f := p.flags
	if f.status == "" {
		return nil
	}
	const elsewhere = "give the public status a bucket of its own, under another name and at another provider: docs/public-status.md"
	at, err := address.Parse(f.status)
	if err != nil {
		return cli.Usage("for example s3://status-example?region=eu-north-1", "--status: %w", err)
	}
	if err := status.CheckVantage(f.vantage); err != nil {
		return cli.Usage("name where this probe runs with --vantage: outsiders read it, and two probes must not have the same", "--status: %w", err)
	}
	host := ""
	if public, err := at.Public(); err == nil {
		host = hostOf(public)
	}
	if base, err := probe.Base(p.name, f.plainHTTP); err == nil && host != "" && strings.EqualFold(host, base.Hostname()) {
		return cli.Usage(elsewhere, "--status: the host %s is the registry itself", host)
	}
	if cfg == nil {
		fmt.Fprintln(p.stderr, "warning: without --config nothing tells whether the registry itself uses the bucket of --status")
		return nil
	}
	if what := cfg.OwnHosts()[host]; what != "" {
		return cli.Usage(elsewhere, "--status: the host %s is %s: the public status would fall with it", host, what)
	}
	for i := range cfg.Stores {
		s := &cfg.Stores[i]
		own, err := address.Parse(s.Bucket)
		if s.Bucket == "" || err != nil {
			continue
		}
		if same(at, own) {
			return cli.Usage(elsewhere, "--status: the bucket is that of the store %s: the public status would fall with it", s.Name)
		}
		if at.Endpoint != "" && strings.EqualFold(hostOf(at.Endpoint), hostOf(own.Endpoint)) {
			return cli.Usage(elsewhere, "--status: the service at %s has the store %s: the public status would fall with it", hostOf(at.Endpoint), s.Name)
		}
	}
	if cloud := cloudOf(at); cloud != "" && cloud == cfg.Canonical().Place.Cloud {
		fmt.Fprintf(p.stderr, "warning: the public status is at %s, as the canonical upstream is: an outage there may take both. Another provider is better\n", cloud)
	}
	return nil
}

// same reports whether two URLs are of one bucket, whatever their prefixes.
func same(a, b address.Bucket) bool {
	return a.Scheme == b.Scheme && a.Name == b.Name && a.Container == b.Container && a.Dir == b.Dir && strings.EqualFold(a.Endpoint, b.Endpoint)
}

// cloudOf returns the cloud of a bucket as places name it; "": another service.
func cloudOf(b address.Bucket) string {
	switch {
	case b.Amazon():
		return "aws"
	case b.Endpoint != "":
		return ""
	}
	return map[string]string{"gs": "gcp", "azblob": "azure"}[b.Scheme]
}

// hostOf returns the host of a URL in lower case; "": it has none.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// publicStatus is the public status of a monitor.
type publicStatus struct {
	*status.Writer
	page   string // its URL, where the bucket's URL tells it
	looked bool   // as somebody outside, at a page that was written
}

// openStatus returns the public status of --status; nil without it. It makes no request.
func (p *probing) openStatus(ctx context.Context) (*publicStatus, error) {
	f := p.flags
	if f.status == "" {
		return nil, nil
	}
	bucket, err := store.Open(ctx, f.status, store.Options{Getenv: p.env, Timeout: statusTime / 2})
	if err != nil {
		return nil, cli.Usage("docs/public-status.md says which credentials it takes", "--status: %w", err)
	}
	base, err := probe.Base(p.name, f.plainHTTP)
	if err != nil {
		return nil, err
	}
	w, err := status.New(status.Options{Bucket: bucket, Name: base.Host, Vantage: f.vantage, Every: f.every})
	if err != nil {
		return nil, cli.Usage("docs/public-status.md says what it needs", "--status: %w", err)
	}
	public := &publicStatus{Writer: w}
	if at, err := address.Parse(f.status); err == nil {
		if url, err := at.Public(); err == nil {
			public.page = url + status.PageKey
		}
	}
	return public, nil
}

// writeStatus adds a run to the public status. A fault there is no fault of the run.
func (p *probing) writeStatus(ctx context.Context, public *publicStatus, r *probe.Report) {
	if public == nil || r == nil {
		return
	}
	within, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	err := public.Record(within, r)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		fmt.Fprintf(p.stderr, "%s: the public status was not written: %v\n", program, err)
	case !public.looked && public.page != "":
		public.looked = true
		p.lookStatus(within, public.page)
	}
}

// lookStatus asks for the page as somebody outside does, and says what such a reader gets instead.
func (p *probing) lookStatus(ctx context.Context, page string) {
	tr := judge.Transport(net.DefaultResolver.LookupNetIP, p.opt.TLS, p.opt.Timeout, judge.IPv4, judge.IPv6)
	defer tr.CloseIdleConnections()
	a := judge.Asker{Client: &http.Client{Transport: tr, CheckRedirect: outbound.NoRedirect}, Timeout: p.opt.Timeout, UserAgent: p.opt.UserAgent}
	ans := a.Ask(ctx, judge.Query{Method: http.MethodGet, URL: page, Max: 512})
	switch {
	case ans.Err != nil:
		fmt.Fprintf(p.stderr, "warning: nobody outside may be able to read %s: %v\n", page, ans.Err)
	case ans.Status != http.StatusOK || !status.IsPage(ans.Body):
		fmt.Fprintf(p.stderr, "warning: people outside get %d and not the page from %s: let everybody read the objects of the bucket\n", ans.Status, page)
	default:
		fmt.Fprintf(p.stderr, "public status: %s\n", page)
	}
}

// statusPlan is what --dry-run says of --status.
type statusPlan struct {
	Bucket  string   `json:"bucket"`
	Objects []string `json:"objects"`
	Page    string   `json:"page,omitempty"` // its URL, where the bucket's URL tells it
	Entry   string   `json:"entry"`          // what this probe adds to
	Stale   float64  `json:"staleSeconds"`
}

// planStatus returns nil without --status.
func (p *probing) planStatus(ctx context.Context, every time.Duration) (*statusPlan, error) {
	public, err := p.openStatus(ctx)
	if public == nil || err != nil {
		return nil, err
	}
	at, err := address.Parse(p.flags.status)
	if err != nil {
		return nil, err
	}
	return &statusPlan{
		Bucket: at.Shown(), Objects: status.Objects(), Page: public.page, Entry: public.Entry(), Stale: status.Stale(every).Seconds(),
	}, nil
}

func (s *statusPlan) write(p *probing) {
	fmt.Fprintf(p.stdout, "\nPublic status of %s: %s in %s, stale %s after a run\n", s.Entry, strings.Join(s.Objects, ", "), s.Bucket,
		(time.Duration(s.Stale) * time.Second).String())
	if s.Page != "" {
		fmt.Fprintf(p.stdout, "  %s\n", s.Page)
	}
}
