// Package routing says what the routing of a config knows of candidates and client places, for the console: where they
// are, what the canonical upstream costs there.
//
// It knows snapshots and the map. It must not know what the figures are, who shows them.
package routing

import (
	"math"

	"ociproxy/internal/console/view"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

// Facts are those of one snapshot. They are immutable.
type Facts struct {
	of     *route.Snapshot
	spots  map[string]view.Spot
	prices map[string]float64 // of the canonical upstream, cents a GiB; infinite: it does not serve that place
}

// Of returns the facts of a snapshot whose regions are those of m.
func Of(m *place.Map, s *route.Snapshot) *Facts {
	out := &Facts{of: s, spots: map[string]view.Spot{}, prices: map[string]float64{}}
	for _, site := range m.Sites() {
		out.spots[site.Place.String()] = view.Spot{Lat: site.Lat, Lon: site.Lon, Known: site.Point != (place.Point{})}
	}
	for _, p := range s.Places() {
		out.prices[Name(p.Cloud, p.Region)] = s.Ranking(&route.Client{Place: p}).Cents(s.Canonical)
	}
	return out
}

// Are reports whether f are the facts of s. A nil f are those of nothing.
func (f *Facts) Are(s *route.Snapshot) bool { return f != nil && f.of == s }

// Spot says where a place is.
func (f *Facts) Spot(name string) view.Spot { return f.spots[name] }

// Canonical returns the price of a GiB from the canonical upstream to clients of a place, in US cents.
func (f *Facts) Canonical(name string) (cents float64, known bool) {
	cents, known = f.prices[name]
	return cents, known && !math.IsInf(cents, 0)
}

// Candidates returns the candidates in the order of the snapshot. Those that the config takes out are drained; of the
// others the state is not known.
func (f *Facts) Candidates() []view.Candidate {
	out := make([]view.Candidate, len(f.of.Candidates))
	for i := range f.of.Candidates {
		c := &f.of.Candidates[i]
		out[i] = view.Candidate{Name: c.Name, Kind: kind(c), Place: c.Place.String(), Of: 1, State: view.NotKnown}
		if c.CDN != "" {
			out[i].Place = c.CDN
		}
		out[i].Spot = f.spots[out[i].Place]
		switch {
		case !c.Active && c.Announced != "":
			out[i].State, out[i].Why = view.Drained, c.Announced
		case !c.Active:
			out[i].State, out[i].Why = view.Drained, "state: "+c.State+" in the config"
		}
	}
	return out
}

func kind(c *route.Candidate) string {
	switch {
	case c.Canonical:
		return "canonical"
	case c.Kind == route.Upstream:
		return "replica"
	}
	return "store"
}

// Name returns the name of a client's place on the console.
func Name(cloud, region string) string {
	if cloud == "" {
		return "unknown"
	}
	return place.Place{Cloud: cloud, Region: region}.String()
}
