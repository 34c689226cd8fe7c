package config

import (
	"reflect"
	"slices"
	"time"
)

// Default is the configuration of a file that says nothing but its version.
func Default() *Config {
	c := new(Config)
	Fill(c)
	return c
}

// Fill sets the defaults of v, a pointer to any struct of the file. It is the one place where defaults are written, and
// runs before the keys of the file are read into v. Keys whose default depends on others (a store's check, a feed's
// URL, a place's partition, the idle time-out behind a load balancer) are completed when the whole file is read.
func Fill(v any) {
	switch v := v.(type) {
	case *Config:
		v.Version = Version
		v.Listen = ":8080"
		Fill(&v.Admin)
		Fill(&v.Client)
		Fill(&v.Probe)
		Fill(&v.TLS)
		Fill(&v.Limits)
		Fill(&v.Ranges)
		Fill(&v.Route)
		Fill(&v.Health)
		Fill(&v.Log)
	case *Admin:
		v.Listen = "127.0.0.1:9090"
	case *Name:
		v.Role = Primary
	case *Client:
		v.Behind.Preset = "direct"
	case *Probe:
		v.MaxRPS = 50
	case *TLS:
		v.MinVersion = "1.2"
	case *Limits:
		v.MaxConnections = 20_000
		v.HeaderBytes = 16 << 10
		v.ReadHeaderTimeout = 10 * time.Second
		v.ReadTimeout = 30 * time.Second
		v.WriteTimeout = 30 * time.Second
		v.IdleTimeout = 75 * time.Second // validator.limits makes it sharedIdle behind a load balancer
		v.MaxStreams = 250
		v.CheckTimeout = time.Second
		v.StoreRecords = 5_000_000 // validator.limits makes it diskRecords with ranges.cache
		v.Digests = 2 * v.StoreRecords
		v.Drain = 20 * time.Second
	case *Ranges:
		v.Refresh = 6 * time.Hour
	case *Upstream:
		v.Serves.All = true
		v.Lag = 10 * time.Minute
		v.State = Active
		v.Families = Families{IPv4: true, IPv6: true}
	case *Store:
		v.State = Active
		v.Rollout = 100
		v.Families = Families{IPv4: true, IPv6: true}
	case *Inventory:
		v.Refresh = 60 * time.Second
		v.StaleAfter = 24 * time.Hour
	case *Route:
		v.CostWeight = 5
	case *Health:
		v.Interval = 30 * time.Second
		v.IdleInterval = 5 * time.Minute
		v.Timeout = 5 * time.Second
	case *Log:
		v.Requests = 1
		v.Client = LogPrefix
		v.Level = "info"
		v.Format = "json"
	case *Mirror: // not part of Config's own: a file without the stanza mirrors nothing
		v.Listing = ListAuto
		v.Referrers = true
		v.RequestsPerSecond = 50
		v.Parallel = 16
		v.Copy = CopyAuto
		v.Interval = 15 * time.Minute
		Fill(&v.Spool)
	case *Promote: // like Mirror
		v.RequireStores = "healthy"
		v.StoreTimeout = 15 * time.Minute
		v.Lease = "default"
	case *Spool:
		v.Bytes = 20 << 30
	}
}

// diskRecords is the default of limits.storeRecords with ranges.cache, where segments and table are files: public registries have
// up to some tens of millions of blobs. Without it all is in memory: five million records are what the 256 MiB of segments
// have room for that a refresh may hold, and twice as many digests take 420 MB.
const diskRecords = 25_000_000

// sharedIdle is the default of limits.idleTimeout where a load balancer sends many clients' requests over one connection:
// above 620 s, which Google's asks for.
const sharedIdle = 650 * time.Second

// feedURLs are the providers' own addresses. Azure publishes under a new one each week, so it has none here.
var feedURLs = map[Provider]string{
	AWS:      "https://ip-ranges.amazonaws.com/ip-ranges.json",
	GCP:      "https://www.gstatic.com/ipranges/cloud.json",
	Oracle:   "https://docs.oracle.com/en-us/iaas/tools/public_ip_ranges.json",
	Exoscale: "https://exoscale-prefixes.sos-ch-dk-2.exo.io/exoscale_prefixes.json",
	Vultr:    "https://geofeed.constant.com/?json",
}

// UsualFeeds returns the feeds that can be fetched without a config: those of the built-in clouds whose address is
// stable. The address of Azure's feed is not stable.
func UsualFeeds() []Feed {
	var feeds []Feed
	for _, p := range []Provider{AWS, GCP, Oracle, Exoscale, Vultr} {
		feeds = append(feeds, Feed{Provider: p, URL: feedURLs[p]})
	}
	return append(feeds,
		Feed{Provider: Geofeed, Cloud: "digitalocean", URL: "https://digitalocean.com/geo/google.csv"},
		Feed{Provider: Geofeed, Cloud: "linode", URL: "https://geoip.linode.com/"})
}

// SeedVariable is the environment variable with the seed of configs that name none. Images with feeds set it.
const SeedVariable = "OCI_PROXY_SEED"

// DefaultSeed sets `ranges.seed` to dir in a config that has none. "" changes nothing.
func (c *Config) DefaultSeed(dir string) {
	if dir == "" || c.Ranges.Seed != "" {
		return
	}
	c.Ranges.Seed = dir
	c.Warnings = slices.DeleteFunc(c.Warnings, func(w *Error) bool { return w.Message == noCopies })
}

// complete fills the keys whose default depends on other keys. It runs after validation found no fault.
func (c *Config) complete() {
	if reflect.ValueOf(c.Client.Behind).IsZero() {
		Fill(&c.Client) // behind: {}
	}
	for i := range c.Stores {
		if s := &c.Stores[i]; s.Check == "" {
			s.Check = s.URL
		}
	}
	for i := range c.Ranges.Feeds {
		if f := &c.Ranges.Feeds[i]; f.URL == "" && f.File == "" {
			f.URL = feedURLs[f.Provider]
		}
	}
}
