package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// chosen says which sources count for a store and day.
type chosen struct {
	counts   uint8 // for downloads and money
	reasons  uint8 // for the reasons of the proxy: only sources of the proxy know them
	complete float64
	why      string
}

// choices are the chosen sources of each store and day.
type choices struct {
	of   map[storeDay]chosen
	list []Choice
}

// The reasons of choices. The only source needs none.
const (
	whyOnly     = "the only source"
	whyLog      = "the store's own log has every byte that it sent"
	whyShort    = "the store's log is not complete: it has %s of the requests that the proxy sent there"
	whyWhole    = "the proxy's log has every request, with its repository"
	whyCounters = "the counters have every request; the proxy's log is a sample"
	whyPart     = "the counters have more than the proxy's log, which lacks instances or hours"
)

// choose decides for each store and day. Sources that tell of the same requests are never added up.
func (t *tally) choose() *choices {
	c := &choices{of: make(map[storeDay]chosen, len(t.days))}
	for at, d := range t.days {
		c.of[at] = d.choose()
	}
	for at, d := range t.days {
		t.asked[monthOf(at.day)] += math.Round(d[c.of[at].reasons].requests) // round: a sum of whole numbers has no order
	}
	c.list = t.describe(c.of)
	return c
}

// choose ranks: the store's log if it is complete, then what the proxy knows.
func (d *dayTold) choose() (c chosen) {
	proxy := d.ofProxySide()
	c.reasons = proxy
	if !d[proxy].there { // only the store's log
		c.reasons = ofStore
		return chosen{counts: ofStore, reasons: ofStore, why: whyOnly}
	}
	switch {
	case !d[ofStore].there:
	case d[proxy].downloads == 0:
		c.counts, c.why = ofStore, whyLog
		return c
	default:
		c.complete = d[ofStore].downloads / d[proxy].downloads
		if c.complete >= usage.Enough {
			c.counts, c.why = ofStore, whyLog
			return c
		}
		c.counts, c.why = proxy, fmt.Sprintf(whyShort, percent(c.complete))
		return c
	}
	c.counts = proxy
	switch {
	case !d[ofProxy].there || !d[ofPrometheus].there:
		c.why = whyOnly
	case proxy == ofProxy:
		c.why = whyWhole
	case d[ofProxy].sampled():
		c.why = whyCounters
	default:
		c.why = whyPart
	}
	return c
}

// ofProxySide returns the better one of the proxy's sources: its whole log, its counters, a sample of its log.
func (d *dayTold) ofProxySide() uint8 {
	if d[ofProxy].there && (!d[ofPrometheus].there || !d[ofProxy].sampled() && !d[ofProxy].short(&d[ofPrometheus])) {
		return ofProxy
	}
	return ofPrometheus
}

// short reports whether a log lacks downloads that the counters have: those of an instance, or of some hours. It compares
// bytes, because the counters also have the requests for manifests.
func (t *told) short(counters *told) bool { return t.bytes < counters.bytes*usage.Enough }

// describe joins the days of a store that have the same choice for the same reason.
func (t *tally) describe(of map[storeDay]chosen) []Choice {
	days := make([]storeDay, 0, len(of))
	for at := range of {
		days = append(days, at)
	}
	slices.SortFunc(days, func(a, b storeDay) int {
		return cmp.Or(cmp.Compare(a.store, b.store), cmp.Compare(a.day, b.day))
	})
	type group struct {
		store, why string
		counts     uint8
	}
	type sums struct {
		choice Choice
		told   dayTold
	}
	at := map[group]*sums{}
	var order []*sums
	for _, d := range days {
		c := of[d]
		g := group{d.store, c.why, c.counts}
		if c.complete > 0 && c.complete < usage.Enough {
			g.why = whyShort // one row for all days that lack something, whatever their share
		}
		s := at[g]
		if s == nil {
			s = &sums{choice: Choice{Store: d.store, First: d.day.String(), Count: sourceNames[c.counts], Why: c.why}}
			at[g] = s
			order = append(order, s)
		}
		s.choice.Last = d.day.String()
		s.choice.Days++
		for i := range t.days[d] {
			s.told[i].add(&t.days[d][i])
		}
	}
	out := make([]Choice, 0, len(order))
	for _, s := range order {
		for i := range s.told {
			if told := &s.told[i]; told.there {
				s.choice.Told = append(s.choice.Told, Told{sourceNames[i], told.requests, told.bytes})
			}
		}
		if proxy := s.told.ofProxySide(); s.told[ofStore].there && s.told[proxy].downloads > 0 {
			s.choice.Complete = s.told[ofStore].downloads / s.told[proxy].downloads
			if s.choice.Complete < usage.Enough {
				s.choice.Why = fmt.Sprintf(whyShort, percent(s.choice.Complete))
			}
		}
		out = append(out, s.choice)
	}
	return out
}

func (t *told) add(o *told) {
	t.there = t.there || o.there
	t.requests += o.requests
	t.bytes += o.bytes
	t.lines += o.lines
	t.downloads += o.downloads
}

// counts reports whether a row counts for downloads and money. What no client caused is only in the stores' logs, so that
// no other source can tell of the same requests.
func (c *choices) counts(r *traffic.Row) bool {
	if !ofClients(r) {
		return true
	}
	return int(c.of[storeDay{r.Store, r.Day}].counts) == sourceIndex(r.Source)
}

// reasons reports whether a row counts for the reasons.
func (c *choices) reasons(r *traffic.Row) bool {
	return ofClients(r) && int(c.of[storeDay{r.Store, r.Day}].reasons) == sourceIndex(r.Source)
}
