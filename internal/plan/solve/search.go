package solve

import (
	"cmp"
	"container/heap"
	"context"
	"math"
	"slices"
	"time"
)

// node is a part of all sets: some sites are open, some closed.
type node struct {
	states     []state
	v          []float64 // where the bound begins; shared, never changed
	bound      float64
	multiplier float64   // of the budget
	saving     []float64 // where the bound of the money begins; shared, never changed
	number     int
	depth      int
}

// nodes is a heap: the lowest bound first.
type nodes []*node

func (h nodes) Len() int { return len(h) }
func (h nodes) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].bound, h[j].bound), cmp.Compare(h[j].number, h[i].number)) < 0
}
func (h nodes) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *nodes) Push(x any)   { *h = append(*h, x.(*node)) }
func (h *nodes) Pop() any {
	old := *h
	n := old[len(old)-1]
	*h = old[:len(old)-1]
	return n
}

// search is one branch and bound.
type search struct {
	ctx context.Context
	in  *instance
	opt Options
	w   weights
	end time.Time

	relax *relaxation
	money *relaxation // of the USD alone, when there is a budget
	swap  *swapper
	open  nodes

	best      []bool
	objective float64 // of best; +Inf before there is one
	usd, ms   float64
	tried     map[string]bool
	number    int // of nodes made
	done      int // nodes whose bound was computed
	steps     int
}

func newSearch(ctx context.Context, p *Problem, w weights, opt Options) *search {
	in := compile(p)
	s := &search{ctx: ctx, in: in, opt: opt, w: w, relax: newRelaxation(in), objective: math.Inf(1),
		tried: map[string]bool{}}
	s.swap = newSwapper(in, s.w)
	if p.Budget > 0 {
		s.money = newRelaxation(in)
		s.money.weigh(weights{1, 0}, 0, 0)
	}
	if opt.Time > 0 {
		s.end = time.Now().Add(opt.Time)
	}
	return s
}

// tolerance is how much better a set must be to count: less is noise from adding numbers in another order.
func (s *search) tolerance() float64 { return 1e-10 * (1 + math.Abs(s.objective)) }

// target is the bound from which a node has nothing better.
func (s *search) target() float64 {
	if math.IsInf(s.objective, 1) {
		return s.objective
	}
	return s.objective - s.tolerance()
}

// offer takes a set as the best if it keeps all rules and is better.
func (s *search) offer(is []bool) {
	key := make([]byte, s.in.n)
	for j := range key {
		if is[j] {
			key[j] = 1
		}
	}
	if s.tried[string(key)] {
		return
	}
	s.tried[string(key)] = true
	if !s.in.kept(is) {
		return
	}
	usd, ms := s.in.value(is)
	if math.IsInf(usd, 1) {
		return
	}
	if s.opt.Bill != nil {
		usd = s.opt.Bill(list(is, s.in.n))
	}
	if s.in.p.Budget > 0 && usd > s.in.p.Budget*(1+1e-12) {
		return
	}
	v := s.w.of(usd, ms)
	if v < s.target() || !math.IsInf(s.objective, 1) && v <= s.objective+s.tolerance() && before(is, s.best, s.in.n) {
		s.objective, s.usd, s.ms = v, usd, ms
		s.best = append(s.best[:0], is...)
	}
}

// before decides between sets of equal value: the one with fewer sites, then the one whose first site that the other
// has not comes first.
func before(a, b []bool, n int) bool {
	count := func(is []bool) (k int) {
		for _, v := range is[:n] {
			if v {
				k++
			}
		}
		return k
	}
	if x, y := count(a), count(b); x != y {
		return x < y
	}
	for j := range n {
		if a[j] != b[j] {
			return a[j]
		}
	}
	return false
}

func list(is []bool, n int) (out []int) {
	for j := range n {
		if is[j] {
			out = append(out, j)
		}
	}
	return out
}

