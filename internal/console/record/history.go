package record

import (
	"time"

	"ociproxy/internal/console/view"
)

const (
	// window is how long rates are measured, and least if candidates left or came back since: then the rates are of the
	// time after that, so that one sees at once where clients are sent now.
	window, least = time.Minute, 15 * time.Second
	// sparse is how far apart marks older than window are, and past how far they go back.
	sparse = 30 * time.Second
	past   = 7 * time.Minute
	// spareColumns is how many columns may be of ways that are no longer counted.
	spareColumns = 256
)

// mark is all counters at one time, by column. Later marks may have more columns.
type mark struct {
	at     time.Time
	counts []Count
}

func (m *mark) count(column int) Count {
	if column < len(m.counts) {
		return m.counts[column]
	}
	return Count{}
}

// history has the counters of the last minutes: 13 marks of the last minute and 13 of the six minutes before. One takes
// 24 bytes a way. An instance counts at most about 1,400 ways (package metrics), so history stays under 1.1 MB.
type history struct {
	columns map[Way]int
	ways    []Way
	marks   []mark // oldest first
	// step is the mark at which the present step of the series began.
	step mark
}

// add adds the counters of a time, and returns what was counted since the last ones, all ways together.
func (h *history) add(at time.Time, counts map[Way]Count) (grown Count) {
	if len(h.ways) > len(counts)+spareColumns {
		h.compact(counts)
	}
	if h.columns == nil {
		h.columns = map[Way]int{}
	}
	for w := range counts {
		if _, ok := h.columns[w]; !ok {
			h.columns[w] = len(h.ways)
			h.ways = append(h.ways, w)
		}
	}
	next := mark{at, make([]Count, len(h.ways))}
	for w, c := range counts {
		next.counts[h.columns[w]] = c
	}
	if last := h.last(); last != nil {
		for i, c := range next.counts {
			grown = grown.plus(c.since(last.count(i)))
		}
		if last.at.Equal(at) {
			h.marks = h.marks[:len(h.marks)-1]
		}
	}
	h.marks = append(h.marks, next)
	h.thin(at)
	return grown
}

// thin drops marks that are too old, or too close together for their age.
func (h *history) thin(now time.Time) {
	kept := h.marks[:0]
	for i, m := range h.marks {
		age := now.Sub(m.at)
		switch {
		case age < 0 && i < len(h.marks)-1: // the clock was set back
		case age > past:
		case age > window+Every && len(kept) > 0 && m.at.Sub(kept[len(kept)-1].at) < sparse:
		default:
			kept = append(kept, m)
		}
	}
	clear(h.marks[len(kept):])
	h.marks = kept
}

// compact drops the columns of ways that are no longer counted.
func (h *history) compact(counts map[Way]Count) {
	old := h.ways
	h.ways, h.columns = nil, map[Way]int{}
	var from []int
	for i, w := range old {
		if _, ok := counts[w]; ok {
			h.columns[w] = len(h.ways)
			h.ways, from = append(h.ways, w), append(from, i)
		}
	}
	move := func(m *mark) {
		counts := make([]Count, len(from))
		for column, was := range from {
			counts[column] = m.count(was)
		}
		m.counts = counts
	}
	for i := range h.marks {
		move(&h.marks[i])
	}
	move(&h.step)
}

func (h *history) last() *mark {
	if len(h.marks) == 0 {
		return nil
	}
	return &h.marks[len(h.marks)-1]
}

// first returns the first mark not before at; nil: there is none.
func (h *history) first(at time.Time) *mark {
	for i := range h.marks {
		if !h.marks[i].at.Before(at) {
			return &h.marks[i]
		}
	}
	return nil
}

// until returns the last mark not after at; nil: there is none.
func (h *history) until(at time.Time) *mark {
	for i := len(h.marks) - 1; i >= 0; i-- {
		if !h.marks[i].at.After(at) {
			return &h.marks[i]
		}
	}
	return nil
}

// between returns the rates from one mark to another, by way, without those at which nothing flowed.
func (h *history) between(a, b *mark) map[Way]view.Rate {
	rates := map[Way]view.Rate{}
	for i, c := range b.counts {
		if grown := c.since(a.count(i)); grown != (Count{}) {
			rates[h.ways[i]] = grown.over(b.at.Sub(a.at))
		}
	}
	return rates
}

// now returns the rates of the last minute, or since candidates changed if that is less.
func (h *history) now(changed time.Time) map[Way]view.Rate {
	last := h.last()
	begin := last.at.Add(-window)
	if latest := last.at.Add(-least); changed.After(begin) {
		begin = changed
		if begin.After(latest) {
			begin = latest
		}
	}
	return h.between(h.first(begin.Add(-Every/2)), last)
}
