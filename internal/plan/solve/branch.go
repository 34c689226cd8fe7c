package solve

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

// branch makes two nodes: with a site open, and with it closed.
func (s *search) branch(n *node) {
	site := s.choose(n)
	if site < 0 {
		s.leaf(n)
		return
	}
	for _, st := range []state{closed, open} {
		child := &node{states: slices.Clone(n.states), v: n.v, bound: n.bound, multiplier: n.multiplier,
			saving: n.saving, depth: n.depth + 1, site: site, from: n.bound}
		child.states[site] = st
		s.number++
		child.number = s.number
		heap.Push(&s.open, child)
	}
}

// gain is what opening or closing a site did to bounds so far.
type gain struct {
	sum float64
	n   int
}

func (g *gain) add(v float64) {
	g.sum += v
	g.n++
}

func (g *gain) mean() float64 { return g.sum / float64(max(1, g.n)) }

// choose returns the free site to branch on, -1 for none: the one where both nodes are likely to have much higher bounds
// (reliability branching). What is not known of a promising site is tried with a few steps.
func (s *search) choose(n *node) int {
	r := s.relax
	type promise struct {
		site  int
		score float64
	}
	var list []promise
	for _, j := range r.choose.sites {
		if n.states[j] == free {
			y := r.meanY[j]
			list = append(list, promise{int(j), min(y, 1-y) + 1e-3*y})
		}
	}
	if len(list) == 0 {
		return -1
	}
	slices.SortFunc(list, func(a, b promise) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.site, b.site))
	})
	if len(list) == 1 || list[1].score < 1e-2 {
		return list[0].site
	}
	const most, steps, reliable = 8, 10, 2
	list = list[:min(most, len(list))]
	best, bestScore := list[0].site, -1.0
	for _, c := range list {
		var up [2]float64
		for k, st := range []state{closed, open} {
			g := &s.gains[k][c.site]
			if g.n < reliable {
				g.add(s.try(n, c.site, st, steps))
			}
			up[k] = g.mean()
		}
		tiny := 1e-6 * (s.objective - n.bound)
		if math.IsInf(tiny, 1) {
			tiny = 1e-6
		}
		if score := max(up[0], tiny) * max(up[1], tiny); score > bestScore {
			best, bestScore = c.site, score
		}
	}
	return best
}

// try returns how much higher the bound is with a site open or closed.
func (s *search) try(n *node, site int, st state, steps int) float64 {
	states := slices.Clone(n.states)
	states[site] = st
	room := s.target() - n.bound
	if math.IsInf(room, 1) {
		room = 1 + math.Abs(n.bound)
	}
	if !s.propagate(states) {
		return room
	}
	s.relax.weigh(s.w, n.multiplier, s.in.p.Budget)
	if !s.relax.enter(states, n.v) {
		return room
	}
	return max(0, min(room, s.relax.bound(n.v, s.target(), steps)-n.bound))
}

// propagate opens and closes what the rules of numbers leave no choice about. It reports whether they can be kept.
func (s *search) propagate(states []state) bool {
	in := s.in
	for changed := true; changed; {
		changed = false
		for g, sites := range in.members {
			least, most := in.groups[g].Min, in.groups[g].Max
			if most == 0 {
				most = in.n
			}
			ok, more := forced(states, sites, least, most)
			if !ok {
				return false
			}
			changed = changed || more
		}
		ok, more := forced(states, in.all, in.kmin, in.kmax)
		if !ok {
			return false
		}
		changed = changed || more
	}
	return true
}

// forced opens or closes the free ones of some sites when only that keeps their number between least and most. It reports
// whether a number can be kept, and whether it changed a site.
func forced(states []state, sites []int, least, most int) (ok, changed bool) {
	opened, left := 0, 0
	for _, j := range sites {
		switch states[j] {
		case open:
			opened++
		case free:
			left++
		case closed:
		}
	}
	if opened > most || opened+left < least {
		return false, false
	}
	if left == 0 || opened != most && opened+left != least {
		return true, false
	}
	st := closed
	if opened+left == least {
		st = open
	}
	for _, j := range sites {
		if states[j] == free {
			states[j] = st
		}
	}
	return true, true
}
