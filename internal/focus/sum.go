package focus

import (
	"cmp"
	"maps"
	"slices"

	"ociproxy/internal/traffic"
)

// sum adds numbers without losing small ones beside large ones (Neumaier). A month of hourly rows adds up to the cent.
type sum struct{ total, lost float64 }

func (s *sum) add(n float64) {
	t := s.total + n
	if abs(s.total) >= abs(n) {
		s.lost += (s.total - t) + n
	} else {
		s.lost += (n - t) + s.total
	}
	s.total = t
}

func (s *sum) value() float64 { return s.total + s.lost }

func abs(n float64) float64 { return max(n, -n) }

// sums are the sums of [Amounts].
type sums struct {
	rows                                        int64
	quantity, list, contracted, effective, paid sum
}

func (s *sums) add(r *Row, quantity float64) {
	s.rows++
	s.quantity.add(quantity)
	s.list.add(r.List)
	s.contracted.add(r.Contracted)
	s.effective.add(r.Effective)
	s.paid.add(r.Billed)
}

func (s *sums) amounts() Amounts {
	return Amounts{s.rows, s.quantity.value(), s.list.value(), s.contracted.value(), s.effective.value(), s.paid.value()}
}

// plus returns the sum of two amounts.
func (a Amounts) plus(b Amounts) Amounts {
	return Amounts{a.Rows + b.Rows, a.Quantity + b.Quantity, a.List + b.List, a.Contracted + b.Contracted, a.Effective + b.Effective, a.Billed + b.Billed}
}

// times returns a share of amounts.
func (a Amounts) times(share float64) Amounts {
	return Amounts{a.Rows, a.Quantity * share, a.List * share, a.Contracted * share, a.Effective * share, a.Billed * share}
}

// maxGroups bounds each of the tables that a bill can make grow.
const maxGroups = 20000

// groups are sums by key, bounded: what does not fit is in rest.
type groups[K comparable] struct {
	of   map[K]*sums
	rest sums
}

func newGroups[K comparable]() *groups[K] { return &groups[K]{of: map[K]*sums{}} }

// add adds a row to its group. own makes the key's strings independent of the buffer that the row was read into.
func (g *groups[K]) add(k K, own func(K) K, r *Row, quantity float64) {
	s := g.of[k]
	if s == nil {
		if len(g.of) >= maxGroups {
			g.rest.add(r, quantity)
			return
		}
		s = &sums{}
		g.of[own(k)] = s
	}
	s.add(r, quantity)
}

// sorted returns the keys in order.
func (g *groups[K]) sorted(order func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(g.of), order)
}

// monthHours is how long a month is.
func monthHours(month traffic.Day) float64 {
	from := month.Time()
	return from.AddDate(0, 1, 0).Sub(from).Hours()
}

// largest orders amounts by their effective cost, the largest first.
func largest(a, b Amounts) int { return cmp.Compare(abs(b.Effective), abs(a.Effective)) }
