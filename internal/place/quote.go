package place

import "slices"

// Source is the sending end of a transfer, for billing.
type Source struct {
	Place    Place
	CDN      string   // one of [CDNs] when a CDN delivers the bytes; else empty
	Override Override // from the configuration; wins over the price table
}

// Quote is the price of sending a gigabyte, and the reason for it.
type Quote struct {
	Cents    float64 // US cents per GB, the next GB of this month
	Basis    string  // one of the Basis constants
	Estimate bool    // the number does not come from a price list
	Source   string  // where the number comes from
	Date     string  // when that source was written, as precisely as known
}

// The bases of a price: values of Quote.Basis.
const (
	BasisSamePlace = "same place" // source and client are in one region: 0
	BasisSameCloud = "same cloud" // between regions of one cloud and partition
	BasisInternet  = "internet"   // out of the source's cloud
	BasisCDN       = "cdn"        // the CDN's price for the client's area
	BasisOverride  = "override"   // set by the operator
	BasisUnpriced  = "unpriced"   // no price list for this source: counted as 0
)

// CDNs lists the allowed values of [Source.CDN]: the CDNs with a price list,
// sorted, and then "other", which costs nothing unless the price is overridden.
func CDNs() []string { return append(slices.Sorted(slices.Values(tables().prices.cdns)), "other") }

// CentsPerGB quotes the price of sending a gigabyte from src to a client in the
// place client, at the spot at. Client and at may be unknown. monthlyTB (of
// 1024 GB) selects the tier; free allowances are ignored.
//
// A CDN is billed by the client's area. Without a CDN, there are three cases.
// Bytes within one place cost nothing. Bytes to another region of the same
// cloud and partition cost what the source's region charges for that. All other
// bytes cost the source's internet price. A client whose region is unknown
// counts as in its cloud's main partition, and never as in the source's place.
// If one end is unknown and several prices are possible, the quote is an
// estimate: the price for the area with most countries, or, without areas, the
// highest price.
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

// end is one end of a transfer with what the map knows about it.
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

// countryAt guesses the country of a point: the country of the nearest place.
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

// quote looks up a price in one list.
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

// likely picks a cell when no cell fits exactly. A region may have no prices,
// because the provider has not published them or the operator added the region.
// For such a region it takes the cell of the nearest region with prices;
// otherwise the usual cell.
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

// reach returns the name of the other end in Azure's list. Other lists have no
// such cells, so the name matches nothing there.
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
