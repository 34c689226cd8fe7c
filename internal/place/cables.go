package place

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Round-trip times, in milliseconds, that do not come from a distance.
const (
	SamePlaceRTT = 1.0   // both ends in one region
	AnycastRTT   = 15.0  // to the nearest edge of a CDN
	UnknownRTT   = 150.0 // one end is at an unknown place
)

// The line fitted to measured round trips between AWS regions: the cost of a
// path before its first kilometre, and the cost per 1000 km of cable. Light in
// fibre alone would take 10 ms per 1000 km there and back.
const (
	rttBase  = 12.0
	rttPerMm = 13.3
)

// GreatCircleRTT estimates the round trip without cables: it assumes one
// straight cable along the great circle. Use it to compare with [Map.RTT].
func GreatCircleRTT(a, b Point) float64 { return toRTT(a.Km(b)) }

func toRTT(km float64) float64 { return rttBase + rttPerMm*km/1000 }

// RTT estimates the round trip between two spots in milliseconds: 12 + 13.3 for
// each 1000 km of the shortest path over the cable graph. The great circle
// connects two spots that share a zone; otherwise each spot connects to the
// hubs of its zones. RTT is symmetric. An unknown spot is [UnknownRTT] away.
func (m *Map) RTT(a, b Spot) float64 {
	a, okA := a.located()
	b, okB := b.located()
	if !okA || !okB {
		return UnknownRTT
	}
	return toRTT(m.km(a, b))
}

// km returns the length of the shortest path between two located spots. The
// joints of the map's places are computed in advance; km computes the joints of
// other spots, without allocating.
func (m *Map) km(a, b Spot) float64 {
	var spaceA, spaceB [64]toHub
	var newA, newB joint
	ja, jb := m.joints[a], m.joints[b]
	if ja == nil {
		newA = m.cables.join(a, spaceA[:])
		ja = &newA
	}
	if jb == nil {
		newB = m.cables.join(b, spaceB[:])
		jb = &newB
	}
	return m.cables.km(ja, jb)
}

// cables is the graph of long-haul cables. After close it is complete and never
// changes.
type cables struct {
	hubs       []hub
	byID       map[string]int
	zoneIDs    map[string]zones // zone name → the set with only this zone
	links      []cable
	countries  map[string]zones
	continents map[string]zones
	far        [][]float64 // km between all pairs of hubs along the graph
}

// zones is a set of zones, one bit each.
type zones uint64

type hub struct {
	at   vector
	zone zones
}

type cable struct {
	a, b int
	km   float64
}

func newCables() *cables {
	return &cables{byID: map[string]int{}, zoneIDs: map[string]zones{}, countries: map[string]zones{}, continents: map[string]zones{}}
}

// hub reads a row of hubs.csv.
func (c *cables) hub(f []string) error {
	if _, dup := c.byID[f[0]]; dup || f[0] == "" || f[1] == "" {
		return fmt.Errorf("hub %q is there twice, or lacks a name or zone", f[0])
	}
	at, err := parsePoint(f[2], f[3])
	if err != nil {
		return err
	}
	z, ok := c.zoneIDs[f[1]]
	if !ok {
		if len(c.zoneIDs) == 64 {
			return fmt.Errorf("more than 64 zones")
		}
		z = 1 << len(c.zoneIDs)
		c.zoneIDs[f[1]] = z
	}
	c.byID[f[0]] = len(c.hubs)
	c.hubs = append(c.hubs, hub{at.vector(), z})
	return nil
}

// link reads a row of links.csv.
func (c *cables) link(f []string) error {
	a, okA := c.byID[f[0]]
	b, okB := c.byID[f[1]]
	if !okA || !okB || f[0] >= f[1] {
		return fmt.Errorf("want two known hubs in alphabetic order")
	}
	if c.hubs[a].zone == c.hubs[b].zone {
		return fmt.Errorf("both hubs are in one zone: they are linked anyway")
	}
	km := c.hubs[a].at.km(c.hubs[b].at)
	if f[2] != "" {
		var err error
		if km, err = strconv.ParseFloat(f[2], 64); err != nil || !(km > 0 && km < 40000) {
			return fmt.Errorf("km %q: want a number up to 40000", f[2])
		}
	}
	for _, l := range c.links {
		if l.a == a && l.b == b {
			return fmt.Errorf("the link is there twice")
		}
	}
	c.links = append(c.links, cable{a, b, km})
	return nil
}

