package place

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
)

// Map holds places, cables and prices. It is immutable and safe for concurrent
// use; [Map.With] makes a changed copy.
type Map struct {
	cables *cables
	prices *prices
	sites  map[Place]*Site
	alias  map[Place]Place // other spelling → place
	sorted []Site          // sorted by place
	clouds map[string][]*Site
	joints map[Spot]*joint // of every place
}

// Embedded returns the map that is built in.
func Embedded() *Map { return embedded() }

var embedded = sync.OnceValue(func() *Map {
	t := tables()
	m, err := newMap(t.cables, t.prices, t.sites)
	if err != nil {
		panic("place: places.csv: " + err.Error())
	}
	return m
})

// newMap checks the sites and indexes them.
func newMap(c *cables, p *prices, sites []Site) (*Map, error) {
	m := &Map{cables: c, prices: p, sites: make(map[Place]*Site, len(sites)), alias: map[Place]Place{}, clouds: map[string][]*Site{}, joints: map[Spot]*joint{}}
	m.sorted = slices.Clone(sites)
	slices.SortFunc(m.sorted, func(a, b Site) int { return a.Compare(b.Place) })
	var errs []error
	for i := range m.sorted {
		s := &m.sorted[i]
		if err := s.complete(); err != nil {
			errs = append(errs, err)
			continue
		}
		if m.sites[s.Place] != nil {
			errs = append(errs, fmt.Errorf("place %s is there twice", s.Place))
			continue
		}
		m.sites[s.Place] = s
		m.clouds[s.Cloud] = append(m.clouds[s.Cloud], s)
		if m.joints[s.Spot] == nil {
			j := c.join(s.Spot, nil)
			m.joints[s.Spot] = &j
		}
	}
	for i := range m.sorted {
		s := &m.sorted[i]
		for _, a := range s.Aliases {
			other := Place{s.Cloud, a}
			if taken, ok := m.alias[other]; ok || m.sites[other] != nil {
				errs = append(errs, fmt.Errorf("place %s: alias %q is taken by %s", s.Place, a, cmpOr(taken, other)))
				continue
			}
			m.alias[other] = s.Place
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

func cmpOr(a, b Place) Place {
	if a.IsZero() {
		return b
	}
	return a
}

// complete checks a site and fills in the fields that follow from the others.
func (s *Site) complete() error {
	wrap := func(err error) error { return fmt.Errorf("place %s: %w", s.Place, err) }
	if err := s.check(); err != nil {
		return err
	}
	if err := s.Point.check(); err != nil {
		return wrap(err)
	}
	continent := Continent(s.Country)
	if continent == "" {
		return wrap(fmt.Errorf("country %q is no ISO 3166-1 alpha-2 code, such as DE", s.Country))
	}
	for _, a := range s.Aliases {
		if !grammar.MatchString(a) {
			return wrap(fmt.Errorf("alias %q is not a name of lower-case letters, digits and hyphens", a))
		}
	}
	if err := s.Price.check(); err != nil {
		return wrap(err)
	}
	s.Continent = continent
	if s.Name == "" {
		s.Name = s.Region
	}
	if s.Partition == "" {
		s.Partition = partition(s.Place)
	}
	if s.Status == "" {
		s.Status = "ga"
	}
	if !slices.Contains(statuses, s.Status) {
		return wrap(fmt.Errorf("status %q: want one of %v", s.Status, statuses))
	}
	return nil
}

// With returns a copy of the map with places added or corrected. If a site's
// place is already on the map, only the fields that the site sets are changed,
// and its aliases are added to the existing ones. A new site needs coordinates
// and a country. The error joins all faults found.
func (m *Map) With(sites ...Site) (*Map, error) {
	next := maps.Clone(m.sites)
	var errs []error
	given := map[Place]bool{}
	for _, s := range sites {
		if given[s.Place] {
			errs = append(errs, fmt.Errorf("place %s is given twice", s.Place))
			continue
		}
		given[s.Place] = true
		if to, ok := m.alias[s.Place]; ok {
			errs = append(errs, fmt.Errorf("place %s is another spelling of %s: correct that one", s.Place, to))
			continue
		}
		if old := m.sites[s.Place]; old != nil {
			s = s.over(*old)
		} else if s.Source == "" {
			s.Source = "config"
		}
		if err := s.complete(); err != nil {
			errs = append(errs, err)
			continue
		}
		next[s.Place] = &s
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	all := make([]Site, 0, len(next))
	for _, s := range next {
		all = append(all, *s)
	}
	return newMap(m.cables, m.prices, all)
}

// over returns old with the fields that s sets replaced.
func (s Site) over(old Site) Site {
	if s.Point != (Point{}) || s.Country != "" {
		// The old source does not describe a place that has moved.
		old.Source, old.Confidence = "config", ""
	}
	if s.Point != (Point{}) {
		old.Point = s.Point
	}
	if s.Country != "" {
		old.Country = s.Country
	}
	for _, f := range []struct{ to, from *string }{
		{&old.Name, &s.Name}, {&old.City, &s.City}, {&old.Subdivision, &s.Subdivision}, {&old.Partition, &s.Partition},
		{&old.Status, &s.Status}, {&old.Confidence, &s.Confidence}, {&old.Source, &s.Source}, {&old.Note, &s.Note},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	for _, a := range s.Aliases {
		if !slices.Contains(old.Aliases, a) {
			old.Aliases = append(slices.Clip(old.Aliases), a)
		}
	}
	old.Price = s.Price.Over(old.Price)
	return old
}

// Sites returns all places, sorted. The caller must not change the result.
func (m *Map) Sites() []Site { return m.sorted }

// Find returns what the map knows about a place. It also accepts an alias.
func (m *Map) Find(p Place) (Site, bool) {
	if s := m.site(p); s != nil {
		return *s, true
	}
	return Site{}, false
}

func (m *Map) site(p Place) *Site {
	if s := m.sites[p]; s != nil {
		return s
	}
	return m.sites[m.alias[p]]
}

// Resolve finds the place on the map for a region, spelled as in the cloud's
// address feed.
func (m *Map) Resolve(cloud, region string) (Place, bool) {
	if s := m.site(Place{cloud, region}); s != nil {
		return s.Place, true
	}
	return Place{}, false
}

// HasCloud reports whether the map has a region of that cloud.
func (m *Map) HasCloud(cloud string) bool { return len(m.clouds[cloud]) > 0 }

// Clouds returns the names of all clouds on the map, sorted.
func (m *Map) Clouds() []string { return slices.Sorted(maps.Keys(m.clouds)) }

// Nearest returns the region of a cloud that is nearest to a spot along the
// cables. It prefers regions in the spot's own country, and among those,
// regions open to all customers (status ga, main partition). Ties are broken by
// name.
func (m *Map) Nearest(cloud string, at Spot) (Site, bool) {
	s := m.nearest(cloud, at, func(*Site) bool { return true })
	if s == nil {
		return Site{}, false
	}
	return *s, true
}

func (m *Map) nearest(cloud string, at Spot, fits func(*Site) bool) *Site {
	at, ok := at.located()
	if !ok {
		return nil
	}
	var best *Site
	bestRank, bestKm := 0, math.Inf(1)
	for _, s := range m.clouds[cloud] {
		if !fits(s) {
			continue
		}
		rank := 0
		if s.Country != at.Country {
			rank += 2
		}
		if s.Status != "ga" || s.Partition != s.Cloud {
			rank++
		}
		km := m.km(at, s.Spot)
		if best == nil || rank < bestRank || rank == bestRank && km < bestKm {
			best, bestRank, bestKm = s, rank, km
		}
	}
	return best
}
