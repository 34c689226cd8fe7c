package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/region"
)

// Candidate is a store or upstream of the world: one that the config has, or a possible one.
type Candidate struct {
	Name string
	// Site is its place on the map; only the zero Site for a CDN.
	Site place.Site
	// Exists says that it is active today.
	Exists bool
	// Fixed says that no set is without it: an upstream, a CDN, a store without a bucket, or one that a rule of the config
	// names.
	Fixed bool
	// Why says why it is fixed, or what is special about it, as a sentence without its full stop; "" for nothing.
	Why string
	// Stanza is the text for the config. It is "" for one that the config has, and for a possible store whose names do not
	// follow from another store.
	Stanza string

	store    *config.Store    // nil: an upstream
	upstream *config.Upstream // nil: a store
}

// Cloud returns the cloud that it is in; "" for a CDN.
func (c *Candidate) Cloud() string { return c.Site.Cloud }

// possible are the statuses of regions in which a new store may be: everybody can have a bucket there.
const possible = "ga"

// candidates lists what the config has and what could be: one store in each region of the clouds in which the config has
// a bucket, in the same partition. only lists clouds; nil: all.
func candidates(cfg *config.Config, only []string, now time.Time) ([]Candidate, error) {
	var out []Candidate
	named := namedStores(cfg)
	taken := map[place.Place]bool{}
	for i := range cfg.Stores {
		s := cfg.Stores[i]
		if s.State != config.Active && s.State != config.Filling {
			continue
		}
		c := Candidate{Name: s.Name, Exists: s.State == config.Active, store: &s}
		if site, ok := cfg.Map().Find(s.Place); ok && s.CDN == "" {
			c.Site = site
			taken[site.Place] = true
		}
		switch {
		case s.CDN != "":
			c.Fixed, c.Why = true, "a CDN is in no region"
		case s.Bucket == "":
			c.Fixed, c.Why = true, "the config has no bucket for it"
		case named[s.Name] != "":
			c.Fixed, c.Why = true, named[s.Name]+" names it"
		}
		if c.Fixed && !c.Exists {
			continue
		}
		out = append(out, c)
	}
	for _, site := range cfg.Map().Sites() {
		if taken[site.Place] || site.Status != possible || only != nil && !slices.Contains(only, site.Cloud) {
			continue
		}
		c, ok, err := newStore(cfg, site, now)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, c)
		}
	}
	for i := range cfg.Upstreams {
		u := cfg.Upstreams[i]
		c := Candidate{Name: u.Name, Exists: u.State == config.Active, Fixed: true, Why: "an upstream", upstream: &u}
		c.Site, _ = cfg.Map().Find(u.Place)
		out = append(out, c)
	}
	return out, nil
}

// namedStores returns which stores pins and direct names need, and by which key. Without such a store the config is
// invalid.
func namedStores(cfg *config.Config) map[string]string {
	out := map[string]string{}
	for _, p := range cfg.Route.Pins {
		for _, name := range p.To {
			out[name] = "route.pin"
		}
	}
	for _, n := range cfg.Names {
		for _, name := range n.Candidates {
			out[name] = "names"
		}
	}
	return out
}

// newStore drafts the store of a region, as region add does. It returns false when the config has no bucket in the cloud
// and partition of the region. Where the names of the nearest store do not spell its region, the new one gets
// placeholders: what a region costs does not depend on names.
func newStore(cfg *config.Config, site place.Site, now time.Time) (Candidate, bool, error) {
	like := bucketIn(cfg, site)
	if like == nil {
		return Candidate{}, false, nil
	}
	c := Candidate{Site: site}
	draft, err := region.Make(cfg, region.Wish{Place: site.Place, Now: now})
	switch refusal, ok := errors.AsType[*region.Refusal](err); {
	case err == nil:
		s := draft.Store
		c.Name, c.Stanza, c.store = draft.Name, draft.Text, &s
	case ok:
		s := *like
		s.Name = strings.ReplaceAll(site.Place.String(), "/", "-")
		s.Place, s.Price, s.Check = site.Place, place.Override{}, ""
		s.URL = "https://" + s.Name + ".invalid/{digest}"
		c.Name, c.store, c.Why = s.Name, &s, refusal.Reason
	default:
		return Candidate{}, false, err
	}
	if slices.ContainsFunc(cfg.Stores, func(s config.Store) bool { return s.Name == c.Name }) ||
		slices.ContainsFunc(cfg.Upstreams, func(u config.Upstream) bool { return u.Name == c.Name }) {
		return Candidate{}, false, fmt.Errorf("the store of %s would be called %s, and the config has another one of that name", site.Place, c.Name)
	}
	return c, true, nil
}

// bucketIn returns a store with a bucket in the cloud and partition of a region; nil: there is none.
func bucketIn(cfg *config.Config, site place.Site) (best *config.Store) {
	m, least := cfg.Map(), 0.0
	for i := range cfg.Stores {
		s := &cfg.Stores[i]
		if s.CDN != "" || s.Bucket == "" || s.State == config.Off || !m.OneCloud(s.Place, site.Place) {
			continue
		}
		at, _ := m.Find(s.Place)
		if rtt := m.RTT(at.Spot, site.Spot); best == nil || rtt < least {
			best, least = s, rtt
		}
	}
	return best
}

// active returns the stanza with which a candidate takes all clients that it may get.
func (c *Candidate) active() config.Store {
	s := *c.store
	s.State, s.Rollout, s.Announce = config.Active, 100, config.Announce{}
	s.Check = cmp.Or(s.Check, s.URL)
	return s
}
