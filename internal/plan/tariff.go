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

// usual is the quantity after which a price counts as usual: free allowances are used up, and the first step holds.
const usual = 1e12

// atUsual returns the rates of a payer who uses little.
func atUsual(book *bill.Book) rates {
	return func(m bill.Meter) float64 { return book.Marginal(m, usual) }
}

// probes are quantities beyond the limits of all steps of any price list.
var probes = []float64{usual, 1e13, 1e14, 1e15, 1e16, 1e18}

// cheapest returns the rates of the cheapest step of each price, free allowances left out: no bill is lower by more than
// those.
func cheapest(book *bill.Book) rates {
	return func(m bill.Meter) float64 {
		low := book.Marginal(m, usual)
		for _, at := range probes {
			low = min(low, book.Marginal(m, at))
		}
		return low
	}
}

// of returns the rates of a bill; otherwise has those of meters that are not in it.
func of(b *bill.Bill, otherwise rates) rates {
	return func(m bill.Meter) float64 {
		if l, ok := b.Line(m); ok && l.Quantity > 0 {
			return l.USD / l.Quantity
		}
		return otherwise(m)
	}
}

func newTariff(w *World, book *bill.Book, r rates) *tariff {
	known := map[bill.Meter]float64{}
	t := &tariff{w: w, book: book, rate: func(m bill.Meter) float64 {
		usd, ok := known[m]
		if !ok {
			usd = r(m)
			known[m] = usd
		}
		return usd
	}}
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
	return t
}

// flat reports whether no price has steps, so that the rates are those of every bill.
func (t *tariff) flat() bool {
	low, usual := cheapest(t.book), atUsual(t.book)
	differ := func(m bill.Meter) bool { return low(m) != usual(m) }
	for k := range t.transfers {
		if slices.ContainsFunc(t.transfers[k], differ) || slices.ContainsFunc(t.requests[k], differ) {
			return false
		}
	}
	return !slices.ContainsFunc(t.storage, differ)
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
	usualRate := atUsual(t.book)
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
func (t *tariff) transferScale() float64 { return cmpOr(t.w.opt.Prices, 1) }

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
