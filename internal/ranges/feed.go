package ranges

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/fetch"
	"ociproxy/internal/place"
)

// feed follows one provider's ranges.
type feed struct {
	name    string
	config  config.Feed
	format  format
	resolve resolver
	fetcher *fetch.Fetcher
	source  string

	asking  sync.Mutex // one exchange at a time; guards pending
	pending *parsed    // the result of validate (called by the fetcher) for the last body it accepted

	mu     sync.Mutex  // guards the fields below
	good   *parsed     // in use; nil: none yet
	known  fetch.State // the fetcher's state for good, if the copy came from the fetcher
	status FeedStatus
}

// parsed is a feed that passed its guards.
type parsed struct {
	body      []byte // as published, to be parsed again with another map
	entries   []Entry
	space     space
	skipped   int // see FeedStatus
	conflicts int
	unknown   int
	regions   []string // regions that are not on the map, sorted
}

func newFeed(name string, c config.Feed, cfg config.Ranges, m *place.Map, opts Options) (*feed, error) {
	form, ok := formats[c.Provider]
	if !ok {
		return nil, fmt.Errorf("feed %s: unknown provider %q", name, c.Provider)
	}
	cloud := or(form.cloud, c.Cloud)
	if c.Provider == config.Geofeed && !m.HasCloud(cloud) {
		return nil, fmt.Errorf("feed %s: cloud %q is not on the map", name, cloud)
	}
	if c.URL == "" && c.File == "" {
		return nil, fmt.Errorf("feed %s: needs url or file", name)
	}
	f := &feed{
		name: name, config: c, format: form, source: or(c.File, c.URL),
		resolve: resolver{feed: name, cloud: cloud, sites: m},
	}
	f.status = FeedStatus{Name: name, Provider: string(c.Provider), Source: f.source}
	src := fetch.Source{URL: c.URL, File: c.File, Client: opts.Client, Timeout: opts.Timeout, Validate: f.validate}
	if c.Provider == config.Azure {
		src.Key = "azure" // the URL moves every week, the document is the same
	}
	if cfg.Cache != "" {
		src.Cache = filepath.Join(cfg.Cache, "ranges", name)
	}
	f.fetcher = fetch.New(src)
	return f, nil
}

// local reports whether the feed is a file on this machine.
func (f *feed) local() bool { return f.config.File != "" }

// validate parses a body and applies the guards. It leaves the result in pending.
func (f *feed) validate(body []byte) error {
	p, err := f.parse(body)
	if err == nil {
		if good := f.current(); good != nil {
			err = checkSpace(good.space, p.space)
		}
	}
	if err != nil {
		return err
	}
	f.pending = p
	return nil
}

func (f *feed) parse(body []byte) (*parsed, error) {
	rows, err := f.format.parse(body)
	if err != nil {
		return nil, err
	}
	rows, skipped, err := f.format.kind.check(rows)
	if err != nil {
		return nil, err
	}
	p := &parsed{body: body, space: measure(rows), skipped: skipped}
	p.entries, p.conflicts, err = f.resolve.entries(rows)
	if err != nil {
		return nil, err
	}
	for _, e := range p.entries {
		if !e.HasSpot {
			p.unknown++
			p.regions = append(p.regions, or(e.Region, "(none)"))
		}
	}
	slices.Sort(p.regions)
	p.regions = slices.Compact(p.regions)
	return p, nil
}

func (f *feed) current() *parsed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.good
}

// get asks the source once. It reports whether there are new entries, and what went wrong.
func (f *feed) get(ctx context.Context) (changed bool, err error) {
	f.asking.Lock()
	defer f.asking.Unlock()
	_, changed, err = f.fetcher.Get(ctx)
	var unkept *fetch.CacheError
	isGood := err == nil || errors.As(err, &unkept)
	from := "url"
	switch {
	case !isGood:
		from = "cache" // the source failed, but a copy on disk had not been loaded yet
	case f.local():
		from = "file"
	}
	switch {
	case changed:
		f.adopt(f.pending, from, f.fetcher.Checked())
	case isGood:
		f.confirm(from, f.fetcher.Checked())
	}
	f.pending = nil
	f.record(err, isGood)
	return changed, err
}

// adopt puts a copy in use.
func (f *feed) adopt(p *parsed, from string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.use(p)
	f.status.From, f.status.LastGood = from, at
}

// use makes p the copy in use; f.mu is held.
func (f *feed) use(p *parsed) {
	f.good, f.known = p, f.fetcher.State()
	f.status.Rows = len(p.entries)
	f.status.Skipped, f.status.Conflicts = p.skipped, p.conflicts
	f.status.Unknown, f.status.UnknownRegions = p.unknown, p.regions
}

// confirm records that the copy in use is current.
func (f *feed) confirm(from string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = f.fetcher.State()
	f.status.From, f.status.LastGood = from, at
}

// record stores the outcome of an attempt.
func (f *feed) record(err error, isGood bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.record(err, isGood)
}

// report returns a copy of the feed's state, with its age at now.
func (f *feed) report(now time.Time) FeedStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status.at(now)
}
