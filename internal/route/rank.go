package route

import (
	"math"
	"slices"
	"sync/atomic"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
)

// Ranked is one candidate seen from one place.
type Ranked struct {
	// Candidate is its index.
	Candidate int
	// RTT is the round trip in milliseconds, estimated or from the operator's matrix.
	RTT float64
	// Price is the price of sending a GB from it to this place.
	Price place.Quote
	// Score is RTT + weight × cents; the lowest comes first.
	Score float64
}

// Ranking is the order of the active candidates that may serve clients of one place. Immutable.
type Ranking struct {
	// ID numbers the places of a snapshot from 0. It is an index into [Snapshot.Places]. Clients known only by
	// coordinates have the ID of their cloud.
	ID int
	// Place is the place with that ID.
	Place place.Place
	// All holds stores and upstreams, Upstreams only the upstreams.
	All, Upstreams []Ranked
	// Pinned holds every active candidate, whichever clients it serves. It is filled only when there are pins.
	Pinned []Ranked
	// Outside says that the cloud has candidates, but none at its own price for this place. Then All also has the
	// cheaper ones of the stores that serve `internet`.
	Outside bool

	listed bool   // a place on the map
	lots   uint64 // the place's part of the lots in compare
}

// First returns the candidate that answers req when it is healthy and holds it; [NoCandidate] for an empty ranking.
func (r *Ranking) First(req *oci.Request) int {
	order := r.Upstreams
	if req.Kind == oci.KindBlob && req.Digest.InStores() {
		order = r.All
	}
	if len(order) == 0 {
		return NoCandidate
	}
	return order[0].Candidate
}

// Cents returns the price of a GB from candidate i for clients of this place, in US cents; infinite when i does not
// serve them.
func (r *Ranking) Cents(i int) float64 {
	for k := range r.All {
		if r.All[k].Candidate == i {
			return r.All[k].Price.Cents
		}
	}
	return math.Inf(1)
}

// rankPlaces compiles the ranking of every place on the map, of every cloud and partition with an unknown region, and
// of the unknown place, so that the request path only looks up.
func (s *Snapshot) rankPlaces() {
	sites, unlisted := s.opt.Map.Sites(), s.opt.Map.UnlistedPlaces()
	s.rankings = make(map[place.Place]*Ranking, len(sites)+len(unlisted)+1)
	for _, site := range sites {
		s.addRanking(site.Place, site.Spot, true).listed = true
	}
	for _, p := range unlisted {
		if s.rankings[p] != nil {
			continue // the config has a region of that name
		}
		if site, ok := s.opt.Map.StandIn(p, s.home); ok {
			s.addRanking(p, site.Spot, true)
		} else {
			s.addRanking(p, s.home, s.hasHome)
		}
	}
	s.addRanking(place.Place{}, s.home, s.hasHome)
}

func (s *Snapshot) addRanking(at place.Place, spot place.Spot, hasSpot bool) *Ranking {
	r := s.rank(at, spot, hasSpot, hashString(at.String()))
	r.ID = len(s.rankings)
	s.rankings[at] = r
	return r
}

// Changed lists, in words, the places whose first choice for a blob differs between s and old.
func (s *Snapshot) Changed(old *Snapshot) []string {
	var out []string
	for p, r := range s.rankings {
		was := "none"
		if o, ok := old.rankings[p]; ok {
			was = old.first(o)
		}
		if now := s.first(r); now != was {
			name := p.String()
			if p.IsZero() {
				name = "unknown"
			}
			out = append(out, name+": "+was+" → "+now)
		}
	}
	slices.Sort(out)
	return out
}

func (s *Snapshot) first(r *Ranking) string {
	if len(r.All) == 0 {
		return "none"
	}
	return s.Candidates[r.All[0].Candidate].Name
}

// Places lists everything that has a ranking, by [Ranking.ID]: every place, every cloud and partition with unknown
// region, and unknown.
func (s *Snapshot) Places() []place.Place {
	out := make([]place.Place, len(s.rankings))
	for p, r := range s.rankings {
		out[r.ID] = p
	}
	return out
}

