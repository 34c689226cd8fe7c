package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/focus"
	"ociproxy/internal/price"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// report puts the tables together.
func (s *sums) report(t *tally) *Report {
	in := s.w.in
	r := &Report{
		Begin: in.Begin.String(), End: in.End.String(), Per: in.Per, Config: in.File, Canonical: s.w.canonical,
		Months: s.months(), Flows: flowsOf(in.Per, s.flows), Other: flowsOf(in.Per, s.other), Left: s.leftList(),
		Sources: s.c.list, Objects: []Object{}, Items: []Item{}, Warnings: []string{},
	}
	periods, clouds, stores, repositories := map[string]*sum{}, map[string]*sum{}, map[string]*sum{}, map[string]*sum{}
	var bytes, known float64
	for _, k := range sortedKeys(s.flows, compareFlows) { // floats are added in one order, so that a report is the same each time
		f := s.flows[k]
		into(periods, in.Per.Name(k.period), f)
		into(clouds, cmp.Or(k.client.Cloud, Unknown), f)
		into(stores, k.store, f)
		bytes += f.bytes
	}
	for _, k := range sortedKeys(s.repositories, comparePeriods) {
		into(repositories, k.name, s.repositories[k])
		known += s.repositories[k].bytes
	}
	r.Periods, r.Clouds, r.Stores, r.Repositories = totals(periods), totals(clouds), totals(stores), totals(repositories)
	slices.SortFunc(r.Periods, func(a, b Total) int { return strings.Compare(a.Name, b.Name) })
	if r.Known.Bytes = known; bytes > 0 {
		r.Known.Share = known / bytes
	}
	for _, o := range s.digests {
		r.Objects = append(r.Objects, *o)
	}
	slices.SortFunc(r.Objects, func(a, b Object) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Digest, b.Digest))
	})
	r.Objects = r.Objects[:min(len(r.Objects), maxObjects)]
	r.Movers, r.Compared = s.movers()
	for _, i := range in.Book.Items() {
		r.Items = append(r.Items, itemOf(i))
	}
	for _, day := range sortedKeys(s.bills, cmp.Compare[traffic.Day]) {
		r.ours = append(r.ours, s.bills[day].ours...)
	}
	if s.charges != nil {
		r.charges = s.chargesOf()
	}
	s.warn(t, r)
	return r
}

// Ours returns what the stores' logs and the proxy tell by month, store and kind of charge, to compare with cost data.
func (r *Report) Ours() []focus.Ours { return r.ours }

// Unknown is the name of a cloud or region that is not known.
const Unknown = "(unknown)"

// maxObjects is how many blobs a report lists.
const maxObjects = 1000

// months returns the bills.
func (s *sums) months() []Month {
	var out []Month
	got := map[traffic.Day]*sum{}
	for _, k := range sortedKeys(s.flows, compareFlows) {
		into(got, monthOf(k.period), s.flows[k])
	}
	for _, day := range sortedKeys(s.bills, cmp.Compare[traffic.Day]) {
		b := s.bills[day]
		m := Month{
			Month: PerMonth.Name(day), Days: b.days, With: moneyOf(b.with), Without: moneyOf(b.without),
			Lines: linesOf(b.with), WithoutLines: linesOf(b.without),
		}
		// The least is saved if canonical was cheap and the stores were expensive, and the most the other way round.
		m.Saved = Money{m.Without.USD - m.With.USD, m.Without.Low - m.With.High, m.Without.High - m.With.Low}
		if g := got[day]; g != nil {
			m.Downloads, m.Bytes = g.downloads, g.bytes
			if g.bytes > 0 {
				m.PerTB = m.With.USD / (g.bytes / price.TB.Size())
			}
			if g.downloads > 0 {
				m.PerMillion = m.With.USD / (g.downloads / price.Requests1M.Size())
			}
		}
		out = append(out, m)
	}
	return out
}

func totals(m map[string]*sum) []Total {
	out := make([]Total, 0, len(m))
	for name, s := range m {
		out = append(out, Total{name, s.done(), s.without})
	}
	slices.SortFunc(out, func(a, b Total) int {
		return cmp.Or(cmp.Compare(b.USD, a.USD), cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name, b.Name))
	})
	return out
}

func flowsOf(per Per, m map[flowKey]*sum) []Flow {
	out := make([]Flow, 0, len(m))
	for _, k := range sortedKeys(m, compareFlows) {
		out = append(out, Flow{per.Name(k.period), k.client.Cloud, k.client.Region, k.store, k.class, m[k].done(), m[k].without})
	}
	slices.SortStableFunc(out, func(a, b Flow) int {
		return cmp.Or(strings.Compare(a.Period, b.Period), cmp.Compare(b.USD, a.USD), cmp.Compare(b.Bytes, a.Bytes))
	})
	return out
}

func compareFlows(a, b flowKey) int {
	return cmp.Or(cmp.Compare(a.period, b.period), a.client.Compare(b.client), strings.Compare(a.store, b.store), strings.Compare(string(a.class), string(b.class)))
}

func comparePeriods(a, b periodName) int {
	return cmp.Or(cmp.Compare(a.period, b.period), strings.Compare(a.name, b.name))
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}

