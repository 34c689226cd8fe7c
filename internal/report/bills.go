package report

import (
	"maps"
	"slices"
	"strings"

	"ociproxy/internal/bill"
	"ociproxy/internal/focus"
	"ociproxy/internal/traffic"
)

// bills are the bills of a month, in this world and in the one without the proxy, with what each meter costs.
type bills struct {
	days          int
	ours          []focus.Ours // what each side counted, for the comparison with cost data
	with, without *bill.Bill
	rates         map[rated]float64
}

type rated struct {
	meter   bill.Meter
	without bool
}

// bills makes the bills of all months of the report.
func (w *world) bills(t *tally, c *choices) map[traffic.Day]*bills {
	// logs and estimate are what the logs of the stores tell and what the proxy tells, whichever of them counts.
	type side struct{ with, without, logs, estimate map[bill.Meter]float64 }
	months := map[traffic.Day]side{}
	out := map[traffic.Day]*bills{}
	for d := w.in.Begin; d < w.in.End; d++ {
		m := monthOf(d)
		if out[m] == nil {
			out[m] = &bills{rates: map[rated]float64{}}
			months[m] = side{map[bill.Meter]float64{}, map[bill.Meter]float64{}, map[bill.Meter]float64{}, map[bill.Meter]float64{}}
		}
		out[m].days++
	}
	for _, u := range t.uses {
		if m := months[monthOf(u.day)]; !u.without {
			if u.source == ofStore {
				m.logs[u.meter] += u.quantity
			} else if c.of[u.storeDay].reasons == u.source {
				m.estimate[u.meter] += u.quantity
			}
		}
		if !u.own && c.of[u.storeDay].counts != u.source {
			continue
		}
		m := months[monthOf(u.day)]
		if u.without {
			m.without[u.meter] += u.quantity
		} else {
			m.with[u.meter] += u.quantity
		}
	}
	for m, b := range out {
		for _, u := range w.standing(t, m, float64(b.days)/float64(daysIn(m))) {
			months[m].with[u.Meter] += u.Quantity
			months[m].logs[u.Meter] += u.Quantity
			months[m].estimate[u.Meter] += u.Quantity
		}
		var before bill.Before
		if w.in.Before != nil {
			before = w.in.Before(m)
		}
		b.ours = slices.Concat(
			focus.OfBill(m, traffic.FromStore, w.in.Book.BillAfter(usesOf(months[m].logs), before)),
			focus.OfBill(m, traffic.FromPrometheus, w.in.Book.BillAfter(usesOf(months[m].estimate), before)),
		)
		b.with = w.in.Book.BillAfter(usesOf(months[m].with), before)
		b.without = w.in.Book.BillAfter(usesOf(months[m].without), before)
	}
	return out
}

// standing returns what is used whatever clients do: what the stores hold, the front, fixed amounts. What the inventories
// and flags say of a store's size counts more than what the config says. share is how much of the month the report has.
func (w *world) standing(t *tally, month traffic.Day, share float64) (out []bill.Use) {
	held := map[bill.Meter]bool{}
	for _, name := range sortedKeys(w.in.Held, strings.Compare) {
		if w.known[name] != nil {
			m := w.in.Book.Storage(name)
			held[m] = true
			out = append(out, bill.Use{Meter: m, Quantity: w.in.Held[name] * share})
		}
	}
	for _, u := range w.in.Book.Standing(bill.Demand{Months: share, Requests: t.asked[month]}) {
		if !held[u.Meter] {
			out = append(out, u)
		}
	}
	return out
}

// usesOf lists uses in an order that does not depend on chance, so that the same rows give the same sums to the last bit.
func usesOf(quantities map[bill.Meter]float64) []bill.Use {
	uses := make([]bill.Use, 0, len(quantities))
	for _, m := range slices.SortedFunc(maps.Keys(quantities), bill.Meter.Compare) {
		uses = append(uses, bill.Use{Meter: m, Quantity: quantities[m]})
	}
	return uses
}

// rate returns what one unit of a meter costs in the month, in dollars: by the bill, or for a meter that does not run by
// the price list.
func (w *world) rate(b *bills, m bill.Meter, without bool) float64 {
	key := rated{m, without}
	r, ok := b.rates[key]
	if !ok {
		of := b.with
		if without {
			of = b.without
		}
		if line, runs := of.Line(m); runs && line.Quantity > 0 {
			r = of.Rate(m)
		} else {
			r = w.in.Book.Marginal(m, 0)
		}
		b.rates[key] = r
	}
	return r
}

// daysIn returns how many days a month has.
func daysIn(month traffic.Day) int {
	return month.Time().AddDate(0, 1, -1).Day()
}
