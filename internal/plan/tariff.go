package plan

import (
	"math"

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
	// before has what the payers use besides where the config does not say it; nil: nothing.
	before bill.Before
}

// usual is the quantity after which a price counts as usual.
const usual = 1e12

// atUsual returns the rates of a payer who uses little. They are the last ones where the world begins there.
func atUsual(t *tariff) rates {
	return func(m bill.Meter) float64 {
		if _, last := t.before[t.book.ScopeOf(m)]; last {
			return t.book.Cheapest(m)
		}
		return t.book.Marginal(m, usual)
	}
}

// endless is a quantity after which every price is at its last step.
const endless = 1e17

// unknown returns the scopes of which nothing says how much the payer uses besides, where that matters.
func (t *tariff) unknown() bill.Before {
	out, known := bill.Before{}, map[bill.Meter]bool{}
	add := func(m bill.Meter) {
		if !known[m] {
			known[m] = true
			if b := t.book.Bill([]bill.Use{{Meter: m, Quantity: 1e15}}); !b.Known() {
				out[t.book.ScopeOf(m)] = endless
			}
		}
	}
	t.each(add)
	return out
}

// each calls f for all meters.
func (t *tariff) each(f func(bill.Meter)) {
	for k := range t.transfers {
		for i := range t.transfers[k] {
			f(t.transfers[k][i])
			f(t.requests[k][i])
		}
	}
	for _, m := range t.storage {
		f(m)
	}
}

// price returns what one use alone costs.
func (t *tariff) price(u bill.Use) float64 { return t.book.BillAfter([]bill.Use{u}, t.before).USD }

// lowest returns rates at which no set costs more than in truth, but for free allowances: see [tariff.slack]. The step of
// a price gets cheaper with the volume. So a part of the most that a ladder can get in any set costs at least that part
// of what the most costs.
func (w *World) lowest() func(*tariff) rates {
	most := map[bill.ScopeKey]float64{}
	for k := range w.clients {
		seen := map[bill.ScopeKey]bool{}
		for _, i := range w.within(k) {
			if key := w.tariff.book.ScopeOf(w.tariff.transfers[k][i]); !seen[key] {
				seen[key] = true
				most[key] += w.clients[k].Bytes
			}
		}
	}
	return func(t *tariff) rates {
		return func(m bill.Meter) float64 {
			q := most[t.book.ScopeOf(m)]
			if q == 0 { // requests, storage, and what no client can get
				return t.book.Cheapest(m)
			}
			return max(t.price(bill.Use{Meter: m, Quantity: q})/q, t.book.Cheapest(m))
		}
	}
}

// within lists the candidates that can get a client in some set: none comes after one that every set has.
func (w *World) within(k int) (out []int) {
	for _, o := range w.problem.Clients[k].Options {
		for _, other := range o.Instead {
			out = append(out, other.Site)
		}
		out = append(out, o.Site)
		if w.problem.Sites[o.Site].Must {
			break
		}
	}
	return out
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
	if unknown := t.unknown(); w.opt.last {
		t.before = unknown
	} else {
		w.begins = len(unknown) > 0
	}
	t.copies()
	t.choose(atUsual)
	return t
}

// choose sets the rates.
func (t *tariff) choose(how func(*tariff) rates) {
	known, r := map[bill.Meter]float64{}, how(t)
	t.rate = func(m bill.Meter) float64 {
		usd, ok := known[m]
		if !ok {
			usd = r(m)
			known[m] = usd
		}
		return usd
	}
}

// flat reports whether no price has steps or allowances, so that the rates are those of every bill.
func (t *tariff) flat() bool {
	known, all := map[bill.Meter]bool{}, true
	usualRate := atUsual(t)
	t.each(func(m bill.Meter) {
		if !all || known[m] {
			return
		}
		known[m] = true
		first, last := t.price(bill.Use{Meter: m, Quantity: 1e6})/1e6, t.book.Cheapest(m)
		all = same(first, last) && same(usualRate(m), last)
	})
	return all
}

// same compares rates: less is noise from adding numbers in another order.
func same(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }

// slack is by how much a bill may be below the rates of [World.lowest] because of free allowances, in USD: the whole
// allowance of each payer at the highest rate.
func (t *tariff) slack() (sum float64) {
	type allowance struct{ payer, provider, item string }
	top, free := map[allowance]float64{}, map[allowance]float64{}
	known := map[bill.Meter]bool{}
	t.each(func(m bill.Meter) {
		if known[m] || t.rate(m) == 0 {
			return
		}
		known[m] = true
		key := t.book.ScopeOf(m)
		a := allowance{key.Payer, key.Provider, key.Item}
		top[a] = max(top[a], t.rate(m))
		if free[a] == 0 && t.price(bill.Use{Meter: m, Quantity: 1}) == 0 {
			free[a] = t.free(m)
		}
	})
	for a, usd := range top {
		sum += usd * free[a]
	}
	return sum * t.transferScale()
}

// free returns a quantity of a meter that is just more than its allowance.
func (t *tariff) free(m bill.Meter) float64 {
	low, high := 1.0, endless
	for high-low > 1e-9*high {
		if mid := math.Sqrt(low * high); t.price(bill.Use{Meter: m, Quantity: mid}) > 0 {
			high = mid
		} else {
			low = mid
		}
	}
	return high
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
	b := t.book.BillAfter(t.uses(o), t.before)
	o.usd, o.stored = make([]float64, len(o.by)), map[int]float64{}
	scale := t.transferScale()
	for k, i := range o.by {
		c := &t.w.clients[k]
		bytes, requests := c.Bytes*b.Rate(t.transfers[k][i])*scale, c.Requests*b.Rate(t.requests[k][i])
		o.Egress, o.Requests, o.usd[k] = o.Egress+bytes, o.Requests+requests, bytes+requests
	}
	for _, i := range t.w.whole(o.Open) {
		if t.w.Candidates[i].stores() {
			o.stored[i] = t.byteMonths(i) * b.Rate(t.storage[i])
			o.Storage += o.stored[i]
			o.Growth += t.fixed[i].Growth
			o.Filling += t.fixed[i].Filling
			o.Fill += t.fill[i]
		}
	}
	o.Low, o.High = o.Total()+(b.Low-b.USD)*scale, o.Total()+(b.High-b.USD)*scale
}