// improve improves a set and offers it.
func (s *search) improve(is []bool) {
	s.swap.improve(is)
	was := s.objective
	s.offer(s.swap.is)
	for s.opt.Bill != nil && s.objective < was { // the prices of the problem only say which moves may be good
		was = s.objective
		from := slices.Clone(s.best)
		s.swap.set(from)
		for _, m := range s.swap.moves(math.Inf(1), 40) {
			is := slices.Clone(from)
			if m.add >= 0 {
				is[m.add] = true
			}
			if m.drop >= 0 {
				is[m.drop] = false
			}
			s.offer(is)
		}
	}
}

// start finds a first set.
func (s *search) start() {
	is := make([]bool, s.in.n+1)
	for j := range s.in.n {
		is[j] = s.in.root[j] == open
	}
	s.improve(is)
	for j := range s.in.n {
		is[j] = s.in.root[j] != closed
	}
	s.improve(is)
	if s.opt.Start != nil {
		clear(is)
		for _, j := range s.opt.Start {
			is[j] = true
		}
		for j := range s.in.n {
			is[j] = s.in.root[j] == open || is[j] && s.in.root[j] == free
		}
		s.improve(is)
	}
}

// stopped reports whether a limit ends the search.
func (s *search) stopped() bool {
	return s.ctx.Err() != nil || s.opt.Nodes > 0 && s.done >= s.opt.Nodes || !s.end.IsZero() && time.Now().After(s.end)
}

func (s *search) run() (Result, error) {
	if s.in.impossible {
		return Result{}, ErrInfeasible
	}
	s.start()
	root := &node{states: append([]state(nil), s.in.root...), v: make([]float64, s.in.clients()), bound: math.Inf(-1)}
	for i := range root.v {
		root.v[i] = math.Inf(1)
	}
	root.saving = root.v
	s.open = nodes{root}
	for len(s.open) > 0 {
		if s.stopped() {
			break
		}
		n := s.next()
		if n.bound >= s.target() {
			continue
		}
		s.expand(n)
		s.done++
		if s.opt.Progress != nil && s.done%16 == 1 {
			s.opt.Progress(Progress{Nodes: s.done, Objective: s.objective, Bound: s.bound()})
		}
	}
	return s.result()
}

// next takes a node: the one with the lowest bound, or, when so many wait that memory counts, the youngest.
func (s *search) next() *node {
	if len(s.open) > 20_000 {
		k := 0
		for i, n := range s.open {
			if n.number > s.open[k].number {
				k = i
			}
		}
		return heap.Remove(&s.open, k).(*node)
	}
	return heap.Pop(&s.open).(*node)
}

// bound is the bound of all sets.
func (s *search) bound() float64 {
	b := s.objective
	for _, n := range s.open {
		b = min(b, n.bound)
	}
	return b
}

func (s *search) result() (Result, error) {
	proven := len(s.open) == 0
	if s.best == nil {
		if proven {
			return Result{}, ErrInfeasible
		}
		if err := context.Cause(s.ctx); err != nil {
			return Result{}, err
		}
		return Result{}, ErrLimit
	}
	res := Result{Open: list(s.best, s.in.n), USD: s.usd, MS: s.ms, Objective: s.objective, Bound: s.bound(), Nodes: s.done}
	res.Proven = proven || res.Bound >= s.target()
	if res.Proven {
		res.Bound = res.Objective
	}
	return res, nil
}

// expand computes the bound of a node, fixes what it can, and makes the two nodes below it.
func (s *search) expand(n *node) {
	steps := 40
	if n.depth == 0 {
		steps = 400
	}
	for {
		if !s.propagate(n.states) {
			return
		}
		b := s.lower(n, steps)
		if b >= s.target() {
			return
		}
		n.bound = max(n.bound, b)
		if len(s.relax.choose.sites) == 0 {
			s.leaf(n)
			return
		}
		s.round(n)
		if s.relax.fix(n.states, b, s.target()) == 0 {
			break
		}
		steps = 20
	}
	s.branch(n)
}

