package bill

import (
	"cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

// The bases of a price: values of Line.Basis.
const (
	BasisList     = "list"     // a price list, the embedded tables
	BasisDiscount = "discount" // a price list, less a discount of the configuration
	BasisConfig   = "config"   // a price of the configuration
	BasisFree     = "free"     // nobody bills it
	BasisUnpriced = "unpriced" // no price is known: counted as 0
)

// rate is what a meter costs.
type rate struct {
	ladder price.Ladder // what is paid
	list   price.Ladder // what the price list says
	basis  string
	source string
	date   string
}

// rate finds what a meter costs: a price of the configuration for this item, then the `price` of the store or place, then
// the price list less the discount.
func (b *Book) rate(m Meter) rate {
	r, own := b.listed(m)
	if m.Item == Free {
		return r
	}
	discount := b.cfg.Billing.Accounts[config.AccountName(m.Account)].Discount
	for i := range b.cfg.Billing.Prices {
		p := &b.cfg.Billing.Prices[i]
		if !matches(p, m) {
			continue
		}
		if p.Cents != nil {
			unit := cmp.Or(price.Unit(p.Unit), r.list.Unit, defaultUnit(m.Item))
			r.ladder, r.basis, r.source, r.date = price.Flat(*p.Cents, unit), BasisConfig, "billing.prices", ""
			return r
		}
		discount, own = *p.Discount, nil
		break
	}
	if own != nil {
		r.ladder, r.basis, r.source, r.date = own.Ladder, BasisConfig, "price", ""
		return r
	}
	if discount > 0 && r.basis == BasisList {
		r.ladder, r.basis = r.list.Scale(1-float64(discount)), BasisDiscount
	}
	return r
}

func matches(p *config.ItemPrice, m Meter) bool {
	for _, pair := range [][2]string{
		{p.Account, m.Account}, {p.Store, m.Store}, {p.Provider, m.Provider}, {p.From, m.From}, {p.To, m.To},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return string(p.Item) == m.Item
}

// defaultUnit is the unit of an item that no price list has.
func defaultUnit(item string) price.Unit {
	switch config.BillItem(item).Base() {
	case price.GiB.Base():
		return price.GiB
	case price.GiBMonth.Base():
		return price.GiBMonth
	case price.Requests10k.Base():
		return price.Requests10k
	case price.Hour.Base():
		return price.Hour
	}
	return price.Month
}

// listed returns the price of the tables, and the operator's own price for transfer from the store or its place.
func (b *Book) listed(m Meter) (r rate, own *place.Cell) {
	switch m.Item {
	case Free:
		return rate{basis: BasisFree, source: "not billed"}, nil
	case Fixed:
		one := price.Flat(100, price.Month) // quantities of Fixed are dollars
		return rate{ladder: one, list: one, basis: BasisConfig, source: "billing.fixed"}, nil
	case Unpriced:
		return rate{basis: BasisUnpriced, source: "no price list"}, nil
	case Internet, SameCloud, CDN:
		r := rate{basis: BasisUnpriced, source: "no price list for " + m.Provider}
		if c, ok := b.m.Listed(m.Provider, m.Item, m.From, m.To); ok {
			r = rate{ladder: c.Ladder, list: c.Ladder, basis: BasisList, source: c.Source, date: c.Date}
		}
		return r, b.own(m)
	}
	c, ok := b.tables.find(m)
	if !ok {
		return rate{basis: BasisUnpriced, source: "no price list for " + m.Provider}, nil
	}
	return rate{ladder: c.ladder, list: c.ladder, basis: BasisList, source: c.source.what, date: c.source.date}, nil
}

// own returns the `price` of the configuration for the transfer of a store: its own, or that of its place.
func (b *Book) own(m Meter) *place.Cell {
	s := b.sides[m.Store]
	if s == nil || s.provider() != m.Provider {
		return nil
	}
	c, ok := b.m.Own(s.source, m.Item)
	if !ok {
		return nil
	}
	return &c
}
