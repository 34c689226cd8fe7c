package focus

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"ociproxy/internal/traffic"
)

// grace is how long after a month its bill may still change: AWS says two weeks, the others less.
const grace = 14 * 24 * time.Hour

// Compare sets the bill beside what we counted from the first day to before the last one: quantities first, then list
// cost, then effective cost. Months that we counted only a part of are compared, and said to be partial.
func (b *Bill) Compare(all []Ours, begin, end traffic.Day) *Comparison {
	c := &Comparison{Files: b.Files(), Periods: b.periodsOf(), Faults: b.faultsOf()}
	m := matcher{bill: b, lines: map[lineKey]*Line{}, open: map[periodKey]bool{}, begin: begin, end: end}
	for _, p := range c.Periods {
		m.open[periodKey{p.Month, p.Provider}] = p.Open
	}
	for _, k := range b.own.sorted(compareLines) {
		l := m.line(k)
		l.Bill = l.Bill.plus(b.own.of[k].amounts())
	}
	m.take(all)
	c.Notes = m.allot()
	for _, k := range slices.SortedFunc(maps.Keys(m.lines), compareLines) {
		l := m.lines[k]
		if l.Bill == (Amounts{}) && l.Kind == SameRegion {
			continue // free, and not on every bill
		}
		m.explain(l)
		c.Lines = append(c.Lines, *l)
	}
	c.Apart = b.apartOf()
	c.Unknown = b.unknownOf()
	c.Foreign = b.foreignOf()
	c.Notes = append(c.Notes, b.notes()...)
	return c
}

func compareLines(a, b lineKey) int {
	return cmp.Or(cmp.Compare(a.month, b.month), cmp.Compare(a.store, b.store),
		cmp.Compare(slices.Index(Kinds(), a.kind), slices.Index(Kinds(), b.kind)))
}

// matcher makes the lines of a comparison.
type matcher struct {
	bill  *Bill
	lines map[lineKey]*Line
	open  map[periodKey]bool
	// begin and end are the days that we counted.
	begin, end traffic.Day
}

func (m *matcher) line(k lineKey) *Line {
	l := m.lines[k]
	if l == nil {
		s := &m.bill.picker.stores[k.store]
		l = &Line{Month: k.month, Store: s.name, Provider: s.provider, Kind: k.kind, Base: k.kind.Base()}
		if k.kind.ofCDN() {
			l.Provider = cmp.Or(s.cdn, s.provider)
		}
		l.Open = m.open[periodKey{k.month, l.Provider}]
		m.lines[k] = l
	}
	return l
}

// take adds what we counted. Counts of months of which there is no bill are left out.
func (m *matcher) take(all []Ours) {
	months := map[traffic.Day]bool{}
	for k := range m.bill.periods {
		months[k.month] = true
	}
	stores := map[string]int{}
	for i, s := range m.bill.picker.stores {
		stores[s.name] = i
	}
	for _, o := range all {
		i, known := stores[o.Store]
		if !known || !months[o.Month] {
			continue
		}
		l := m.line(lineKey{o.Month, i, o.Kind})
		side := &l.Estimate
		if o.Source == traffic.FromStore {
			side = &l.Logs
		}
		if *side == nil {
			*side = &Side{}
		}
		(*side).Quantity += o.Quantity
		(*side).List += o.List
		(*side).USD += o.USD
	}
}

// allot gives the rows that name no single store to the stores that they may be of, by their shares in the logs, or else
// in the estimate.
func (m *matcher) allot() []string {
	var notes []string
	b := m.bill
	keys := b.shared.sorted(func(x, y sharedKey) int {
		return cmp.Or(cmp.Compare(x.month, y.month), cmp.Compare(x.provider, y.provider), cmp.Compare(x.kind, y.kind), cmp.Compare(x.stores, y.stores))
	})
	for _, k := range keys {
		amounts, stores := b.shared.of[k].amounts(), fromIndices(k.stores)
		shares, by := m.shares(k.month, k.kind, stores)
		for i, store := range stores {
			if shares[i] == 0 {
				continue
			}
			part := amounts.times(shares[i])
			l := m.line(lineKey{k.month, store, k.kind})
			l.Bill = l.Bill.plus(part)
			if l.Allotted == nil {
				l.Allotted = &Amounts{}
			}
			*l.Allotted = l.Allotted.plus(part)
		}
		what := "name no bucket"
		if k.named {
			what = "are of an account with several stores"
		}
		notes = append(notes, fmt.Sprintf("%s: %d rows of %s for %s (%s, $%.2f) %s; they are allotted to %s %s.", month(k.month),
			amounts.Rows, k.provider, k.kind, inBase(k.kind.Base(), amounts.Quantity), amounts.Effective, what, b.names(stores), by))
	}
	return notes
}

