package delivered

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// Learner sums what was asked for and what was sent. The zero Learner is ready to use. It is not safe for concurrent use.
type Learner struct {
	sums  map[traffic.Day]map[Class]*both
	sizes map[string]Size // by digest
	asked map[string]ask  // by the id of the redirect
	// Dropped counts lines that were not learned from because a bound was reached.
	Dropped int64
}

// sum is of one class and day.
type sum struct {
	requests, asked, sent float64
	lines                 float64 // of the store's log; the proxy's has requests
}

func (s *sum) add(o *sum) {
	s.requests += o.requests
	s.asked += o.asked
	s.sent += o.sent
	s.lines += o.lines
}

// both are the sums of pairs of lines with the same id, and those of lines without one.
type both struct{ pairs, plain sum }

// ask is a redirect whose line in the store's log is awaited.
type ask struct {
	class Class
	bytes float64
	found bool
}

// maxEntries bounds the digests and the ids that are remembered, each about 100 bytes.
const maxEntries = 1 << 20

// Add takes a line of a log, and what it counts for. Add the proxy's lines of a day before the stores': only the proxy knows the
// sizes of all blobs. Where both have the id of a redirect, a pair of lines counts, and lines that were lost do not matter.
// Other lines are only summed up, so that lost ones would look like cut downloads: [Learner.Factors] compares how many there are.
func (l *Learner) Add(use *usage.Use, rec *accesslog.Record) {
	if !is(&use.Key) {
		return
	}
	if l.sums == nil {
		l.sums, l.sizes, l.asked = map[traffic.Day]map[Class]*both{}, map[string]Size{}, map[string]ask{}
	}
	class := Class{Store: use.Store, Kind: KindOf(rec.UserAgent), Size: SizeOf(rec.Size)}
	if use.Source == traffic.FromProxy {
		l.proxied(use, class)
		return
	}
	if class.Size == 0 {
		class.Size = l.sizes[use.Digest]
	}
	if use.RID == "" {
		s := &l.at(use.Day, class).plain
		s.sent += use.Bytes
		s.lines += use.Requests
		return
	}
	was, ok := l.asked[use.RID]
	if !ok {
		return // the proxy has no line of it
	}
	s := &l.at(use.Day, was.class).pairs
	if !was.found {
		s.asked += was.bytes
		s.requests++
		was.found = true
		l.asked[use.RID] = was
	}
	s.sent += use.Bytes
}

func (l *Learner) proxied(use *usage.Use, class Class) {
	if use.Unsized {
		return
	}
	if len(l.sizes) < maxEntries || l.sizes[use.Digest] != 0 {
		l.sizes[use.Digest] = class.Size
	}
	if use.RID == "" {
		s := &l.at(use.Day, class).plain
		s.asked += use.Bytes
		s.requests += use.Requests
		return
	}
	if len(l.asked) >= maxEntries {
		l.Dropped++
		return
	}
	// A pair of lines counts once, whatever the weight: it is one download.
	l.asked[use.RID] = ask{class: class, bytes: use.Bytes / use.Requests}
}

func (l *Learner) at(day traffic.Day, class Class) *both {
	of := l.sums[day]
	if of == nil {
		of = map[Class]*both{}
		l.sums[day] = of
	}
	s := of[class]
	if s == nil {
		s = &both{}
		of[class] = s
	}
	return s
}

// Unequal is a store and day of which lines without ids were not learned from: the logs of the store and of the proxy have
// another number of requests, so that their difference would look like cut downloads.
type Unequal struct {
	Store    string
	Day      traffic.Day
	Complete float64 // requests in the store's log ÷ those in the proxy's
}

// unequal finds the stores that have no log of a day, or another number of requests in it than the proxy has.
func unequal(of map[Class]*both, day traffic.Day) map[string]Unequal {
	sums := map[string]*sum{}
	for class, s := range of {
		if sums[class.Store] == nil {
			sums[class.Store] = &sum{}
		}
		sums[class.Store].add(&s.plain)
	}
	out := map[string]Unequal{}
	for store, s := range sums {
		if s.lines+s.requests > 0 && math.Abs(s.lines-s.requests) > (1-usage.Enough)*s.requests {
			out[store] = Unequal{store, day, s.lines / max(s.requests, 1)}
		}
	}
	return out
}

// Enough is how many requests a class needs to have a factor of its own: with 500, one cut download more or less is 0.2 %.
const Enough = 500

// Factors returns what was learned until now.
func (l *Learner) Factors() *Factors {
	f := &Factors{days: map[storeDay]bool{}, of: map[Class]Factor{}}
	byClass := map[Class]map[traffic.Day]*sum{}
	for day, of := range l.sums {
		left := unequal(of, day)
		for class, s := range of {
			known := s.pairs
			if _, ok := left[class.Store]; !ok {
				known.add(&s.plain)
			}
			if known.asked == 0 {
				continue
			}
			f.days[storeDay{class.Store, day}] = true
			for i, wide := range class.wider() {
				if slices.Contains(class.wider()[:i], wide) {
					continue
				}
				if byClass[wide] == nil {
					byClass[wide] = map[traffic.Day]*sum{}
				}
				if byClass[wide][day] == nil {
					byClass[wide][day] = &sum{}
				}
				byClass[wide][day].add(&known)
			}
		}
		for _, u := range left {
			if u.Complete > 0 { // the others have no log, as canonical has none
				f.unequal = append(f.unequal, u)
			}
		}
	}
	slices.SortFunc(f.unequal, func(a, b Unequal) int { return cmp.Or(strings.Compare(a.Store, b.Store), cmp.Compare(a.Day, b.Day)) })
	for class, days := range byClass {
		if one, ok := factor(days); ok {
			f.of[class] = one
		}
	}
	return f
}

// factor returns the ratio of sums over days, with its standard error by leaving out one day at a time.
func factor(days map[traffic.Day]*sum) (f Factor, ok bool) {
	var all sum
	for _, s := range days {
		all.add(s)
	}
	if all.requests < Enough || all.asked <= 0 {
		return Factor{}, false
	}
	f = Factor{Ratio: all.sent / all.asked, Requests: all.requests, Days: len(days), Error: math.NaN()}
	if n := float64(len(days)); n > 1 {
		squares := 0.0
		for _, s := range days {
			if rest := all.asked - s.asked; rest > 0 {
				d := (all.sent-s.sent)/rest - f.Ratio
				squares += d * d
			}
		}
		f.Error = math.Sqrt(squares * (n - 1) / n)
	}
	return f, true
}
