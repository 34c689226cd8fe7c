package route

import (
	"cmp"
	"math"
)

// rule is what puts one candidate before another. The rules are tried in this order.
type rule uint8

const (
	// byScore: it is better by a tenth of a millisecond, the least that explanations show.
	byScore rule = iota
	// byKind: a store comes before an upstream, since layers should leave the registries.
	byKind
	// byLittle: it is better by less than a tenth.
	byLittle
	// byPrice: it costs less.
	byPrice
	// byRole: a replica comes before canonical, which is every client's last resort already.
	byRole
	// byLot: nothing else orders them.
	byLot
)

// noise is the largest difference, in ms, between sums of the same terms in another order. Scores are below 1e6 ms,
// where a float64 is exact to 1e-10.
const noise = 1e-6

// Tenths returns the score in tenths of a millisecond. The map knows no finer differences (a place on it is exact to
// 50 km, which is 0.7 ms), and an operator's measurements seldom do.
func (r *Ranked) Tenths() int64 { return int64(math.Floor(r.Score*10 + 0.5 + noise)) }

// compare orders the candidates of one place and returns the rule that decided. It is a total order that depends only
// on the place and the two candidates: not on the order of names, nor on the other candidates. at is the place's part
// of the lots.
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