// shares returns which part of a kind each store has, and how that is known.
func (m *matcher) shares(month traffic.Day, kind Kind, stores []int) ([]float64, string) {
	if len(stores) == 1 {
		return []float64{1}, "as the only one in that region"
	}
	out := make([]float64, len(stores))
	for _, try := range []struct {
		of  func(*Line) *Side
		how string
	}{
		{func(l *Line) *Side { return l.Logs }, "by their shares in the logs"},
		{func(l *Line) *Side { return l.Estimate }, "by their shares in the estimate, because no logs were given"},
	} {
		var total float64
		for i, s := range stores {
			out[i] = 0
			if l := m.lines[lineKey{month, s, kind}]; l != nil && try.of(l) != nil {
				out[i] = max(0, try.of(l).Quantity)
				total += out[i]
			}
		}
		if total > 0 {
			for i := range out {
				out[i] /= total
			}
			return out, try.how
		}
	}
	for i := range out {
		out[i] = 1 / float64(len(out))
	}
	return out, "in equal parts, because nothing else is known"
}

func (b *Bill) periodsOf() []Period {
	out := []Period{}
	for _, k := range slices.SortedFunc(maps.Keys(b.periods), func(x, y periodKey) int {
		return cmp.Or(cmp.Compare(x.month, y.month), cmp.Compare(x.provider, y.provider))
	}) {
		p := *b.periods[k]
		switch {
		case p.Until.Before(p.End.Add(-24 * time.Hour)):
			p.Open, p.Why = true, "the data ends on "+p.Until.Format(time.DateOnly)
		case p.invoiced:
		case b.opt.Now.Before(p.End.Add(grace)):
			p.Open, p.Why = true, "the bill may change until "+p.End.Add(grace).Format(time.DateOnly)
		}
		out = append(out, p)
	}
	return out
}

func (b *Bill) faultsOf() []Fault {
	out := []Fault{}
	for _, name := range slices.Sorted(maps.Keys(b.faults)) {
		out = append(out, *b.faults[name])
	}
	return out
}

func (b *Bill) apartOf() []Apart {
	out := []Apart{}
	for _, k := range b.apart.sorted(func(x, y apartKey) int {
		return cmp.Or(cmp.Compare(x.month, y.month), cmp.Compare(x.provider, y.provider), cmp.Compare(x.what, y.what), cmp.Compare(x.store, y.store))
	}) {
		out = append(out, Apart{k.month, k.provider, k.store, k.what, b.apart.of[k].amounts()})
	}
	return out
}

func (b *Bill) unknownOf() []Unknown {
	out := []Unknown{}
	for k, s := range b.unknown.of {
		out = append(out, Unknown{k.provider, k.service, k.meter, k.unit, k.store, s.amounts()})
	}
	slices.SortFunc(out, func(x, y Unknown) int {
		return cmp.Or(largest(x.Amounts, y.Amounts), cmp.Compare(x.Meter, y.Meter), cmp.Compare(x.Store, y.Store), cmp.Compare(x.Unit, y.Unit))
	})
	return out
}

func (b *Bill) foreignOf() []Foreign {
	out := []Foreign{}
	for k, s := range b.foreign.of {
		out = append(out, Foreign{k.provider, k.resource, k.why, s.amounts()})
	}
	slices.SortFunc(out, func(x, y Foreign) int {
		return cmp.Or(largest(x.Amounts, y.Amounts), cmp.Compare(x.Resource, y.Resource), cmp.Compare(x.Why, y.Why))
	})
	return out
}

// notes says where the tables of the bill reached their bounds.
func (b *Bill) notes() []string {
	var out []string
	for what, rest := range map[string]*sums{"meters that are not known": &b.unknown.rest, "resources that are not in the config": &b.foreign.rest} {
		if rest.rows > 0 {
			out = append(out, fmt.Sprintf("More than %d %s: another %d rows with $%.2f are not listed.", maxGroups, what, rest.rows, rest.effective.value()))
		}
	}
	slices.Sort(out)
	if b.usage.rest.rows > 0 || b.own.rest.rows > 0 || b.shared.rest.rows > 0 || b.apart.rest.rows > 0 {
		out = append(out, fmt.Sprintf("More than %d months × stores × kinds: the rest is not in the tables. Read fewer months.", maxGroups))
	}
	if b.unseen > 0 {
		out = append(out, fmt.Sprintf("Rows that two files have were looked for among the first %d rows only.", maxSeen))
	}
	return out
}
