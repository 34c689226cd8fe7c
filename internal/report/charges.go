package report

import (
	"cmp"

	"ociproxy/internal/bill"
	"ociproxy/internal/focus"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// chargeKey is what has one row in cost data: a meter, run by the clients of one place in a period.
type chargeKey struct {
	period traffic.Day
	meter  bill.Meter
	client place.Place
}

type charge struct{ quantity, without float64 }

func compareCharges(a, b chargeKey) int {
	return cmp.Or(cmp.Compare(a.period, b.period), a.meter.Compare(b.meter), a.client.Compare(b.client))
}

// charge adds a row that counts to the charges. What the row would have cost without the proxy goes to the charge for
// its bytes.
func (s *sums) charge(r *traffic.Row) {
	period, client := s.w.periodOf(r.Day), s.w.clientOf(r)
	b := s.bills[monthOf(r.Day)]
	var first *charge
	s.w.run(r, func(m bill.Meter, quantity float64, without bool) {
		if without {
			first.without += quantity * s.w.rate(b, m, true)
			return
		}
		k := chargeKey{period, m, client}
		c := s.charges[k]
		if c == nil {
			c = &charge{}
			s.charges[k] = c
		}
		c.quantity += quantity
		if first == nil {
			first = c
		}
	})
}

// chargesOf returns the bills of all months as charges: by client what clients ran, and the rest, such as storage and the
// front, without a client. They sum to the bills.
func (s *sums) chargesOf() []focus.Charge {
	var out []focus.Charge
	keys := sortedKeys(s.charges, compareCharges)
	for _, month := range sortedKeys(s.bills, cmp.Compare[traffic.Day]) {
		used := map[bill.Meter]float64{}
		with := s.bills[month].with
		next := traffic.DayOf(month.Time().AddDate(0, 1, 0))
		begin, end := max(month, s.w.in.Begin), min(next, s.w.in.End)
		for _, k := range keys {
			line, ok := with.Line(k.meter)
			if monthOf(k.period) != month || !ok {
				continue
			}
			c := s.charges[k]
			used[k.meter] += c.quantity
			one := part(line, c.quantity)
			one.Client, one.Without = k.client, c.without
			one.Start, one.End = begin.Time(), end.Time()
			if s.w.in.Per == PerDay {
				one.Start, one.End = k.period.Time(), (k.period + 1).Time()
			}
			out = append(out, one)
		}
		for _, line := range with.Lines {
			rest := line.Quantity - used[line.Meter]
			if rest <= line.Quantity*1e-9 { // what sums of floats leave
				continue
			}
			one := part(line, rest)
			one.Start, one.End = begin.Time(), end.Time()
			out = append(out, one)
		}
	}
	return out
}

// part returns the charge for a part of the quantity of a line.
func part(l bill.Line, quantity float64) focus.Charge {
	c := focus.Charge{Meter: l.Meter, Unit: l.Unit, Quantity: quantity, Estimate: l.Estimate}
	if l.Quantity > 0 {
		c.USD, c.List = l.USD*(quantity/l.Quantity), l.ListUSD*(quantity/l.Quantity)
	}
	return c
}

// Charges returns the bills of the report as charges for cost data, if [Input.Charges] asked for them.
func (r *Report) Charges() []focus.Charge { return r.charges }
