package delivered

import (
	"math"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// Learner sums what was asked for and what was sent. The zero Learner is ready to use. It is not safe for concurrent use.
type Learner struct {
	sums  map[traffic.Day]map[Class]*sum
	sizes map[string]Size // by digest
	asked map[string]ask  // by the id of the redirect
	// Dropped counts lines that were not learned from because a bound was reached.
	Dropped int64
}

// sum is of one class and day.
type sum struct {
	requests, asked, sent float64
}

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
// Other lines are only summed up, so that lost ones look like cut downloads.
func (l *Learner) Add(use *usage.Use, rec *accesslog.Record) {
	if !is(&use.Key) {
		return
	}
	if l.sums == nil {
		l.sums, l.sizes, l.asked = map[traffic.Day]map[Class]*sum{}, map[string]Size{}, map[string]ask{}
	}
	class := Class{Store: use.Store, Kind: KindOf(rec.UserAgent), Size: SizeOf(rec.Size)}
	if use.Source == traffic.FromProxy {
		l.proxied(use, class)
		return
	}
	if class.Size == 0 {
		class.Size = l.sizes[use.Digest]
	}
	s := l.at(use.Day, class)
	if use.RID == "" {
		s.sent += use.Bytes
		return
	}
	was, ok := l.asked[use.RID]
	if !ok {
		return // the proxy has no line of it
	}
	s = l.at(use.Day, was.class)
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
		s := l.at(use.Day, class)
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

func (l *Learner) at(day traffic.Day, class Class) *sum {
	of := l.sums[day]
	if of == nil {
		of = map[Class]*sum{}
		l.sums[day] = of
	}
	s := of[class]
	if s == nil {
		s = &sum{}
		of[class] = s
	}
	return s
}

// enough is how many requests a class needs to have a factor of its own: with 500, one cut download more or less is 0.2 %.
const enough = 500

// Factors returns what was learned until now.
func (l *Learner) Factors() *Factors {
	f := &Factors{days: map[traffic.Day]bool{}, of: map[Class]Factor{}}
	byClass := map[Class]map[traffic.Day]*sum{}
	for day, of := range l.sums {
		f.days[day] = true
		for class, s := range of {
			seen := map[Class]bool{}
			for _, wide := range class.wider() {
				if seen[wide] {
					continue
				}
				seen[wide] = true
				if byClass[wide] == nil {
					byClass[wide] = map[traffic.Day]*sum{}
				}
				all := byClass[wide][day]
				if all == nil {
					all = &sum{}
					byClass[wide][day] = all
				}
				all.requests += s.requests
				all.asked += s.asked
				all.sent += s.sent
			}
		}
	}
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
		all.requests += s.requests
		all.asked += s.asked
		all.sent += s.sent
	}
	if all.requests < enough || all.asked <= 0 {
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
