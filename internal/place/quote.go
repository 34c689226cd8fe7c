package place

import "slices"

// Source is the sending end of a transfer, as it is billed.
type Source struct {
	Place    Place
	CDN      string   // one of [CDNs] when a CDN delivers the bytes; else empty
	Override Override // from the configuration; wins over the price table
}

// Quote is the price of sending a gigabyte, and why it is that.
type Quote struct {
	Cents    float64 // US cents per GB, the next GB of this month
	Basis    string  // one of the Basis constants
	Estimate bool    // nobody read this number in a price list
	Source   string  // where the number comes from
	Date     string  // when that source was written, as precisely as known
}

// What a price rests on.
const (
	BasisSamePlace = "same place" // source and client are in one region: 0
	BasisSameCloud = "same cloud" // between regions of one cloud and partition
	BasisInternet  = "internet"   // out of the source's cloud
	BasisCDN       = "cdn"        // by the CDN's price for the client's area
	BasisOverride  = "override"   // set by the operator
	BasisUnpriced  = "unpriced"   // no price list for this source: counted as 0
)

// CDNs lists the names [Source.CDN] may have: those with a price list, sorted,
// and then "other", which costs nothing unless overridden.
func CDNs() []string { return append(slices.Sorted(slices.Values(tables().prices.cdns)), "other") }

// CentsPerGB quotes the price of sending a gigabyte from src to a client in
// the place client, standing at the spot at; either may be unknown. monthlyTB
// (of 1024 GB) picks the tier; free allowances do not count.
//
// A CDN is billed by the client's area. Otherwise bytes within one place cost
// nothing, bytes to another region of the same cloud and partition what the
// source's region charges for that, all others the source's internet price. A
// client whose region is unknown is in its cloud's main partition and never in
// the source's place. Where several prices might hold because one end is
// unknown, the one for the area with most countries is quoted, or without areas
// the dearest, as an estimate.
func (m *Map) CentsPerGB(src Source, client Place, at Spot, monthlyTB float64) Quote {
	to := m.end(client, at)
	if src.CDN != "" {
		if src.Override.Internet != nil {
			return overridden(*src.Override.Internet)
		}
		return m.quote(src.CDN, kindCDN, BasisCDN, end{}, to, monthlyTB)
	}
	from := m.end(src.Place, Spot{})
	override := src.Override
	if from.site != nil {
		override = override.Over(from.site.Price)
	}
	kind, basis, set := kindInternet, BasisInternet, override.Internet
	if sameCloud(from, to) {
		if from.place.Region != "" && from.place == to.place {
			return Quote{Basis: BasisSamePlace, Source: "transfer within a region is free of charge"}
		}
		kind, basis, set = kindSameCloud, BasisSameCloud, override.SameCloud
	}
	if set != nil {
		return overridden(*set)
	}
	return m.quote(from.place.Cloud, kind, basis, from, to, monthlyTB)
}

func overridden(cents float64) Quote {
	return Quote{Cents: cents, Basis: BasisOverride, Source: "config"}
}

// end is one end of a transfer with what the map knows of it.
type end struct {
	place     Place
	site      *Site // nil: not on the map
	partition string
	country   string // empty: unknown
	continent string
}

func (m *Map) end(p Place, at Spot) end {
	e := end{place: p, partition: partition(p)}
	if s := m.site(p); s != nil {
		e.place, e.site, e.partition, e.country, e.continent = s.Place, s, s.Partition, s.Country, s.Continent
		return e
	}
	e.country = at.Country
	if e.country == "" {
		e.country = m.countryAt(at.Point)
	}
	e.continent = Continent(e.country)
	return e
}

// countryAt guesses the country of a point: that of the nearest place.
func (m *Map) countryAt(p Point) string {
	if p == (Point{}) {
		return ""
	}
	v, country, best := p.vector(), "", 1e9
	for i := range m.sorted {
		if km := m.sorted[i].vector().km(v); km < best {
			country, best = m.sorted[i].Country, km
		}
	}
	return country
}

func sameCloud(from, to end) bool {
	return from.place.Cloud != "" && from.place.Cloud == to.place.Cloud && from.partition == to.partition
}

// quote looks a price up in one list.
func (m *Map) quote(seller, kind, basis string, from, to end, monthlyTB float64) Quote {
	l := m.prices.lists[list{seller, kind}]
	if l == nil {
		return Quote{Basis: BasisUnpriced, Estimate: true, Source: unpriced(seller)}
	}
	froms := [...]string{from.place.Region, l.from.of(from.country, from.continent), ""}
	tos := [...]string{to.place.Region, l.to.of(to.country, to.continent), reach(from, to), ""}
	c, guess := l.find(froms[:], tos[:]), false
	if c == nil {
		guess = true
		c = m.likely(l, from, froms[:], tos[:], monthlyTB)
	}
	t := c.at(monthlyTB)
	return Quote{
		Cents: t.cents, Basis: basis, Estimate: guess || t.estimate,
		Source: c.source.what, Date: c.source.date,
	}
}

// likely picks a cell where none fits exactly: for a region without prices,
// one the provider has not yet priced or the operator added, that of the
// nearest region that has some; else the usual one.
func (m *Map) likely(l *priceList, from end, froms, tos []string, monthlyTB float64) *cell {
	if from.site != nil {
		near := m.nearest(from.place.Cloud, Spot{Point: from.site.Point, Country: from.country}, func(s *Site) bool {
			return s.Partition == from.partition && l.find([]string{s.Region}, tos) != nil
		})
		if near != nil {
			return l.find([]string{near.Region}, tos)
		}
	}
	return l.usual(froms, monthlyTB)
}

// reach is how Azure's list words the other end; other lists have no such
// cells and do not find it.
func reach(from, to end) string {
	switch {
	case from.continent == "" || to.continent == "":
		return ""
	case from.continent == to.continent:
		return "same-continent"
	}
	return "other-continent"
}

func unpriced(seller string) string {
	if seller == "" {
		return "the source's place is unknown: counted as 0"
	}
	return "no price list for " + seller + ": counted as 0"
}
