package bill

import (
	"cmp"
	"maps"
	"slices"

	"ociproxy/internal/config"
	"ociproxy/internal/price"
)

// ScopeKey identifies one ladder of one payer: the quantities of all meters with this key add up in its tiers.
type ScopeKey struct {
	Payer, Provider, Item string
	From, To              string // the region or area that has a ladder of its own
}

// ScopeOf returns the scope in which a meter counts.
func (b *Book) ScopeOf(m Meter) ScopeKey {
	item := m.Item
	if item == Noncurrent || item == LogStorage {
		item = Stored // one class of storage
	}
	k := ScopeKey{Payer: b.payer(m.Account), Provider: m.Provider, Item: item, From: m.From, To: m.To}
	s, ok := b.tables.scopes[[2]string{m.Provider, item}]
	if !ok {
		return k
	}
	if s.Over == "account" {
		k.Payer = m.Account
	}
	if s.By == "client" || s.By == "all" {
		k.From = ""
	}
	if s.By == "source" || s.By == "all" {
		k.To = ""
	}
	return k
}

// other returns what the payer uses of a scope besides this registry, and whether the configuration says so.
func (b *Book) other(k ScopeKey) (quantity float64, known bool) {
	for name, a := range b.cfg.Billing.Accounts {
		if cmp.Or(a.Payer, string(name)) != k.Payer {
			continue
		}
		switch k.Item {
		case Internet, SameCloud, CDN:
			n, at := a.OtherUsageAt[config.AccountName(cmp.Or(k.From, k.To))]
			if !at && a.OtherUsageTB != nil {
				n, at = *a.OtherUsageTB, true
			}
			if at {
				quantity, known = quantity+price.TiB.Times(n), true
			}
		case Stored:
			if a.OtherStorageTB != nil {
				quantity, known = quantity+price.TiB.Times(*a.OtherStorageTB), true
			}
		default:
			known = known || a.OtherUsageTB != nil // requests: allowances only, and the registry has most requests
		}
	}
	return quantity, known
}

// Before says what a payer used of a scope besides the uses of a bill: what the provider's own bill has more than ours.
type Before map[ScopeKey]float64

// Bill returns exactly what the uses of one calendar month cost. Uses of one meter are added. Give it all uses of a
// payer together: tiers count them together. Where the configuration does not say what the payer uses besides, USD is the
// bill as if that were nothing, and Low and High are a range over all tiers.
func (b *Book) Bill(uses []Use) *Bill { return b.BillAfter(uses, nil) }

// BillAfter is [Book.Bill] where a bill of the provider says what the payer used besides. It counts before what the
// configuration says.
func (b *Book) BillAfter(uses []Use, before Before) *Bill {
	quantities := map[Meter]float64{}
	for _, u := range uses {
		quantities[u.Meter] += u.Quantity
	}
	meters := slices.SortedFunc(maps.Keys(quantities), Meter.Compare)
	scopes := b.scopes(meters, quantities, before)
	out := &Bill{}
	for _, m := range meters {
		out.add(line(m, quantities[m], b.rate(m), scopes[b.ScopeOf(m)]))
	}
	return out
}

// scope is what of a ladder is used in a month.
type scope struct {
	total float64 // of all meters
	other float64 // used besides
	known bool    // whether other is known
	free  float64 // of total, not billed
	start float64 // where in the ladder the billed part begins
}

func (b *Book) scopes(meters []Meter, quantities map[Meter]float64, before Before) map[ScopeKey]*scope {
	out := map[ScopeKey]*scope{}
	for _, m := range meters {
		k := b.ScopeOf(m)
		s := out[k]
		if s == nil {
			s = &scope{}
			if s.other, s.known = before[k]; !s.known {
				s.other, s.known = b.other(k)
			}
			s.start = s.other
			out[k] = s
		}
		s.total += quantities[m]
	}
	keys := slices.Collect(maps.Keys(out))
	for i := range b.tables.free {
		b.allow(&b.tables.free[i], keys, out)
	}
	return out
}

// allow allots an allowance to the scopes of each payer that can use it, by quantity: the provider does not say which
// region or area uses it first.
func (b *Book) allow(a *Allowance, keys []ScopeKey, scopes map[ScopeKey]*scope) {
	total, other := map[string]float64{}, map[string]float64{}
	applies := func(k ScopeKey) bool { return k.Provider == a.Provider && slices.Contains(a.Items, k.Item) }
	for _, k := range keys {
		if applies(k) {
			total[k.Payer] += scopes[k].total
			other[k.Payer] += scopes[k].other
		}
	}
	for _, k := range keys {
		if s := scopes[k]; applies(k) && total[k.Payer] > 0 {
			used := min(a.Quantity, other[k.Payer])
			left := min(a.Quantity-used, total[k.Payer])
			s.free = left * (s.total / total[k.Payer])
			s.start = max(0, s.other-used)
			if a.Within {
				s.start = max(s.other, s.free)
			}
		}
	}
}

// line prices a meter: its share of the scope's quantity has that share of the tiers and of the allowance.
func line(m Meter, quantity float64, r rate, s *scope) Line {
	l := Line{
		Meter: m, Quantity: quantity, Unit: cmp.Or(r.ladder.Unit, r.list.Unit), Basis: r.basis, Source: r.source, Date: r.date,
		Estimate: r.basis == BasisUnpriced,
	}
	if s.total <= 0 || r.ladder.Unit == "" {
		return l
	}
	share := quantity / s.total
	charged := s.total - s.free
	if r.basis == BasisConfig { // a contract has no allowance
		l.USD = r.ladder.Bill(0, quantity)
		l.Low, l.High = l.USD, l.USD
	} else {
		l.USD = share * r.ladder.Bill(s.start, charged)
		l.Low, l.High = l.USD, l.USD
		if !s.known {
			l.Low, _ = r.ladder.Range(share * charged)
			_, l.High = r.ladder.Range(quantity)
		}
		l.Estimate = estimated(r.ladder, s.start, charged)
	}
	l.ListUSD = share * r.list.Bill(s.start, charged)
	return l
}

// estimated reports whether a quantity is billed at a tier that is an estimate.
func estimated(l price.Ladder, from, quantity float64) bool {
	first, last := l.Step(from), l.Step(from+quantity)
	return slices.ContainsFunc(l.Tiers[first:last+1], func(t price.Tier) bool { return t.Estimate })
}

func (b *Bill) add(l Line) {
	b.Lines = append(b.Lines, l)
	b.USD += l.USD
	b.Low += l.Low
	b.High += l.High
	b.ListUSD += l.ListUSD
	if l.Estimate {
		b.Estimated += l.USD
	}
}

// Marginal returns the price of the next unit of a meter in US dollars for a base quantity: a byte, a request. It is for
// estimates. The quantity of the month is what was used before, in the whole scope.
func (b *Book) Marginal(m Meter, before float64) float64 {
	l := b.rate(m).ladder
	if l.Unit == "" {
		return 0
	}
	return price.USD(1, l.Marginal(before).Cents, l.Unit)
}

// Cheapest returns the lowest price of a meter at any tier, in US dollars for a base quantity: a lower bound.
func (b *Book) Cheapest(m Meter) float64 {
	l := b.rate(m).ladder
	low, _ := l.Range(1)
	return low
}
