package place

import (
	"slices"

	"ociproxy/internal/price"
)

// Source is the sending end of a transfer, for billing.
type Source struct {
	Place    Place
	CDN      string   // one of [CDNs] when a CDN delivers the bytes; else empty
	Override Override // from the configuration; wins over the price table
}

// Quote is the price of the next bytes of this month, and the reason for it. It
// is a marginal price, so sums of it are estimates: a bill has all tiers.
type Quote struct {
	Cents    float64    // US cents per GiB, whatever the unit of the list, so that prices compare
	Basis    string     // one of the Basis constants
	Estimate bool       // the number does not come from a price list
	Source   string     // where the number comes from
	Date     string     // when that source was written, as precisely as known
	Listed   float64    // US cents per Unit: the number in the list
	Unit     price.Unit // the unit that the seller bills in; "" where nothing is billed
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

// Quote quotes the price of sending bytes from src to a client in the place
// client, at the spot at. Client and at may be unknown. sent is how many bytes
// were sent in this month already: it selects the tier. Free allowances are
// ignored. [Map.Cell] tells how the price is found.
func (m *Map) Quote(src Source, client Place, at Spot, sent float64) Quote {
	c := m.cell(src, client, at, sent)
	t := c.Ladder.Marginal(sent)
	q := Quote{
		Listed: t.Cents, Unit: c.Ladder.Unit, Basis: c.Basis, Source: c.Source, Date: c.Date,
		Estimate: c.Guess || t.Estimate || c.Basis == BasisUnpriced,
	}
	if q.Unit != "" {
		q.Cents = price.Convert(t.Cents, q.Unit, price.GiB)
	}
	return q
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

// likely picks a cell when no cell fits exactly. A region may have no prices,
// because the provider has not published them or the operator added the region.
// For such a region it takes the cell of the nearest region with prices;
// otherwise the usual cell.
func (m *Map) likely(l *priceList, from end, froms, tos []string, sent float64) *cell {
	if from.site != nil {
		near := m.nearest(from.place.Cloud, Spot{Point: from.site.Point, Country: from.country}, func(s *Site) bool {
			return s.Partition == from.partition && l.find([]string{s.Region}, tos) != nil
		})
		if near != nil {
			return l.find([]string{near.Region}, tos)
		}
	}
	return l.usual(froms, sent)
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
