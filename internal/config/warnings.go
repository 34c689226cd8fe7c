package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// warnings finds what is allowed but seldom meant. It runs on a file without faults.
func (v *validator) warnings() {
	c := v.c
	if c.Location.IsZero() {
		v.warn("location", "location: the place where this instance runs", "location is not set: for clients that the server cannot locate it ranks by price only")
	}
	v.warnAdmin()
	v.warnFront()
	v.warnFeeds()
	v.warnBilling()
	v.warnUnserved()
	for i, o := range c.Ranges.Overrides {
		for j, p := range c.Ranges.Overrides[:i] {
			if o.Place != p.Place && o.CIDR.Overlaps(p.CIDR) {
				v.warn(fmt.Sprintf("ranges.overrides[%d].cidr", i), "", "%s overlaps ranges.overrides[%d], %s: the longer prefix wins", o.CIDR, j, p.CIDR)
			}
		}
	}
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		v.warnRegion(fmt.Sprintf("upstreams[%d].url", i), u.URL, u.Place.Cloud, u.Place.Region)
	}
	urls := map[string]string{}
	for i := range c.Stores {
		s := &c.Stores[i]
		at := fmt.Sprintf("stores[%d]", i)
		if s.CDN == "" {
			v.warnRegion(at+".url", s.URL, s.Place.Cloud, s.Place.Region)
		}
		if first := urls[s.URL]; first != "" {
			v.warn(at+".url", "", "the URL is that of %s: both fail together", first)
		}
		urls[s.URL] = s.Name
		if u, err := url.Parse(s.URL); err == nil && s.Families.IPv6 && ipv4OnlyS3.MatchString(u.Hostname()) {
			v.warn(at+".url", "write s3.dualstack.REGION, or families: [ipv4]", "this S3 host has no IPv6 address")
		}
		if s.CDN == "other" && s.Price.Internet == nil {
			v.warn(at, "price: {internet: 4}", "no price is known for this CDN: it counts as free")
		}
	}
	v.warnConfined()
	v.warnUnnamed()
	c.Warnings = sorted(c.Warnings)
}

func (v *validator) warnRegion(at, raw, cloud, region string) {
	u, err := url.Parse(raw)
	if err != nil {
		return
	}
	if hostCloud, host := HostRegion(u.Hostname()); host != "" && (hostCloud != cloud || host != region) {
		v.warn(at, "one of the two is wrong", "the host is in %s/%s, the place is %s/%s", hostCloud, host, cloud, region)
	}
}

// warnAdmin warns of an operators' port that anyone may reach.
func (v *validator) warnAdmin() {
	host, _, err := net.SplitHostPort(v.c.Admin.Listen)
	if err != nil {
		return // no such port
	}
	const hint = "listen on 127.0.0.1 or a private address; or make sure that only operators reach this port"
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && addr.IsUnspecified():
		v.warn("admin", hint, "the operators' port listens on all interfaces: anyone who reaches it can read profiles and use explain, without login")
	case err == nil && addr.Unmap().IsGlobalUnicast() && !addr.Unmap().IsPrivate():
		v.warn("admin", hint, "the operators' port listens on a public address: anyone who reaches it can read profiles and use explain, without login")
	}
}

// idle is how long a front keeps idle connections: ours must be kept longer.
var idle = map[string]time.Duration{
	"google-lb": 620 * time.Second, // cloud.google.com/load-balancing/docs/https: 600 s, servers 620 s
	"aws-alb":   60 * time.Second,  // docs.aws.amazon.com: idle_timeout.timeout_seconds
}

func (v *validator) warnFront() {
	front := v.c.Client.Behind.Preset
	if min := idle[front]; v.c.Limits.IdleTimeout < min {
		v.warn("limits.idleTimeout", fmt.Sprintf("%s or more", formatDuration(min)), "%s reuses connections for longer: some requests will fail with 502", front)
	}
}

// noCopies is the warning for a config that keeps no copies of feeds.
const noCopies = "neither cache nor seed is set: after a restart without network the server knows the place of no client"

// warnFeeds names the clouds that the file speaks of and whose clients it cannot recognise.
func (v *validator) warnFeeds() {
	r := v.c.Ranges
	located, csv := r.located()
	said := map[string]bool{}
	need := func(at, cloud string) {
		if csv || cloud == "" || located[cloud] || said[cloud] {
			return
		}
		said[cloud] = true
		hint := fmt.Sprintf("add a feed for %s under `ranges.feeds:`, or its ranges under `ranges.overrides:`", cloud)
		v.warn(at, hint, "no feed and no override says which clients are in %s", cloud)
	}
	for i, s := range v.c.Stores {
		for _, cloud := range s.Serves.Clouds {
			need(v.item(fmt.Sprintf("stores[%d].serves", i), cloud), cloud)
		}
		need(fmt.Sprintf("stores[%d].place", i), s.Place.Cloud)
	}
	for i, u := range v.c.Upstreams {
		for _, cloud := range u.Serves.Clouds {
			need(v.item(fmt.Sprintf("upstreams[%d].serves", i), cloud), cloud)
		}
		need(fmt.Sprintf("upstreams[%d].place", i), u.Place.Cloud)
	}
	for i, p := range v.c.Route.Pins {
		need(fmt.Sprintf("route.pin[%d].cloud", i), p.Cloud)
	}
	fetched := slices.ContainsFunc(r.Feeds, func(f Feed) bool { return f.File == "" })
	if fetched && r.Cache == "" && r.Seed == "" {
		v.warn("ranges", "cache: a directory that survives a restart", noCopies)
	}
}

