package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

// Ranges says which addresses belong to which place: overrides first, then feeds by longest prefix, then GeoIP.
type Ranges struct {
	// Refresh is how often the server fetches feeds again, if they changed.
	Refresh time.Duration `yaml:"refresh"`
	// Cache is a directory for the last good copy of each feed and inventory. Without it, a restart begins with the
	// seed.
	Cache string `yaml:"cache"`
	// Seed is a directory of feed files in the container image. The server starts with them when it has neither network
	// nor cache. Each file has the name of its feed: `aws.json`, `gcp.json`, `azure.json`. A geofeed has the name of
	// its cloud: `linode.csv`. The second feed of a kind has a number: `csv-2.csv`. The server logs each feed that has
	// no file. `oci-proxyctl ranges fetch` fills such a directory. The environment variable `OCI_PROXY_SEED` names the
	// default: the project's images set it.
	Seed string `yaml:"seed"`
	// Feeds are the published address ranges to load.
	Feeds []Feed `yaml:"feeds"`
	// Overrides are your own address ranges. They have priority over every feed. If two of them overlap, the longest
	// prefix counts.
	Overrides []RangeOverride `yaml:"overrides"`
	// GeoIP locates addresses that are not in any feed.
	GeoIP GeoIP `yaml:"geoip"`
}

// Feed is the list of IP ranges that a provider publishes.
type Feed struct {
	// Provider is the format. For `aws`, `gcp`, `azure`, `oracle`, `exoscale` and `vultr` it is the cloud too.
	// `geofeed` is RFC 8805 (DigitalOcean, Linode). `csv` has lines of `prefix,place`.
	Provider Provider `yaml:"provider" rule:"required"`
	// Cloud is the cloud whose ranges a `geofeed` lists. Each row becomes the nearest region of that cloud.
	Cloud string `yaml:"cloud"`
	// URL is the address of the feed. Default: the provider's own address, if it has a stable one. `azure`, `geofeed`
	// and `csv` need `url` or `file`.
	URL string `yaml:"url"`
	// File is a file to read instead of a URL. The server reads it again at each refresh.
	File string `yaml:"file"`
	// Insecure permits an `http://` URL. Use it only for tests: anyone on the network path could change the places of
	// clients.
	Insecure bool `yaml:"insecure"`
}

// RangeOverride assigns one of your own ranges to a place.
type RangeOverride struct {
	// CIDR is the range, without host bits: `198.51.100.0/24`.
	CIDR netip.Prefix `yaml:"cidr" rule:"required"`
	// Place is the place of the range.
	Place place.Place `yaml:"place" rule:"required"`
}

// GeoIP is the fallback for addresses that are not in any feed. It uses MaxMind DB (mmdb) files that you supply.
type GeoIP struct {
	// City is an mmdb file with coordinates or countries.
	City string `yaml:"city"`
	// ASN is an mmdb file with autonomous system numbers.
	ASN string `yaml:"asn"`
	// Clouds says which AS number belongs to which cloud: `{16509: aws}`. It needs `asn`.
	Clouds map[uint32]string `yaml:"clouds"`
}

// Enabled reports whether any mmdb file is configured.
func (g GeoIP) Enabled() bool { return g.City != "" || g.ASN != "" }

