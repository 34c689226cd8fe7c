package bill

import (
	"maps"
	"slices"

	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

// Demand is what a month asked of the fronts.
type Demand struct {
	Months   float64 // the length of the time, in months; 1 for a whole month
	Requests float64 // to all instances of the server
}

// logLine is how many bytes a line of the request log has: an estimate, from the lines of the tests.
const logLine = 700

// redirect is how many bytes an answer of the server has, with its header: an estimate.
const redirect = 600

// hoursPerMonth is what price lists mean by a month.
const hoursPerMonth = 730

// Standing returns what the configuration says is used whatever the clients do: stored bytes, fronts, fixed amounts. The
// fronts share the requests by their instances.
func (b *Book) Standing(d Demand) []Use {
	var out []Use
	use := func(m Meter, quantity float64) {
		if quantity > 0 {
			out = append(out, Use{m, quantity})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.cfg.Billing.Stored)) {
		s := b.cfg.Billing.Stored[name]
		use(b.storage(string(name), Stored), price.TB.Times(s.TB)*d.Months)
		use(b.storage(string(name), Noncurrent), price.TB.Times(s.NoncurrentTB)*d.Months)
		use(b.storage(string(name), LogStorage), price.TB.Times(s.LogsTB)*d.Months)
	}
	var instances float64
	for _, f := range b.cfg.Billing.Fronts {
		instances += f.Instances
	}
	for _, f := range b.cfg.Billing.Fronts {
		m := Meter{Account: f.Account, Provider: f.Provider}
		item := func(name string, quantity float64) {
			m.Item = name
			use(m, quantity)
		}
		item(FrontInstance, f.Instances*hoursPerMonth*d.Months)
		item(FrontBalancer, f.Balancers*hoursPerMonth*d.Months)
		item(FrontRules, f.Rules*d.Months)
		if instances == 0 {
			continue
		}
		requests := d.Requests * f.Instances / instances
		if f.Balancers > 0 {
			item(FrontBytes, requests*redirect)
		}
		if f.Rules > 0 {
			item(FrontRequests, requests)
		}
		item(FrontLogs, requests*b.cfg.Log.Requests*logLine)
	}
	for _, f := range b.cfg.Billing.Fixed {
		use(Meter{Account: f.Account, Item: Fixed, From: f.Name}, f.USD*d.Months)
	}
	return out
}

// TiersOff returns how many tiers `route.monthlyTB` is away from what was really sent, for the bill's ladder in which it
// is furthest away. It is positive when more was sent than monthlyTB says, and comes with the meter; 0 means that the
// live score uses the right price. The bill is of one month.
func (b *Book) TiersOff(of *Bill) (tiers int, at Meter) {
	sent, first := map[ScopeKey]float64{}, map[ScopeKey]Meter{}
	for _, l := range of.Lines {
		if l.Item != Internet && l.Item != SameCloud && l.Item != CDN {
			continue
		}
		k := b.ScopeOf(l.Meter)
		if _, seen := first[k]; !seen {
			first[k] = l.Meter
			other, _ := b.other(k)
			sent[k] = other
		}
		sent[k] += l.Quantity
	}
	for k, m := range first {
		l := b.rate(m).ladder
		off := l.Step(sent[k]) - l.Step(b.cfg.Route.Sent())
		if abs(off) > abs(tiers) || abs(off) == abs(tiers) && off != 0 && m.Compare(at) < 0 {
			tiers, at = off, m
		}
	}
	return tiers, at
}

func abs(n int) int { return max(n, -n) }

// Cell returns the price of a transfer with all its tiers, for a page that shows prices.
func (b *Book) Cell(store string, client place.Place, at place.Spot) (place.Cell, bool) {
	s := b.sides[store]
	if s == nil {
		return place.Cell{}, false
	}
	return b.m.Cell(s.source, client, at), true
}
