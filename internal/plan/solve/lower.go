package solve

import (
	"math"
	"slices"
)

// lower returns a lower bound of a node, +Inf when it has no set. It leaves n.v where the next bound begins, and the
// relaxation at the bound.
func (s *search) lower(n *node, steps int) float64 {
	r := s.relax
	at := func(multiplier float64, v []float64, steps int) float64 {
		r.weigh(s.w, multiplier, s.in.p.Budget)
		near := v
		if n.depth == 0 {
			near = s.near
		}
		if !r.enter(n.states, near) {
			return math.Inf(1)
		}
		return r.bound(v, s.target(), steps)
	}
	if s.in.p.Budget == 0 {
		b := at(0, n.v, steps)
		n.v = slices.Clone(r.bestV)
		return b
	}
	if s.overspent(n) {
		return math.Inf(1)
	}
	if n.depth == 0 && n.multiplier == 0 {
		n.multiplier = s.exchange()
	}
	b := at(n.multiplier, n.v, steps)
	n.v = slices.Clone(r.bestV)
	often := slices.Clone(r.meanY)
	// More of a multiplier when the relaxation spends more than the budget, less when less, as long as it helps.
	change, tries := 1.25, 3
	if n.depth == 0 {
		change, tries = 2, 24
	}
	for ; tries > 0 && b < s.target() && change > 1.02; tries-- {
		next := n.multiplier * change
		if r.meanUSD < s.in.p.Budget {
			next = n.multiplier / change
		}
		if more := at(next, n.v, steps); more > b {
			b, n.multiplier, n.v = more, next, slices.Clone(r.bestV)
			copy(often, r.meanY)
		} else {
			change = math.Sqrt(change)
		}
	}
	if b < s.target() {
		// The relaxation as it was at the best, but for u, so the bound may be another.
		b = max(b, at(n.multiplier, n.v, 0))
		copy(r.meanY, often)
	}
	return b
}

// overspent reports whether every set of a node costs more than the budget. It fixes sites that the budget leaves no
// choice about.
func (s *search) overspent(n *node) bool {
	r, most := s.money, s.in.p.Budget*(1+1e-9)
	for {
		if !s.propagate(n.states) || !r.enter(n.states, n.saving) {
			return true
		}
		b := r.bound(n.saving, most, 30)
		n.saving = slices.Clone(r.bestV)
		if b >= most {
			return true
		}
		if len(r.choose.sites) == 0 || r.fix(n.states, most) == 0 {
			return false
		}
	}
}

// exchange returns a first multiplier for the budget: what a dollar less costs on the way from the best set without
// budget to the cheapest.
func (s *search) exchange() float64 {
	ends := func(w weights) (usd, value float64) {
		sw := newSwapper(s.in, w)
		sw.budget = 0
		is := make([]bool, s.in.n+1)
		for j := range s.in.n {
			is[j] = s.in.root[j] == open
		}
		sw.improve(is)
		usd, ms := s.in.value(sw.is)
		return usd, s.w.of(usd, ms)
	}
	dear, least := ends(s.w)
	cheap, most := ends(weights{1, s.w.ms * 1e-6})
	if m := (most - least) / (dear - cheap); m > 0 && !math.IsInf(m, 1) {
		return m
	}
	return 1
}
