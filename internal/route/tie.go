package route

import (
	"cmp"
	"math"
)

// rule is what puts one candidate before another, in the order in which the rules are tried.
type rule uint8

const (
	// byScore: it is better by a tenth of a millisecond, the least that explanations show.
	byScore rule = iota
	// byKind: a store before an upstream, since layers are to leave the registries.
	byKind
	// byLittle: better by less than a tenth.
	byLittle
	// byPrice: it costs less.
	byPrice
	// byRole: a replica before canonical, which is everybody's last resort already.
	byRole
	// byLot: nothing else tells them apart.
	byLot
)

// noise is what sums of the same terms in another order may differ by, in ms; scores are below 1e6 ms, where a float64
// is good to 1e-10.
const noise = 1e-6

// Tenths is the score in tenths of a millisecond: finer differences are none that the map knows of (a place on it is good
// to 50 km, which is 0.7 ms), and an operator's measurement seldom.
func (r *Ranked) Tenths() int64 { return int64(math.Floor(r.Score*10 + 0.5 + noise)) }

// compare orders the candidates of one place and says by which rule. It is a total order that depends on the place and the
// two candidates alone: not on names' order, nor on who else is there. at is the place's part of the lots.
func (s *Snapshot) compare(at uint64, a, b *Ranked) (int, rule) {
	if c := cmp.Compare(a.Tenths(), b.Tenths()); c != 0 {
		return c, byScore
	}
	if c := cmp.Compare(s.Candidates[a.Candidate].Kind, s.Candidates[b.Candidate].Kind); c != 0 {
		return c, byKind
	}
	if c := cmp.Compare(math.Round(a.Score/noise), math.Round(b.Score/noise)); c != 0 {
		return c, byLittle
	}
	if c := cmp.Compare(a.Price.Cents, b.Price.Cents); c != 0 {
		return c, byPrice
	}
	switch s.Canonical {
	case a.Candidate:
		return 1, byRole
	case b.Candidate:
		return -1, byRole
	}
	lotA, lotB := lot(at, s.Candidates[a.Candidate].seed), lot(at, s.Candidates[b.Candidate].seed)
	return cmp.Or(cmp.Compare(lotB, lotA), cmp.Compare(a.Candidate, b.Candidate)), byLot
}