// lower returns a lower bound of a node, +Inf when it has no set. It leaves n.v where the next bound begins, and the
// relaxation at the bound.
func (s *search) lower(n *node, steps int) float64 {
	r := s.relax
	at := func(multiplier float64, v []float64, steps int) float64 {
		r.weigh(s.w, multiplier, s.in.p.Budget)
		if !r.enter(n.states) {
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
		} else {
			change = math.Sqrt(change)
		}
	}
	if b < s.target() {
		b = max(b, at(n.multiplier, n.v, 0)) // the relaxation as it was at the best
	}
	return b
}

// overspent reports whether every set of a node costs more than the budget. It fixes sites that the budget leaves no
// choice about.
func (s *search) overspent(n *node) bool {
	r, most := s.money, s.in.p.Budget*(1+1e-9)
	for {
		if !s.propagate(n.states) || !r.enter(n.states) {
			return true
		}
		b := r.bound(n.saving, most, 30)
		n.saving = slices.Clone(r.bestV)
		if b >= most {
			return true
		}
		if len(r.choose.sites) == 0 || r.fix(n.states, b, most) == 0 {
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

// leaf is a node without free sites.
func (s *search) leaf(n *node) {
	is := make([]bool, s.in.n+1)
	for j := range is {
		is[j] = n.states[j] == open
	}
	s.offer(is)
}

// round offers the sets that the relaxation suggests.
func (s *search) round(n *node) {
	r := s.relax
	is := make([]bool, s.in.n+1)
	for j := range is {
		is[j] = n.states[j] == open || n.states[j] == free && r.meanY[j] > 0.5
	}
	key := make([]byte, s.in.n+1)
	for j := range s.in.n {
		if is[j] {
			key[j] = 2
		}
	}
	if s.tried[string(key)] {
		return
	}
	s.tried[string(key)] = true
	if n.depth < 8 || s.done%32 == 0 {
		s.improve(is)
	} else {
		s.offer(is)
	}
}

// branch makes two nodes: with a site open, and with it closed.
func (s *search) branch(n *node) {
	r := s.relax
	site, score := int32(-1), math.Inf(-1)
	for _, j := range r.choose.sites {
		if n.states[j] != free {
			continue
		}
		// Undecided sites, and of these the ones that matter.
		y := r.meanY[j]
		x := min(y, 1-y) + 1e-3*y
		if x > score || x == score && j < site {
			site, score = j, x
		}
	}
	if site < 0 {
		s.leaf(n)
		return
	}
	for _, st := range []state{closed, open} {
		child := &node{states: append([]state(nil), n.states...), v: n.v, bound: n.bound, multiplier: n.multiplier, saving: n.saving,
			depth: n.depth + 1}
		child.states[site] = st
		s.number++
		child.number = s.number
		heap.Push(&s.open, child)
	}
}

// propagate opens and closes what the rules of numbers leave no choice about. It reports whether they can be kept.
func (s *search) propagate(states []state) bool {
	in := s.in
	for changed := true; changed; {
		changed = false
		all := make([]int, 0, in.n)
		for j := range in.n {
			all = append(all, j)
		}
		ok := func(sites []int, least, most int) bool {
			opened, left := 0, 0
			for _, j := range sites {
				switch states[j] {
				case open:
					opened++
				case free:
					left++
				default:
				}
			}
			if opened > most || opened+left < least {
				return false
			}
			if left == 0 || opened != most && opened+left != least {
				return true
			}
			st := closed
			if opened+left == least {
				st = open
			}
			for _, j := range sites {
				if states[j] == free {
					states[j], changed = st, true
				}
			}
			return true
		}
		if !ok(all, in.kmin, in.kmax) {
			return false
		}
		for g := range in.groups {
			most := in.groups[g].Max
			if most == 0 {
				most = math.MaxInt
			}
			if !ok(in.members[g], in.groups[g].Min, most) {
				return false
			}
		}
	}
	return true
}