// Ranking returns the candidates as c sees them. It never allocates for a place on the map. Clients known only by
// coordinates are ranked once for each 1° cell, and the result is kept in bounded memory.
func (s *Snapshot) Ranking(c *Client) *Ranking {
	if c.Ranking != nil {
		return c.Ranking
	}
	r, ok := s.rankings[c.Place]
	if !ok {
		r = s.rankUnlisted(c.Place)
	}
	if c.HasSpot && !r.listed {
		return s.cellRanking(c.Spot, r)
	}
	return r
}

// rankUnlisted ranks for clients whose region is not on the map; an unknown cloud ranks like no cloud.
func (s *Snapshot) rankUnlisted(at place.Place) *Ranking {
	if r, ok := s.rankings[s.opt.Map.Unlisted(at.Cloud, at.Region)]; ok {
		return r
	}
	return s.rankings[place.Place{}]
}

func (s *Snapshot) rank(at place.Place, spot place.Spot, hasSpot bool, lots uint64) *Ranking {
	r := &Ranking{Place: at, Outside: s.outside(at), lots: lots}
	var internet []Ranked
	for i := range s.Candidates {
		if !s.active.Has(i) {
			continue
		}
		serves := s.Serves(i, at.Cloud)
		more := r.Outside && !serves && s.Candidates[i].Serves.Internet
		if !serves && !more && !s.confines {
			continue
		}
		e := s.score(i, at, spot, hasSpot)
		if serves {
			r.All = append(r.All, e)
		}
		if more {
			internet = append(internet, e)
		}
		if s.confines {
			r.Pinned = append(r.Pinned, e)
		}
	}
	order := func(a, b Ranked) int { c, _ := s.compare(lots, &a, &b); return c }
	slices.SortFunc(r.All, order)
	r.All = append(r.All, cheaper(internet, r.All)...)
	slices.SortFunc(r.All, order)
	slices.SortFunc(r.Pinned, order)
	for _, e := range r.All {
		if s.upstreams.Has(e.Candidate) {
			r.Upstreams = append(r.Upstreams, e)
		}
	}
	return r
}

func (s *Snapshot) score(i int, at place.Place, spot place.Spot, hasSpot bool) Ranked {
	c := &s.Candidates[i]
	e := Ranked{Candidate: i, RTT: s.rtt(i, at, spot, hasSpot)}
	e.Price = s.opt.Map.Quote(place.Source{Place: c.Place, CDN: c.CDN, Override: c.Price}, at, spot, s.opt.Sent)
	e.Score = e.RTT + s.opt.CostWeight*e.Price.Cents
	return e
}

func (s *Snapshot) rtt(i int, at place.Place, spot place.Spot, hasSpot bool) float64 {
	c := &s.Candidates[i]
	switch {
	case c.CDN != "":
		return place.AnycastRTT
	case at.Region != "" && at == c.Place:
		return place.SamePlaceRTT
	}
	if at.Region != "" {
		if ms, ok := s.opt.Matrix.Between(at, c.Place); ok {
			return ms
		}
	}
	if !hasSpot || !s.hasSpot[i] {
		return place.UnknownRTT
	}
	return s.opt.Map.RTT(spot, s.spots[i])
}

// cellSlots bounds the cache of coordinate rankings. It is a direct-mapped cache, so the worst case is that a ranking
// is computed again, never more memory.
const cellSlots = 4096

type cellKey struct {
	at       place.Place
	country  string
	lat, lon int16
}

type cell struct {
	key     cellKey
	ranking *Ranking
}

type cellCache [cellSlots]atomic.Pointer[cell]

// cellRanking ranks for clients of an unlisted place that are known to be at spot; r is the place's ranking.
func (s *Snapshot) cellRanking(spot place.Spot, r *Ranking) *Ranking {
	k := cellKey{r.Place, spot.Country, int16(math.Floor(spot.Lat)), int16(math.Floor(spot.Lon))}
	lots := r.lots ^ hashString(k.country)*31 ^ uint64(uint16(k.lat))*0x9e3779b1 ^ uint64(uint16(k.lon))*0x85ebca77
	slot := &s.cells[lots%cellSlots]
	if hit := slot.Load(); hit != nil && hit.key == k {
		return hit.ranking
	}
	centre := place.Spot{Point: place.Point{Lat: float64(k.lat) + 0.5, Lon: float64(k.lon) + 0.5}, Country: k.country}
	next := s.rank(k.at, centre, true, lots)
	next.ID = r.ID
	slot.Store(&cell{k, next})
	return next
}
