package hostlist

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/store/address"
)

// Main returns the list for the registry's primary names, and for each name that the config does not list.
func Main(cfg *config.Config) (*endpoints.List, error) { return For(cfg, nil) }

// For returns the list for one of cfg's names; nil stands for the primary ones. A direct name has only its candidates
// and the canonical upstream. The error says that the list has too many hosts.
func For(cfg *config.Config, name *config.Name) (*endpoints.List, error) {
	b := builder{cfg: cfg}
	if name != nil && name.Role == config.Direct {
		b.only = map[string]bool{}
		for _, c := range name.Candidates {
			b.only[c] = true
		}
	}
	b.names(name)
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		if !u.Canonical && b.hidden(u.Name, u.State, u.Announce) {
			continue
		}
		b.candidate(endpoints.Endpoint{
			Kind: endpoints.Upstream, Families: u.Families.Names(), Provider: u.Place.Cloud, Region: u.Place.Region,
			Since: u.Announce.From, Until: u.Announce.Until,
		}, u.URL, u.RedirectsTo)
	}
	for i := range cfg.Stores {
		s := &cfg.Stores[i]
		if b.hidden(s.Name, s.State, s.Announce) {
			continue
		}
		e := endpoints.Endpoint{
			Kind: endpoints.Store, Families: s.Families.Names(), Provider: s.CDN, Since: s.Announce.From, Until: s.Announce.Until,
		}
		if s.CDN == "" {
			e.Provider, e.Region = s.Place.Cloud, s.Place.Region
		}
		before, _ := s.Parts()
		if bucket, ok := address.OfURL(before); ok {
			e.Bucket, e.Objects = bucket.ARN(), bucket.Prefix
		}
		b.candidate(e, before, s.RedirectsTo)
	}
	b.wildcards()
	if len(b.all) > endpoints.MaxEndpoints {
		return nil, fmt.Errorf("endpoints: the list has %d hosts, more than %d: list fewer `names`", len(b.all), endpoints.MaxEndpoints)
	}
	return endpoints.New(b.all, cfg.Endpoints.Notice), nil
}

// builder collects the endpoints of one list.
type builder struct {
	cfg  *config.Config
	only map[string]bool // the candidates of a direct name; nil: all
	all  []endpoints.Endpoint
}

// hidden reports whether clients are not sent to a candidate, and are not yet told that they will be.
func (b *builder) hidden(name string, state config.State, a config.Announce) bool {
	return b.only != nil && !b.only[name] || state == config.Off || state == config.Filling && a.From.IsZero()
}

// names adds the registry's own names: a direct name stands alone; the others are listed with the primary ones, which
// serve the same.
func (b *builder) names(name *config.Name) {
	for i := range b.cfg.Names {
		n := &b.cfg.Names[i]
		if n == name || b.only == nil && n.Role == config.Primary {
			for _, host := range n.Hosts {
				b.all = append(b.all, endpoints.Endpoint{Host: host, Port: 443, Kind: endpoints.Registry})
			}
		}
	}
}

// candidate adds the host of target, and the hosts that it redirects to.
func (b *builder) candidate(e endpoints.Endpoint, target string, redirectsTo []string) {
	u, err := url.Parse(target)
	if err != nil {
		return // package config has checked it
	}
	e.Host, e.Port, e.Insecure = strings.ToLower(u.Hostname()), 443, u.Scheme == "http"
	if e.Insecure {
		e.Port = 80
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		e.Port = uint16(n)
	}
	b.all = append(b.all, e)
	for _, to := range redirectsTo {
		host, port, err := config.HostPort(to)
		if err != nil {
			continue // likewise
		}
		// Which families and which region the other server has, the config does not say.
		b.all = append(b.all, endpoints.Endpoint{Host: host, Port: port, Kind: endpoints.Redirect, Since: e.Since, Until: e.Until})
	}
}

// wildcards adds the published patterns; to the list of a direct name only those that cover one of its hosts.
func (b *builder) wildcards() {
	hosts := b.all
	for _, p := range b.cfg.Endpoints.Wildcards {
		if b.only == nil || slices.ContainsFunc(hosts, func(e endpoints.Endpoint) bool {
			_, err := netip.ParseAddr(e.Host)
			return err != nil && endpoints.Covers(p, e.Host)
		}) {
			b.all = append(b.all, endpoints.Endpoint{Host: p, Port: 443, Kind: endpoints.Wildcard})
		}
	}
}