// movers compares the last two whole periods: flows by client cloud and store, and repositories.
func (s *sums) movers() (list []Mover, periods []string) {
	was, is, ok := s.lastTwo()
	if !ok {
		return []Mover{}, []string{}
	}
	type side struct{ was, is sum }
	moved := map[[2]string]*side{}
	note := func(kind, name string, period traffic.Day, one *sum) {
		if period != was && period != is {
			return
		}
		m := moved[[2]string{kind, name}]
		if m == nil {
			m = &side{}
			moved[[2]string{kind, name}] = m
		}
		if period == was {
			m.was.add(one)
		} else {
			m.is.add(one)
		}
	}
	for _, k := range sortedKeys(s.flows, compareFlows) {
		note("flow", fmt.Sprintf("%s → %s", cmp.Or(k.client.String(), Unknown), k.store), k.period, s.flows[k])
	}
	for _, k := range sortedKeys(s.repositories, comparePeriods) {
		note("repository", k.name, k.period, s.repositories[k])
	}
	out := make([]Mover, 0, len(moved))
	for k, m := range moved {
		out = append(out, Mover{Kind: k[0], Name: k[1], Was: m.was.done(), Is: m.is.done(), Change: m.is.usd - m.was.usd})
	}
	slices.SortFunc(out, func(a, b Mover) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Change), math.Abs(a.Change)), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), maxMovers)], []string{s.w.in.Per.Name(was), s.w.in.Per.Name(is)}
}

// maxMovers is how many movers a report lists.
const maxMovers = 1000

// lastTwo returns the last two periods of which all days are in the report and over.
func (s *sums) lastTwo() (was, is traffic.Day, ok bool) {
	in := s.w.in
	end := min(in.End, traffic.DayOf(in.Now))
	var whole []traffic.Day
	for d := in.Begin; d < end; d++ {
		first := s.w.periodOf(d)
		length := 1
		if in.Per == PerMonth {
			length = daysIn(first)
		}
		if first == d && d+traffic.Day(length) <= end {
			whole = append(whole, d)
		}
	}
	if len(whole) < 2 {
		return 0, 0, false
	}
	return whole[len(whole)-2], whole[len(whole)-1], true
}

// warn says what makes the report less certain.
func (s *sums) warn(t *tally, r *Report) {
	note := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	var empty []string
	for i := range r.Months {
		if m := &r.Months[i]; m.Downloads == 0 && m.Bytes == 0 {
			empty = append(empty, m.Month)
		}
	}
	if len(empty) > 0 {
		note("no source has downloads of %s: nothing is known of their traffic; choose other days with --begin and --end, or another source", strings.Join(empty, ", "))
	}
	for _, name := range sortedKeys(t.strays, strings.Compare) {
		stray := t.strays[name]
		if name == overflow {
			note("%s requests (%s) are of flows for which the proxy kept no counters of their own: they are not counted; the request log has them",
				count(stray.Requests), size(stray.Bytes))
			continue
		}
		note("the config has no store %q: its %s requests (%s) are not counted", clean(name), count(stray.Requests), size(stray.Bytes))
	}
	if s.w.in.Objects != nil && t.several() {
		note("logs of the stores and of the proxy tell of the same blobs: the table of blobs is left out; give one kind of log to see it")
	}
	if s.folded {
		note("the logs have more than %s repositories: the smallest are counted together as %s, and a small one that is shown may have less than it had",
			count(float64(s.w.in.repositories())), Others)
	}
	if s.fewBlobs {
		note("the sources have more than %s blobs: the smallest are counted together, and a small one that is shown may have less than it had",
			count(float64(s.w.in.blobs())))
	}
	for _, c := range r.Sources {
		if c.Complete > 2-usage.Enough {
			note("the log of %s from %s to %s has %s of the requests that the proxy sent there: clients use the store without the proxy, or lines count twice",
				c.Store, c.First, c.Last, percent(c.Complete))
		}
		if c.Complete > 0 && c.Complete < usage.Enough {
			note("the log of %s from %s to %s has %s of the requests that the proxy sent there (below %s): nothing is scaled up",
				c.Store, c.First, c.Last, percent(c.Complete), percent(usage.Enough))
		}
	}
	var thin []string
	for _, d := range sortedKeys(s.w.in.Seen, cmp.Compare[traffic.Day]) {
		if seen := s.w.in.Seen[d]; seen < usage.Enough {
			thin = append(thin, fmt.Sprintf("%s (%s)", d, percent(seen)))
		}
	}
	if len(thin) > 0 {
		more := ""
		if len(thin) > 5 {
			more = fmt.Sprintf(" and %d more days", len(thin)-5)
			thin = thin[:5]
		}
		note("Prometheus saw an instance only in a part of %s%s: what was counted meanwhile is lost", strings.Join(thin, ", "), more)
	}
	var unknown []string
	for _, name := range sortedKeys(s.w.known, strings.Compare) {
		if s.w.known[name].store != nil && !s.storageKnown(name) {
			unknown = append(unknown, name)
		}
	}
	switch len(unknown) {
	case 0:
	case 1:
		note("how much %s holds is not known, so its storage is not on the bill: --inventories, --held %s=SIZE, or billing.stored in the config", unknown[0], unknown[0])
	default:
		note("how much %s hold is not known, so their storage is not on the bill: --inventories, --held STORE=SIZE, or billing.stored in the config", strings.Join(unknown, ", "))
	}
	for _, day := range sortedKeys(s.bills, cmp.Compare[traffic.Day]) {
		if off, at := s.w.in.Book.TiersOff(s.bills[day].with); off != 0 {
			note("%s: by what %s sent, route.monthlyTB is off by %d of the price's tiers: the live score uses another price than the bill",
				PerMonth.Name(day), cmp.Or(at.Store, at.Provider), off)
		}
	}
}

// storageKnown reports whether the size of a store is on the bills.
func (s *sums) storageKnown(name string) bool {
	_, held := s.w.in.Held[name]
	_, stored := s.w.in.Config.Billing.Stored[config.AccountName(name)]
	return held || stored
}

// overflow is the store of flows that the proxy counted together.
const overflow = "other"