// zone reads a row of zones.csv.
func (c *cables) zone(f []string, known map[string]country) error {
	var set zones
	for _, name := range strings.Fields(f[2]) {
		z, ok := c.zoneIDs[name]
		if !ok {
			return fmt.Errorf("zone %q has no hub", name)
		}
		set |= z
	}
	into := c.continents
	switch f[0] {
	case "continent":
	case "country":
		into = c.countries
		if _, ok := known[f[1]]; !ok {
			return fmt.Errorf("unknown country %q", f[1])
		}
	default:
		return fmt.Errorf("kind %q: want country or continent", f[0])
	}
	if _, dup := into[f[1]]; dup || set == 0 {
		return fmt.Errorf("%s is there twice, or in no zone", f[1])
	}
	into[f[1]] = set
	return nil
}

// close gives each country that is not listed the zones of its continent. It
// also computes the distance between all pairs of hubs (Floyd and Warshall:
// some fifty hubs, 0.1 ms), so that a later round trip costs only a few
// additions.
func (c *cables) close(known map[string]country) error {
	for code, k := range known {
		if c.countries[code] == 0 && c.continents[k.continent] != 0 {
			c.countries[code] = c.continents[k.continent]
		}
	}
	n := len(c.hubs)
	c.far = make([][]float64, n)
	for i := range n {
		c.far[i] = make([]float64, n)
		for j := range n {
			switch {
			case i == j:
			case c.hubs[i].zone == c.hubs[j].zone:
				c.far[i][j] = c.hubs[i].at.km(c.hubs[j].at)
			default:
				c.far[i][j] = math.Inf(1)
			}
		}
	}
	for _, l := range c.links {
		c.far[l.a][l.b], c.far[l.b][l.a] = l.km, l.km
	}
	for k := range n {
		for i := range n {
			for j := range n {
				c.far[i][j] = min(c.far[i][j], c.far[i][k]+c.far[k][j])
			}
		}
	}
	for i := range n {
		if math.IsInf(c.far[0][i], 1) {
			return fmt.Errorf("links.csv: a hub cannot be reached from the first one")
		}
	}
	return nil
}

// zonesOf returns the zones of a spot: those of its country. If neither the
// country nor its continent has zones (Antarctica), it returns the zone of the
// nearest hub.
func (c *cables) zonesOf(s Spot, at vector) zones {
	if z := c.countries[s.Country]; z != 0 {
		return z
	}
	nearest, best := zones(0), math.Inf(1)
	for _, h := range c.hubs {
		if d := h.at.km(at); d < best {
			nearest, best = h.zone, d
		}
	}
	return nearest
}

// joint connects a spot to the graph: the hubs of its zones and their
// distances.
type joint struct {
	at    vector
	zones zones
	hubs  []toHub
}

type toHub struct {
	hub int
	km  float64
}

// join computes the joint of a spot. It uses space as memory for the hubs.
func (c *cables) join(s Spot, space []toHub) joint {
	j := joint{at: s.vector(), hubs: space[:0]}
	j.zones = c.zonesOf(s, j.at)
	for i, h := range c.hubs {
		if h.zone&j.zones != 0 {
			j.hubs = append(j.hubs, toHub{i, h.at.km(j.at)})
		}
	}
	return j
}

// km returns the length of the shortest path between two joints.
func (c *cables) km(a, b *joint) float64 {
	if a.zones&b.zones != 0 {
		return a.at.km(b.at)
	}
	best := math.Inf(1)
	for _, ha := range a.hubs {
		far := c.far[ha.hub]
		for _, hb := range b.hubs {
			// Not min(): it also checks for NaN, at twice the cost.
			if km := ha.km + far[hb.hub] + hb.km; km < best {
				best = km
			}
		}
	}
	return best
}
