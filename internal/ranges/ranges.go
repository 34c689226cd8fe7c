package ranges

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// Values of Client.By.
const (
	ByOverride = "override" // the operator's own range
	ByFeed     = "feed"     // a provider's published range
	ByGeoIP    = "geoip"    // the operator's mmdb files
)

// Client is what the server knows about an address.
type Client struct {
	Place   place.Place // zero: unknown; if only the cloud is known: see [place.Map.Unlisted]
	Spot    place.Spot  // location of Place; the location by the GeoIP files when the region is not known
	HasSpot bool
	Entry   *Entry // the range that decided; nil for GeoIP and unknown addresses
	By      string // ByOverride, ByFeed, ByGeoIP, or "" for an unknown address
}

// Options are what [New] takes besides the config. All fields may be zero.
type Options struct {
	Logger  *slog.Logger  // default: none
	Client  *http.Client  // for feeds; default http.DefaultClient
	Timeout time.Duration // for one exchange; default fetch.DefaultTimeout

	// Previous is the value that a reload replaces; nil at the start. A feed whose config has not changed keeps the
	// copy that Previous has in use, located on the new map, so a reload never knows less than before. The same is
	// true for the GeoIP files. Previous may stay in use during and after the reload.
	Previous *Ranges
}

// Ranges locates addresses and keeps its feeds fresh. It is safe for concurrent use.
type Ranges struct {
	table     atomic.Pointer[Table]
	overrides []Entry
	feeds     []*feed
	geo       *geoIP
	refresh   time.Duration
	log       *slog.Logger

	building  sync.Mutex // one rebuild at a time; guards conflicts
	conflicts []int      // for each feed: its conflicts with earlier feeds, in the table in use
}

// New loads what is on this machine (local files, last good copies, seeds, GeoIP files). The result is ready to
// locate addresses. New does not use the network: call Run or Refresh for that. An error means that cfg does not fit
// the map. Files that cannot be read are not an error here; Status reports them.
func New(cfg config.Ranges, m *place.Map, opts Options) (*Ranges, error) {
	r := &Ranges{refresh: cfg.Refresh, log: opts.Logger}
	if r.refresh <= 0 {
		r.refresh = defaultRefresh
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	for _, o := range cfg.Overrides {
		e, err := overrideEntry(o, m)
		errs = append(errs, err)
		r.overrides = append(r.overrides, e)
	}
	names := map[string]int{}
	for _, c := range cfg.Feeds {
		f, err := newFeed(feedName(c, names), c, cfg, m, opts)
		errs = append(errs, err)
		r.feeds = append(r.feeds, f)
	}
	var err error
	previous := opts.Previous
	if previous == nil {
		previous = &Ranges{geo: &geoIP{}}
	}
	r.geo, err = newGeoIP(cfg.GeoIP, m, previous.geo)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}

	var wg sync.WaitGroup
	for _, f := range r.feeds {
		wg.Go(func() { f.start(cfg.Seed, previous.feed(f.config)) })
	}
	for _, f := range r.geo.files() {
		wg.Go(func() { _, _ = f.get(context.Background()) }) // the outcome is in the status
	}
	wg.Wait()
	for _, s := range r.Status() {
		if s.LastError != "" {
			r.log.Warn("load ranges", "feed", s.Name, "error", s.LastError, "using", or(s.From, "nothing"))
		}
		if s.NoSeed {
			r.log.Warn("ranges.seed has no file for this feed", "feed", s.Name, "seed", cfg.Seed,
				"want", fmt.Sprintf("%[1]s.json, %[1]s.csv or %[1]s", s.Name))
		}
	}
	r.rebuild()
	return r, nil
}

// feed returns the feed with config c, or nil when there is none.
func (r *Ranges) feed(c config.Feed) *feed {
	for _, f := range r.feeds {
		if f.config == c {
			return f
		}
	}
	return nil
}

// feedName returns the name of the provider, or of the cloud for a geofeed. The second feed with the same name and
// later ones get a number: csv, csv-2. The name is used in status and metrics, and for the feed's files in cache and
// seed.
func feedName(c config.Feed, names map[string]int) string {
	name := string(c.Provider)
	if c.Provider == config.Geofeed {
		name = c.Cloud
	}
	names[name]++
	if n := names[name]; n > 1 {
		name = fmt.Sprintf("%s-%d", name, n)
	}
	return name
}

func overrideEntry(o config.RangeOverride, m *place.Map) (Entry, error) {
	if !o.CIDR.IsValid() {
		return Entry{}, fmt.Errorf("override for %s: no cidr", o.Place)
	}
	if !m.HasCloud(o.Place.Cloud) {
		return Entry{}, fmt.Errorf("override %s: cloud %q is not on the map", o.CIDR, o.Place.Cloud)
	}
	e := Entry{Prefix: o.CIDR.Masked(), Place: o.Place, Feed: OverridesFeed, Region: o.Place.Region}
	if site, ok := m.Find(o.Place); ok {
		e.Place, e.Spot, e.HasSpot = site.Place, site.Spot, true
	} else if o.Place.Region != "" {
		return Entry{}, fmt.Errorf("override %s: place %s is not on the map", o.CIDR, o.Place)
	}
	return e, nil
}

// Locate returns what is known about an address. It reads only immutable snapshots and allocates only for GeoIP.
func (r *Ranges) Locate(a netip.Addr) Client {
	a = a.Unmap()
	e, ok := r.table.Load().Lookup(a)
	if !ok {
		return r.locateGeoIP(a)
	}
	c := Client{Place: e.Place, Spot: e.Spot, HasSpot: e.HasSpot, Entry: e, By: ByFeed}
	if e.Override {
		c.By = ByOverride
	}
	if !c.HasSpot {
		c.Spot, c.HasSpot = r.geo.spot(a)
	}
	return c
}

func (r *Ranges) locateGeoIP(a netip.Addr) Client {
	c := Client{Place: place.Place{Cloud: r.geo.cloud(a)}}
	c.Spot, c.HasSpot = r.geo.spot(a)
	if c.HasSpot || !c.Place.IsZero() {
		c.By = ByGeoIP
	}
	return c
}

// Table returns the table in use.
func (r *Ranges) Table() *Table { return r.table.Load() }

// Status reports on all feeds in the order of the config, then on the GeoIP files.
func (r *Ranges) Status() []FeedStatus {
	now := time.Now()
	r.building.Lock()
	conflicts := r.conflicts
	r.building.Unlock()
	var all []FeedStatus
	for i, f := range r.feeds {
		s := f.report(now)
		if conflicts != nil {
			s.Conflicts += conflicts[i]
		}
		all = append(all, s)
	}
	for _, f := range r.geo.files() {
		all = append(all, f.report(now))
	}
	return all
}

// rebuild makes a table of all good copies and puts it in use.
func (r *Ranges) rebuild() {
	r.building.Lock()
	defer r.building.Unlock()
	feeds := make([][]Entry, len(r.feeds))
	for i, f := range r.feeds {
		if p := f.current(); p != nil {
			feeds[i] = p.entries
		}
	}
	t, conflicts := newTable(r.overrides, feeds)
	r.table.Store(t)
	r.conflicts = conflicts
}
