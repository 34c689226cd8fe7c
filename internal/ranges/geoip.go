package ranges

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"ociproxy/internal/config"
	"ociproxy/internal/fetch"
	"ociproxy/internal/place"
)

// asnClouds maps AS numbers to the cloud whose customers send from them. AWS China (55960, 135629) is left out: it is
// a partition of its own, and a guessed cloud must not get the price of another partition.
//
// Source: the clouds' entries in PeeringDB, 2026.
var asnClouds = map[uint32]string{
	16509: "aws", 14618: "aws",
	15169: "gcp", 396982: "gcp",
	8075:  "azure",
	31898: "oracle",
	14061: "digitalocean",
	63949: "linode",
	20473: "vultr",
	61098: "exoscale",
}

// maxMMDB is far above the largest city file sold (some 130 MB).
const maxMMDB = 1 << 30

// geoIP locates addresses by the operator's mmdb files. Its zero value knows no address.
type geoIP struct {
	city, asn *geoFile // nil: not configured
	clouds    map[uint32]string
}

// newGeoIP shares the files that previous already has. The files do not depend on the map, and a good file stays in
// use even if it breaks on disk just before a reload.
func newGeoIP(c config.GeoIP, m *place.Map, previous *geoIP) (*geoIP, error) {
	g := &geoIP{clouds: maps.Clone(asnClouds)}
	for asn, cloud := range c.Clouds {
		if !m.HasCloud(cloud) {
			return nil, fmt.Errorf("geoip: AS%d: cloud %q is not on the map", asn, cloud)
		}
		g.clouds[asn] = cloud
	}
	g.city = previous.city.orNew("geoip-city", c.City)
	g.asn = previous.asn.orNew("geoip-asn", c.ASN)
	return g, nil
}

func (g *geoIP) files() []*geoFile {
	var files []*geoFile
	for _, f := range []*geoFile{g.city, g.asn} {
		if f != nil {
			files = append(files, f)
		}
	}
	return files
}

// spot returns where the city file places the address: its coordinates, or the middle of its country.
func (g *geoIP) spot(a netip.Addr) (place.Spot, bool) {
	db := g.city.db()
	if db == nil {
		return place.Spot{}, false
	}
	// The schema of GeoIP2, GeoLite2 and DB-IP.
	var rec struct {
		Country struct {
			ISO string `maxminddb:"iso_code"`
		} `maxminddb:"country"`
		Registered struct {
			ISO string `maxminddb:"iso_code"`
		} `maxminddb:"registered_country"`
		Location struct {
			Lat *float64 `maxminddb:"latitude"`
			Lon *float64 `maxminddb:"longitude"`
		} `maxminddb:"location"`
	}
	if r := db.Lookup(a); !r.Found() || r.Decode(&rec) != nil {
		return place.Spot{}, false
	}
	country := or(rec.Country.ISO, rec.Registered.ISO)
	if lat, lon := rec.Location.Lat, rec.Location.Lon; lat != nil && lon != nil && onGlobe(*lat, *lon) {
		return place.Spot{Point: place.Point{Lat: *lat, Lon: *lon}, Country: country}, true
	}
	return place.CountrySpot(country)
}

// onGlobe rejects impossible coordinates, including NaN, and (0, 0), which means "unknown".
func onGlobe(lat, lon float64) bool {
	return lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180 && (lat != 0 || lon != 0)
}

// cloud returns the cloud that owns the address's AS number, or "" for none.
func (g *geoIP) cloud(a netip.Addr) string {
	db := g.asn.db()
	if db == nil {
		return ""
	}
	var rec struct {
		ASN uint32 `maxminddb:"autonomous_system_number"`
	}
	if r := db.Lookup(a); !r.Found() || r.Decode(&rec) != nil {
		return ""
	}
	return g.clouds[rec.ASN]
}

// geoFile is one mmdb file, held in memory. If it were memory-mapped, replacing the file in place would crash the
// process.
type geoFile struct {
	path    string
	fetcher *fetch.Fetcher
	reader  atomic.Pointer[maxminddb.Reader]

	asking  sync.Mutex // one read at a time; guards pending
	pending *maxminddb.Reader

	mu     sync.Mutex // guards status
	status FeedStatus
}

func newGeoFile(name, path string) *geoFile {
	f := &geoFile{path: path, status: FeedStatus{Name: name, Provider: "geoip", Source: path}}
	f.fetcher = fetch.New(fetch.Source{File: path, MaxBytes: maxMMDB, Validate: f.validate})
	return f
}

// orNew returns f if f reads that path, else a new geoFile. It returns nil when path is empty.
func (f *geoFile) orNew(name, path string) *geoFile {
	switch {
	case path == "":
		return nil
	case f != nil && f.path == path:
		return f
	}
	return newGeoFile(name, path)
}

// db returns the file in use, or nil when there is none.
func (f *geoFile) db() *maxminddb.Reader {
	if f == nil {
		return nil
	}
	return f.reader.Load()
}

// validate opens the file and looks up some addresses. This finds truncated files and files of another kind.
func (f *geoFile) validate(body []byte) error {
	db, err := maxminddb.OpenBytes(body)
	if err != nil {
		return err
	}
	for _, a := range []string{"1.1.1.1", "52.95.110.1", "203.0.113.1", "2600:1f00::1", "2a00:1450::1"} {
		var rec any
		addr := netip.MustParseAddr(a)
		if addr.Is6() && db.Metadata.IPVersion == 4 {
			continue
		}
		if err := db.Lookup(addr).Decode(&rec); err != nil {
			return fmt.Errorf("look up %s: %w", a, err)
		}
	}
	if db.Metadata.NodeCount == 0 {
		return errors.New("holds no networks")
	}
	f.pending = db
	return nil
}

func (f *geoFile) local() bool { return true }

// get reads the file when it has changed. If the new file is broken, the last good one stays in use.
func (f *geoFile) get(ctx context.Context) (changed bool, err error) {
	f.asking.Lock()
	defer f.asking.Unlock()
	_, changed, err = f.fetcher.Get(ctx)
	if changed {
		f.reader.Store(f.pending)
		f.pending = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.record(err, err == nil)
	if err == nil {
		f.status.From, f.status.LastGood = "file", f.fetcher.Checked()
		f.status.Rows = int(f.reader.Load().Metadata.NodeCount)
	}
	return changed, err
}

func (f *geoFile) report(now time.Time) FeedStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status.at(now)
}
