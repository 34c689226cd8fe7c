package plan

import (
	"slices"

	"ociproxy/internal/bill"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// rates has the USD for a base quantity of each meter.
type rates func(bill.Meter) float64

// tariff prices a world. The problem has one rate for each meter; the bill of a set is exact.
type tariff struct {
	w    *World
	book *bill.Book
	rate rates
	// transfers and requests have the meters for each client and candidate.
	transfers, requests [][]bill.Meter
	storage             []bill.Meter // by candidate
	fixed               []Money      // by candidate: Growth and Filling
	fill                []float64    // by candidate: USD once
}

// usual is the quantity after which a price counts as usual.
const usual = 1e12

// atUsual returns the rates of a payer who uses little.
func atUsual(t *tariff) rates {
	return func(m bill.Meter) float64 { return t.book.Marginal(m, usual) }
}

// lowest returns rates at which no set costs more than in truth, but for free allowances: see [tariff.slack]. The step of
// a price gets cheaper with the volume. So a part of the most that a ladder can ever get costs at least that part of what
// the most costs.
func lowest(t *tariff) rates {
	most := map[bill.ScopeKey]float64{}
	for k := range t.transfers {
		seen := map[bill.ScopeKey]bool{}
		for _, m := range t.transfers[k] {
			if key := t.book.ScopeOf(m); !seen[key] {
				seen[key] = true
				most[key] += t.w.clients[k].Bytes
			}
		}
	}
	return func(m bill.Meter) float64 {
		q := most[t.book.ScopeOf(m)]
		if q == 0 { // requests and storage
			return t.book.Cheapest(m)
		}
		all := t.book.Bill([]bill.Use{{Meter: m, Quantity: q}})
		return max(all.USD/q, t.book.Cheapest(m)*(1-usual/max(q, usual)))
	}
}

// of returns the rates of a bill; the usual ones for meters that are not in it.
func of(b *bill.Bill) func(*tariff) rates {
	return func(t *tariff) rates {
		otherwise := atUsual(t)
		return func(m bill.Meter) float64 {
			if l, ok := b.Line(m); ok && l.Quantity > 0 {
				return l.USD / l.Quantity
			}
			return otherwise(m)
		}
	}
}

func newTariff(w *World, book *bill.Book) *tariff {
	t := &tariff{w: w, book: book}
	for k := range w.clients {
		c := &w.clients[k]
		var transfers, requests []bill.Meter
		for i := range w.Candidates {
			name := w.Candidates[i].Name
			transfers = append(transfers, book.Transfer(name, traffic.Client, c.real.Place, c.real.Spot))
			requests = append(requests, book.Request(name, traffic.Get, c.real.Place, c.real.Spot))
		}
		t.transfers, t.requests = append(t.transfers, transfers), append(t.requests, requests)
	}
	for i := range w.Candidates {
		m := bill.Meter{Item: bill.Free}
		if c := &w.Candidates[i]; c.stores() {
			m = book.Storage(c.Name)
		}
		t.storage = append(t.storage, m)
	}
	t.copies()
	choose := w.opt.rates
	if choose == nil {
		choose = atUsual
	}
	known, r := map[bill.Meter]float64{}, choose(t)
	t.rate = func(m bill.Meter) float64 {
		usd, ok := known[m]
		if !ok {
			usd = r(m)
			known[m] = usd
		}
		return usd
	}
	return t
}

// flat reports whether no price has steps or allowances, so that the rates are those of every bill.
func (t *tariff) flat() bool {
	known := map[bill.Meter]bool{}
	differ := func(m bill.Meter) bool {
		flat, ok := known[m]
		if !ok {
			usd := t.book.Bill([]bill.Use{{Meter: m, Quantity: 1}}).USD
			flat = usd == t.book.Cheapest(m) && usd == t.book.Marginal(m, usual)
			known[m] = flat
		}
		return !flat
	}
	for k := range t.transfers {
		if slices.ContainsFunc(t.transfers[k], differ) || slices.ContainsFunc(t.requests[k], differ) {
			return false
		}
	}
	return !slices.ContainsFunc(t.storage, differ)
}

// slack is by how much a bill may be below the rates of [lowest] because of free allowances, in USD: what the allowances
// of each payer are worth at the highest rate.
func (t *tariff) slack() (sum float64) {
	type allowance struct{ payer, provider, item string }
	worth := map[allowance]float64{}
	known := map[bill.Meter]bool{}
	add := func(m bill.Meter) {
		if known[m] {
			return
		}
		known[m] = true
		key := t.book.ScopeOf(m)
		for q := 1e9; q < 1e13; q *= 10 {
			usd := t.book.Bill([]bill.Use{{Meter: m, Quantity: q}}).USD
			a := allowance{key.Payer, key.Provider, key.Item}
			worth[a] = max(worth[a], q*t.rate(m)-usd)
		}
	}
	for k := range t.transfers {
		for i := range t.transfers[k] {
			add(t.transfers[k][i])
			add(t.requests[k][i])
		}
	}
	for _, m := range t.storage {
		add(m)
	}
	for _, usd := range worth {
		sum += usd
	}
	return sum * t.transferScale()
}

// stores reports whether a candidate is a bucket whose storage counts. A CDN stores nothing that is billed by the month,
// and an upstream has its images in any case.
func (c *Candidate) stores() bool { return c.store != nil && c.store.CDN == "" }

// held is the share of the stored bytes that a store has.
func (t *tariff) held(i int) float64 {
	if t.w.opt.Hot && !t.w.Candidates[i].Exists && !t.w.Candidates[i].Fixed {
		return t.w.opt.Demand.HotStored
	}
	return 1
}

// copies finds what it costs to fill each store, and to copy what is added: from the cheapest candidate that has it today,
// at the usual rate.
func (t *tariff) copies() {
	n, opt := len(t.w.Candidates), &t.w.opt
	t.fixed, t.fill = make([]Money, n), make([]float64, n)
	usualRate := atUsual(t)
	for i := range t.w.Candidates {
		c := &t.w.Candidates[i]
		if !c.stores() {
			continue
		}
		best := -1.0
		for k := range t.w.Candidates {
			from := &t.w.Candidates[k]
			if k == i || !t.w.isFilled(k) || from.store != nil && from.store.CDN != "" {
				continue
			}
			m := t.book.Transfer(from.Name, traffic.Copy, c.Site.Place, place.Spot{})
			if usd := usualRate(m); best < 0 || usd < best {
				best = usd
			}
		}
		best = max(best, 0)
		t.fixed[i].Growth = opt.Growth * t.held(i) * best
		if !t.w.isFilled(i) {
			t.fill[i] = opt.Stored * t.held(i) * best
			t.fixed[i].Filling = t.fill[i] / opt.Months
		}
	}
}

// byteMonths is what a store holds on average over the time of the plan.
func (t *tariff) byteMonths(i int) float64 {
	return (t.w.opt.Stored + t.w.opt.Growth*t.w.opt.Months/2) * t.held(i)
}

// transferScale is the factor of prices for transfer.
func (t *tariff) transferScale() float64 { return factor(t.w.opt.Prices) }

// serve returns what client k costs in a month when candidate i serves it, by the rates.
func (t *tariff) serve(k, i int) float64 {
	c := &t.w.clients[k]
	return c.Bytes*t.rate(t.transfers[k][i])*t.transferScale() + c.Requests*t.rate(t.requests[k][i])
}

// site returns what an open candidate costs in a month, by the rates.
func (t *tariff) site(i int) float64 {
	if !t.w.Candidates[i].stores() {
		return 0
	}
	return t.byteMonths(i)*t.rate(t.storage[i]) + t.fixed[i].Total()
}

// uses lists what an outcome uses in a month.
func (t *tariff) uses(o *Outcome) (uses []bill.Use) {
	for k, i := range o.by {
		c := &t.w.clients[k]
		uses = append(uses, bill.Use{Meter: t.transfers[k][i], Quantity: c.Bytes}, bill.Use{Meter: t.requests[k][i], Quantity: c.Requests})
	}
	for _, i := range t.w.whole(o.Open) {
		if t.w.Candidates[i].stores() {
			uses = append(uses, bill.Use{Meter: t.storage[i], Quantity: t.byteMonths(i)})
		}
	}
	return uses
}

// bill prices an outcome exactly.
func (t *tariff) bill(o *Outcome) {
	b := t.book.Bill(t.uses(o))
	o.usd = make([]float64, len(o.by))
	scale := t.transferScale()
	for k, i := range o.by {
		c := &t.w.clients[k]
		bytes, requests := c.Bytes*b.Rate(t.transfers[k][i])*scale, c.Requests*b.Rate(t.requests[k][i])
		o.Egress, o.Requests, o.usd[k] = o.Egress+bytes, o.Requests+requests, bytes+requests
	}
	for _, i := range t.w.whole(o.Open) {
		if t.w.Candidates[i].stores() {
			o.Storage += t.byteMonths(i) * b.Rate(t.storage[i])
			o.Growth += t.fixed[i].Growth
			o.Filling += t.fixed[i].Filling
			o.Fill += t.fill[i]
		}
	}
	o.Low, o.High = o.Total()+(b.Low-b.USD)*scale, o.Total()+(b.High-b.USD)*scale
}
