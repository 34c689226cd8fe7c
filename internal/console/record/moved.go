package record

import (
	"cmp"
	"slices"
	"time"

	"ociproxy/internal/console/view"
)

const (
	// The traffic that a candidate had is measured over the five minutes that end settled before it went out: in the last
	// seconds its clients may have been sent elsewhere already. It may be less after a start.
	lookBack, settled = 5 * time.Minute, 30 * time.Second
	// remembered is for how many candidates that are out it is known what they carried: the first ones. places is of how
	// many client places, the busiest. So this takes at most 16 × 1,400 rates of 64 bytes, 1.4 MB.
	remembered, places = 16, 64
	// negligible is the share of the moved traffic below which a candidate is not named.
	negligible = 0.02
)

// before has the rates of all ways of the places whose clients a candidate had, before it went out.
type before map[Way]view.Rate

// carried returns what is known about the time before a candidate went out; nil: nothing, or it carried nothing.
func (h *history) carried(name string, out time.Time) before {
	end := h.until(out.Add(-settled))
	if end == nil || !h.marks[0].at.Before(end.at) {
		end = h.until(out)
	}
	if end == nil {
		return nil
	}
	begin := h.first(end.at.Add(-lookBack))
	if !begin.at.Before(end.at) {
		return nil
	}
	rates := h.between(begin, end)
	had := []Way{}
	for w := range rates {
		if w.To == name {
			had = append(had, w)
		}
	}
	if len(had) == 0 {
		return nil
	}
	slices.SortFunc(had, func(a, b Way) int {
		return cmp.Or(cmp.Compare(rates[b].Bytes, rates[a].Bytes), cmp.Compare(a.From, b.From))
	})
	busiest := map[string]bool{}
	for _, w := range had[:min(places, len(had))] {
		busiest[w.From] = true
	}
	b := before{}
	for w, r := range rates {
		if busiest[w.From] {
			b[w] = r
		}
	}
	return b
}

// moved returns where the traffic goes now that the candidate named out would have. For each client place it compares
// the shares of the candidates now with those before: so it does not matter whether clients ask for more or less than
// then.
func (b before) moved(out string, now map[Way]view.Rate) []view.Moved {
	was, is := b.byPlace(), before(now).byPlace()
	to := map[string]view.Moved{}
	for from, old := range was {
		here := is[from]
		if here == nil || b[Way{from, out}] == (view.Rate{}) {
			continue
		}
		priceBefore := cents(b[Way{from, out}])
		bytes := divert(old, here, out, func(r view.Rate) float64 { return r.Bytes })
		asked := divert(old, here, out, func(r view.Rate) float64 { return r.Redirects })
		for name, rate := range here {
			if bytes[name] <= 0 && asked[name] <= 0 {
				continue
			}
			part := view.Rate{Redirects: asked[name], Bytes: bytes[name]}
			m := to[name]
			m.To = name
			if c := cents(rate); c >= 0 {
				part.Dollars = hourly(part.Bytes, c)
				if priceBefore >= 0 {
					m.Extra += part.Dollars - hourly(part.Bytes, priceBefore)
				}
			}
			m.Rate = sum(m.Rate, part)
			to[name] = m
		}
	}
	return largest(to)
}

// byPlace returns the rates by place and candidate.
func (b before) byPlace() map[string]map[string]view.Rate {
	all := map[string]map[string]view.Rate{}
	for w, r := range b {
		if all[w.From] == nil {
			all[w.From] = map[string]view.Rate{}
		}
		all[w.From][w.To] = r
	}
	return all
}

// divert says how much of one kind each candidate has at a place that the candidate out would have.
func divert(old, now map[string]view.Rate, out string, of func(view.Rate) float64) map[string]float64 {
	var oldAll, nowAll float64
	for _, r := range old {
		oldAll += of(r)
	}
	for _, r := range now {
		nowAll += of(r)
	}
	if oldAll <= 0 || nowAll <= 0 {
		return nil
	}
	scale := nowAll / oldAll
	lost := of(old[out])*scale - of(now[out])
	if lost <= 0 {
		return nil
	}
	more, all := map[string]float64{}, 0.0
	for name, r := range now {
		if d := of(r) - of(old[name])*scale; name != out && d > 0 {
			more[name] = d
			all += d
		}
	}
	for name := range more {
		more[name] *= min(1, lost/all)
	}
	return more
}

// largest returns the parts by size, without negligible ones.
func largest(to map[string]view.Moved) []view.Moved {
	var list []view.Moved
	var all view.Rate
	for _, m := range to {
		list = append(list, m)
		all = sum(all, m.Rate)
	}
	list = slices.DeleteFunc(list, func(m view.Moved) bool {
		return m.Rate.Bytes < negligible*all.Bytes || all.Bytes == 0 && m.Rate.Redirects < negligible*all.Redirects
	})
	slices.SortFunc(list, func(a, b view.Moved) int {
		return cmp.Or(cmp.Compare(b.Rate.Bytes, a.Rate.Bytes), cmp.Compare(b.Rate.Redirects, a.Rate.Redirects), cmp.Compare(a.To, b.To))
	})
	return list
}
