package place

import (
	"cmp"

	"ociproxy/internal/price"
)

// Cell is what one transfer costs, at all tiers: a cell of a price list, or a
// price of the operator. Transfers with the same Seller, Kind, From and To are
// one line of the seller's bill.
type Cell struct {
	Seller   string // a cloud or CDN; "" when the source's place is unknown
	Kind     string // internet, same-cloud or cdn; "" when nothing is billed
	From, To string // the source's region or area, the client's area; "" for any
	Basis    string // one of the Basis constants
	Guess    bool   // one end is not known well enough to tell the cell
	Ladder   price.Ladder
	Source   string
	Date     string
}

// Cell finds what a transfer from src to a client in the place client, at the
// spot at, costs. Client and at may be unknown.
//
// A CDN is billed by the client's area. Without a CDN, there are three cases.
// Bytes within one place cost nothing. Bytes to another region of the same
// cloud and partition cost what the source's region charges for that. All other
// bytes cost the source's internet price. A client whose region is unknown
// counts as in its cloud's main partition, and never as in the source's place.
// If one end is unknown and several prices are possible, the cell is a guess:
// the price for the area with most countries, or, without areas, the highest
// price.
func (m *Map) Cell(src Source, client Place, at Spot) Cell { return m.cell(src, client, at, 0) }

func (m *Map) cell(src Source, client Place, at Spot, sent float64) Cell {
	to := m.end(client, at)
	if src.CDN != "" {
		return m.lookup(src.CDN, kindCDN, BasisCDN, end{}, to, own{src.Override.Internet, src.Override.Unit}, sent)
	}
	from := m.end(src.Place, Spot{})
	var below Override
	if from.site != nil {
		below = from.site.Price
	}
	if !sameCloud(from, to) {
		price := own{src.Override.Internet, src.Override.Unit}.or(own{below.Internet, below.Unit})
		return m.lookup(from.place.Cloud, kindInternet, BasisInternet, from, to, price, sent)
	}
	if from.place.Region != "" && from.place == to.place {
		return Cell{Seller: from.place.Cloud, From: from.place.Region, To: to.place.Region, Basis: BasisSamePlace, Source: "transfer within a region is free of charge"}
	}
	price := own{src.Override.SameCloud, src.Override.Unit}.or(own{below.SameCloud, below.Unit})
	return m.lookup(from.place.Cloud, kindSameCloud, BasisSameCloud, from, to, price, sent)
}

// own is a price of the operator; without cents there is none.
type own struct {
	cents *float64
	unit  price.Unit
}

func (o own) or(below own) own {
	if o.cents == nil {
		return below
	}
	return o
}

// lookup finds the cell in one list. The operator's own price replaces its
// ladder.
func (m *Map) lookup(seller, kind, basis string, from, to end, own own, sent float64) Cell {
	out := Cell{Seller: seller, Kind: kind, Basis: basis, From: from.place.Region}
	if l := m.prices.lists[list{seller, kind}]; l != nil {
		froms := [...]string{from.place.Region, l.from.of(from.country, from.continent), ""}
		tos := [...]string{to.place.Region, l.to.of(to.country, to.continent), reach(from, to), ""}
		c := l.find(froms[:], tos[:])
		if c == nil {
			out.Guess = true
			c = m.likely(l, from, froms[:], tos[:], sent)
		}
		out.From, out.To = c.ends.from, c.ends.to
		out.Ladder, out.Source, out.Date = c.ladder, c.source.what, c.source.date
	} else if own.cents == nil {
		out.Kind, out.Basis, out.Source = "", BasisUnpriced, unpriced(seller)
	}
	if own.cents != nil {
		out.Basis, out.Source, out.Date, out.Guess = BasisOverride, "config", "", false
		out.Ladder = price.Flat(*own.cents, cmp.Or(own.unit, UnitOf(seller)))
	}
	return out
}

// Listed returns the cell of a price list with these ends, as [Map.Cell]
// returned them. It reports whether there is one.
func (m *Map) Listed(seller, kind, from, to string) (Cell, bool) {
	l := m.prices.lists[list{seller, kind}]
	if l == nil || l.cells[ends{from, to}] == nil {
		return Cell{}, false
	}
	c := l.cells[ends{from, to}]
	basis := map[string]string{kindInternet: BasisInternet, kindSameCloud: BasisSameCloud, kindCDN: BasisCDN}[kind]
	return Cell{Seller: seller, Kind: kind, From: from, To: to, Basis: basis, Ladder: c.ladder, Source: c.source.what, Date: c.source.date}, true
}

// UnitOf returns the unit in which a seller bills transfer, GB or GiB. For a
// seller without a price list it is GiB.
func UnitOf(seller string) price.Unit {
	for _, kind := range []string{kindInternet, kindCDN} {
		if l := tables().prices.lists[list{seller, kind}]; l != nil {
			return l.unit
		}
	}
	return price.GiB
}

// Tiers returns the price lists in which more bytes cost less: the ladder for
// each seller, kind and ends. The order is not defined.
func (m *Map) Tiers(yield func(Cell) bool) {
	for k, l := range m.prices.lists {
		for e := range l.cells {
			if c, _ := m.Listed(k.seller, k.kind, e.from, e.to); !yield(c) {
				return
			}
		}
	}
}

// Own returns the price of the configuration for transfers of a kind from a
// source, and false when the price list holds.
func (m *Map) Own(src Source, kind string) (Cell, bool) {
	from, below := m.end(src.Place, Spot{}), Override{}
	if from.site != nil && src.CDN == "" {
		below = from.site.Price
	}
	price := own{src.Override.Internet, src.Override.Unit}.or(own{below.Internet, below.Unit})
	if kind == kindSameCloud {
		price = own{src.Override.SameCloud, src.Override.Unit}.or(own{below.SameCloud, below.Unit})
	}
	if price.cents == nil {
		return Cell{}, false
	}
	if src.CDN != "" {
		return m.lookup(src.CDN, kind, BasisCDN, end{}, end{}, price, 0), true
	}
	return m.lookup(from.place.Cloud, kind, "", from, end{}, price, 0), true
}