// located are the clouds that feeds, overrides and GeoIP's own list name; csv says that a list of the operator's own may name any.
func (r Ranges) located() (clouds map[string]bool, csv bool) {
	clouds = map[string]bool{}
	for _, f := range r.Feeds {
		clouds[f.cloud()] = true
		csv = csv || f.Provider == CSV
	}
	for _, o := range r.Overrides {
		clouds[o.Place.Cloud] = true
	}
	for _, cloud := range r.GeoIP.Clouds {
		clouds[cloud] = true
	}
	return clouds, csv
}

// Recognises reports whether clients of a cloud can be told from others.
func (r Ranges) Recognises(cloud string) bool {
	clouds, csv := r.located()
	return csv || clouds[cloud] || r.GeoIP.ASN != "" // the AS numbers of most clouds are built in
}

// cloud whose clients the feed recognises, "" for a csv.
func (f Feed) cloud() string {
	switch f.Provider {
	case Geofeed:
		return f.Cloud
	case CSV:
		return ""
	default:
		return string(f.Provider)
	}
}

// Served lists the clouds that an active store or upstream names, or that an upstream lives in, sorted. Clients of all
// others belong to the stores that serve `internet`.
func (c *Config) Served() []string {
	named := map[string]bool{}
	for i := range c.Stores {
		if s := &c.Stores[i]; s.State == Active {
			for _, cloud := range s.Serves.Clouds {
				named[cloud] = true
			}
		}
	}
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		named[u.Place.Cloud] = true
		if u.State == Active {
			for _, cloud := range u.Serves.Clouds {
				named[cloud] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// Unserved lists the clouds that this file can recognise and that are not Served. Sorted.
func (c *Config) Unserved() []string {
	served := c.Served()
	var out []string
	for _, f := range c.Ranges.Feeds {
		if cloud := f.cloud(); cloud != "" && !slices.Contains(served, cloud) && !slices.Contains(out, cloud) {
			out = append(out, cloud)
		}
	}
	slices.Sort(out)
	return out
}

// InternetStores names the stores that serve the rest of the internet, in file order.
func (c *Config) InternetStores() []string {
	var out []string
	for _, s := range c.Stores {
		if (s.Serves.Internet || s.Serves.All) && s.State == Active {
			out = append(out, s.Name)
		}
	}
	return out
}

func (v *validator) warnUnserved() {
	clouds, stores := v.c.Unserved(), v.c.InternetStores()
	for _, s := range v.c.Stores {
		if s.State == Filling { // it will serve them
			clouds = slices.DeleteFunc(clouds, func(cloud string) bool { return slices.Contains(s.Serves.Clouds, cloud) })
		}
	}
	if len(clouds) == 0 || len(v.c.Stores) == 0 {
		return
	}
	to := "the upstreams, since no store serves the internet"
	if len(stores) > 0 {
		to = "the internet stores (" + strings.Join(stores, ", ") + ")"
	}
	v.warn("stores", "this is fine if it is what you want to pay for", "no store names %s: their clients go to %s", strings.Join(clouds, ", "), to)
}

func (v *validator) warnConfined() {
	off := map[string]bool{}
	for _, s := range v.c.Stores {
		off[s.Name] = s.State != Active
	}
	for _, u := range v.c.Upstreams {
		off[u.Name] = u.State != Active
	}
	idle := func(names []string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !off[n] })
	}
	for i := range v.c.Names {
		if n := &v.c.Names[i]; n.Role == Direct && idle(n.Candidates) {
			v.warn(fmt.Sprintf("names[%d].candidates", i), "", "none of these takes traffic: requests for this name go to the canonical upstream")
		}
	}
	for i, p := range v.c.Route.Pins {
		if idle(p.To) {
			v.warn(fmt.Sprintf("route.pin[%d].to", i), "", "none of these takes traffic: the pinned clients go to the canonical upstream")
		}
	}
}

// warnUnnamed warns of a list of endpoints, for which this config says something, without the registry itself.
func (v *validator) warnUnnamed() {
	c := v.c
	announced := slices.ContainsFunc(c.Stores, func(s Store) bool { return s.Announce != Announce{} }) ||
		slices.ContainsFunc(c.Upstreams, func(u Upstream) bool { return u.Announce != Announce{} })
	if c.Endpoints.Notice == 0 && len(c.Endpoints.Wildcards) == 0 && !announced {
		return
	}
	if !slices.ContainsFunc(c.Names, func(n Name) bool { return n.Role == Primary }) {
		v.warn("endpoints", "names: [{hosts: [registry.example.org]}]",
			"the published list does not have this registry itself, because `names` has no primary name: a firewall that follows the list blocks the registry")
	}
}