// places adds the file's places to the built-in map, one by one so that each fault has its line.
func (v *validator) places() {
	v.m = place.Embedded()
	for _, p := range v.c.declaredPlaces() {
		v.declared[p] = true
		at := "places." + p.String()
		s := v.c.Places[p]
		before := len(v.faults)
		v.price(at+".price", s.Price)
		if (s.Lat == nil) != (s.Lon == nil) {
			v.fail(at, "", "lat and lon belong together")
		}
		if v.broken(at) || len(v.faults) > before {
			continue
		}
		_, known := v.m.Find(p)
		if !known && (s.Lat == nil || s.Country == "") {
			v.fail(at, "only corrections of a built-in place may leave them out", "a new place needs lat, lon and country")
			continue
		}
		m, err := v.m.With(s.site(p))
		if err != nil {
			for _, err := range split(err) {
				v.fail(at, "", "%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("place %s: ", p)))
			}
			continue
		}
		v.m = m
	}
	v.c.places = v.m
}

// broken reports whether anything at or below a path could not be read.
func (v *validator) broken(at string) bool {
	for p := range v.bad {
		if p == at || strings.HasPrefix(p, at+".") {
			return true
		}
	}
	return false
}

func (c *Config) declaredPlaces() []place.Place {
	out := make([]place.Place, 0, len(c.Places))
	for p := range c.Places {
		out = append(out, p)
	}
	slices.SortFunc(out, place.Place.Compare)
	return out
}

func (v *validator) ranges() {
	r := v.c.Ranges
	if r.Refresh < time.Second {
		v.fail("ranges.refresh", "6h is plenty: providers change their ranges a few times a week", "refresh must be at least 1s")
	}
	feeds := map[Feed]int{}
	for i, f := range r.Feeds {
		at := fmt.Sprintf("ranges.feeds[%d]", i)
		v.feed(at, f)
		if v.broken(at) || f.Provider == "" {
			continue
		}
		if first, dup := feeds[f]; dup {
			v.fail(at, "keep one", "this feed is listed already, as ranges.feeds[%d]", first)
			continue
		}
		feeds[f] = i
	}
	seen := map[netip.Prefix]int{}
	for i := range r.Overrides {
		o := &r.Overrides[i]
		at := fmt.Sprintf("ranges.overrides[%d]", i)
		v.place(at+".place", &o.Place)
		if !o.CIDR.IsValid() {
			continue
		}
		if first, dup := seen[o.CIDR]; dup {
			v.fail(at+".cidr", "keep one", "%s is listed already, as ranges.overrides[%d]", o.CIDR, first)
			continue
		}
		seen[o.CIDR] = i
	}
	for asn, cloud := range r.GeoIP.Clouds {
		v.cloud(fmt.Sprintf("ranges.geoip.clouds.%d", asn), cloud)
	}
	if len(r.GeoIP.Clouds) > 0 && r.GeoIP.ASN == "" {
		v.fail("ranges.geoip.clouds", "", "clouds needs asn, the file that knows AS numbers")
	}
}

// Sent returns the bytes of MonthlyTB.
func (r Route) Sent() float64 { return price.TiB.Times(r.MonthlyTB) }

func (v *validator) feed(at string, f Feed) {
	if f.URL != "" && f.File != "" {
		v.fail(at, "keep one of them", "a feed has a url or a file")
	}
	if f.URL != "" {
		v.url(at+".url", f.URL, urlRule{query: true, insecure: f.Insecure})
	}
	if v.bad[at+".provider"] {
		return
	}
	if f.URL == "" && f.File == "" && feedURLs[f.Provider] == "" {
		hint := ""
		if f.Provider == Azure {
			hint = "Azure's file has a new address each week: download it and name it as file, or serve it at a url of your own"
		}
		v.fail(at, hint, "a feed of the provider %s needs a url or a file", f.Provider)
	}
	switch {
	case f.Provider == Geofeed && f.Cloud == "":
		v.fail(at, "cloud: digitalocean", "a geofeed needs cloud: the cloud whose ranges it lists")
	case f.Provider == Geofeed:
		v.cloud(at+".cloud", f.Cloud)
	case f.Cloud != "":
		v.fail(at+".cloud", "remove it", "the provider %s says the cloud itself", f.Provider)
	}
}

func (v *validator) route() {
	r := v.c.Route
	if r.CostWeight < 0 {
		v.fail("route.costWeight", "", "costWeight is negative")
	}
	if r.MonthlyTB < 0 {
		v.fail("route.monthlyTB", "", "monthlyTB is negative")
	}
	candidates := v.candidateNames()
	seen := map[string]int{}
	for i, p := range r.Pins {
		at := fmt.Sprintf("route.pin[%d]", i)
		if !v.broken(at) {
			v.pinned(at, p, seen, i)
		}
		for j, name := range p.To {
			if _, ok := v.names[name]; !ok {
				v.fail(fmt.Sprintf("%s.to[%d]", at, j), suggestion(name, candidates, "candidates"), "unknown candidate %q", shorten(name))
			}
		}
	}
}

func (v *validator) pinned(at string, p Pin, seen map[string]int, i int) {
	who := p.Cloud
	if p.CIDR.IsValid() {
		who = p.CIDR.String()
	}
	switch {
	case who == "":
		v.fail(at, "", "a pin needs cidr or cloud")
		return
	case p.CIDR.IsValid() && p.Cloud != "":
		v.fail(at, "make two pins of it", "a pin has cidr or cloud, not both")
		return
	case p.Cloud != "":
		v.cloud(at+".cloud", p.Cloud)
	}
	if first, dup := seen[who]; dup {
		v.fail(at, "the first one that matches counts: remove one", "%s is pinned already, by route.pin[%d]", who, first)
	} else {
		seen[who] = i
	}
	if len(p.To) == 0 {
		v.fail(at+".to", "name upstreams or stores", "the list is empty")
	}
}
