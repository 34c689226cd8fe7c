package report

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"

	"ociproxy/internal/bill"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// sums is every table of the report, at the rates of the bills.
type sums struct {
	w     *world
	c     *choices
	bills map[traffic.Day]*bills

	flows        map[flowKey]*sum
	other        map[flowKey]*sum
	repositories map[periodName]*sum
	folded       bool // repositories: the smallest are together
	left         map[leftKey]*leftSum
	digests      map[string]*Object
	fewBlobs     bool                  // digests: the smallest are together
	charges      map[chargeKey]*charge // nil: nobody asked for them
}

type flowKey struct {
	period traffic.Day // its first day
	client place.Place
	store  string
	class  traffic.Class
}

type periodName struct {
	period traffic.Day
	name   string
}

// sum is a Sum in the making.
type sum struct {
	requests, bytes, usd, without float64
	downloads                     float64
	lines                         int64
	variance                      float64 // of bytes
	sampled                       float64 // bytes of rows that have a variance
}

func (s *sum) add(o *sum) {
	s.requests += o.requests
	s.bytes += o.bytes
	s.usd += o.usd
	s.without += o.without
	s.downloads += o.downloads
	s.lines += o.lines
	s.variance += o.variance
	s.sampled += o.sampled
}

// done returns the result.
func (s *sum) done() Sum {
	out := Sum{Requests: s.requests, Bytes: s.bytes, USD: s.usd}
	if s.bytes > 0 {
		out.Error = halfWidth(s.sampled, s.variance) / s.bytes
	}
	return out
}

// halfWidth returns how far the bytes of a sample may be off, with 95 % confidence, by their estimated variance.
//
// Each request has its line with the same probability, whatever other lines there are. So lines of one pull need no
// correction, but the few lines that have most of the bytes do: where the sample happens to miss them, both the sum and its
// variance are too small. So this is not 1.96 standard deviations of the sum but the upper end of a score interval, as for a
// count: variance ÷ sampled is the bytes that one typical line stands for, and sampled² ÷ variance is how many such lines
// there are.
func halfWidth(sampled, variance float64) float64 {
	if sampled <= 0 || variance <= 0 {
		return 0
	}
	z, line := confidence, variance/sampled
	return z*z/2*line + z*math.Sqrt(variance+z*z/4*line*line)
}

// confidence is how many standard deviations of a normal distribution have 95 % of it.
const confidence = 1.96

func newSums(w *world, c *choices, b map[traffic.Day]*bills) *sums {
	s := &sums{
		w: w, c: c, bills: b, flows: map[flowKey]*sum{}, other: map[flowKey]*sum{}, repositories: map[periodName]*sum{},
		left: map[leftKey]*leftSum{}, digests: map[string]*Object{},
	}
	if w.in.Charges {
		s.charges = map[chargeKey]*charge{}
	}
	return s
}

// periodOf returns the first day of the period with the day.
func (w *world) periodOf(d traffic.Day) traffic.Day {
	if w.in.Per == PerDay {
		return d
	}
	return monthOf(d)
}

// flow adds a piece to all tables but that of the repositories.
func (s *sums) flow(p *piece) {
	r := p.row()
	one := s.price(p, r)
	if s.c.counts(r) {
		if s.charges != nil {
			s.charge(r)
		}
		key := flowKey{s.w.periodOf(r.Day), s.w.clientOf(r), r.Store, r.Class}
		if ofClients(r) {
			into(s.flows, key, &one)
		} else {
			into(s.other, key, &one)
		}
	}
	if s.c.reasons(r) {
		s.leave(r, &one)
	}
}

// repository adds a piece with a repository to the table of the repositories.
func (s *sums) repository(p *piece) {
	r := p.row()
	if !s.c.reasons(r) {
		return
	}
	one := s.price(p, r)
	into(s.repositories, periodName{s.w.periodOf(r.Day), r.Repository}, &one)
	if len(s.repositories) > s.w.in.repositories() {
		s.fold()
	}
}

// all adds all sums that were kept.
func (s *sums) all(k *kept) {
	for _, p := range k.flows {
		s.flow(p)
	}
	for _, p := range k.repositories {
		s.repository(p)
	}
}

// Others is the name for all repositories that are not kept: no repository can have it.
const Others = "(others)"

// fold adds up the smaller half of the repositories, in each period.
func (s *sums) fold() {
	keys := slices.SortedFunc(maps.Keys(s.repositories), func(a, b periodName) int {
		return cmp.Or(cmp.Compare(s.repositories[b].bytes, s.repositories[a].bytes), comparePeriods(a, b))
	})
	for _, k := range keys[len(keys)/2:] {
		if k.name != Others {
			into(s.repositories, periodName{k.period, Others}, s.repositories[k])
			delete(s.repositories, k)
		}
	}
	s.folded = true
}

func into[K comparable](m map[K]*sum, key K, one *sum) {
	s := m[key]
	if s == nil {
		s = &sum{}
		m[key] = s
	}
	s.add(one)
}

// price returns what a piece, of which r is the row, counts for at the rates of its month.
func (s *sums) price(p *piece, r *traffic.Row) sum {
	out := sum{requests: r.Requests, bytes: r.Bytes, lines: r.Lines, variance: p.variance, sampled: p.sampled}
	if r.Operation == traffic.Get && ofClients(r) {
		out.downloads = r.Requests
	}
	b := s.bills[monthOf(r.Day)]
	s.w.run(r, func(m bill.Meter, quantity float64, without bool) {
		if usd := quantity * s.w.rate(b, m, without); without {
			out.without += usd
		} else {
			out.usd += usd
		}
	})
	return out
}

// varianceOf returns how far the bytes of a sampled row may be off, as a variance. A line is kept with probability p and
// has the weight 1/p, so that the estimated variance of the sum of weight × bytes is the sum of (weight × bytes)² × (1-p),
// with p as the mean over the lines. Nothing is off where every request has its line.
func varianceOf(r *traffic.Row) float64 {
	if r.Lines == 0 || r.Requests <= float64(r.Lines) {
		return 0
	}
	return r.Squares * (1 - float64(r.Lines)/r.Requests)
}

// objects adds up what is known of single blobs.
func (s *sums) objects(all iter.Seq2[*traffic.Object, error]) error {
	for o, err := range all {
		switch {
		case err != nil:
			return err
		case o.Month < monthOf(s.w.in.Begin) || o.Month >= s.w.in.End:
			continue
		}
		d := s.digests[o.Digest]
		if d == nil {
			d = &Object{Digest: o.Digest}
			s.digests[o.Digest] = d
		}
		d.Requests += o.Requests
		d.Bytes += o.Bytes
		if len(s.digests) > s.w.in.blobs() {
			s.foldBlobs()
		}
	}
	return nil
}

// foldBlobs adds up the smaller half of the blobs. They have no digest then, as the small blobs of a roll-up.
func (s *sums) foldBlobs() {
	keys := slices.SortedFunc(maps.Keys(s.digests), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.digests[b].Bytes, s.digests[a].Bytes), cmp.Compare(a, b))
	})
	others := s.digests[""]
	if others == nil {
		others = &Object{}
		s.digests[""] = others
	}
	for _, k := range keys[len(keys)/2:] {
		if d := s.digests[k]; d != others {
			others.Requests += d.Requests
			others.Bytes += d.Bytes
			delete(s.digests, k)
		}
	}
	s.fewBlobs = true
}
