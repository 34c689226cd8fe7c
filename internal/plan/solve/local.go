package solve

import (
	"math"
	"slices"
)

// swapper improves sets by opening, closing and exchanging sites. It knows exactly what each move does to the clients
// whose options have no Instead; the others it asks about only the best moves.
type swapper struct {
	in *instance
	w  weights
	// For each site and plain client, at site × clients + client: the position of the site in the client's order, and
	// what it costs there.
	rank      []int32
	cost, usd []float64
	lacking   float64 // what a client without option counts

	is          []bool
	cur, second []int32 // entries that serve each client, and that would without the first; -1 for none
	opened      int
	inGroup     []int

	addCost, addUSD []float64
	adj, adjUSD     []float64
	dropped         []int32
	budget, penalty float64
}

const never = math.MaxInt32

func newSwapper(in *instance, w weights) *swapper {
	m, n := in.plain(), in.n+1
	s := &swapper{in: in, w: w, rank: make([]int32, n*m), cost: make([]float64, n*m), usd: make([]float64, n*m),
		is: make([]bool, n), cur: make([]int32, m), second: make([]int32, m), inGroup: make([]int, len(in.groups)),
		addCost: make([]float64, n), addUSD: make([]float64, n), adj: make([]float64, n), adjUSD: make([]float64, n),
		budget: in.p.Budget}
	for k := range s.rank {
		s.rank[k] = never
	}
	most := 0.0
	for i := range m {
		for e := in.start[i]; e < in.start[i+1]; e++ {
			k := int(in.site[e])*m + i
			s.rank[k] = e
			s.cost[k], s.usd[k] = w.of(in.eusd[e], in.ems[e]), in.eusd[e]
			most = max(most, math.Abs(s.cost[k]), math.Abs(s.usd[k]))
		}
	}
	for _, usd := range in.usd {
		most = max(most, math.Abs(usd))
	}
	s.lacking = 1e4 * (most + 1)
	return s
}

// set begins with a set.
func (s *swapper) set(is []bool) {
	copy(s.is, is)
	s.is[s.in.n] = true
	s.opened = 0
	clear(s.inGroup)
	for j := range s.in.n {
		if s.is[j] {
			s.opened++
			for _, g := range s.in.of[j] {
				s.inGroup[g]++
			}
		}
	}
	s.serve()
}

func (s *swapper) serve() {
	in := s.in
	for i := range s.cur {
		s.cur[i], s.second[i] = -1, -1
		for e := in.start[i]; e < in.start[i+1]; e++ {
			if !s.is[in.site[e]] {
				continue
			}
			if s.cur[i] >= 0 {
				s.second[i] = e
				break
			}
			s.cur[i] = e
		}
	}
}

func (s *swapper) price(e int32) (cost, usd float64) {
	if e < 0 {
		return s.lacking, s.lacking
	}
	return s.w.of(s.in.eusd[e], s.in.ems[e]), s.in.eusd[e]
}

// broken counts how far the set is from the rules of numbers after a move; -1 for no site.
func (s *swapper) broken(add, drop int) int {
	in, k := s.in, s.opened
	if add >= 0 {
		k++
	}
	if drop >= 0 {
		k--
	}
	n := max(0, in.kmin-k) + max(0, k-in.kmax)
	for g := range in.groups {
		k := s.inGroup[g]
		if add >= 0 && slices.Contains(in.of[add], int32(g)) {
			k++
		}
		if drop >= 0 && slices.Contains(in.of[drop], int32(g)) {
			k--
		}
		n += max(0, in.groups[g].Min-k)
		if in.groups[g].Max > 0 {
			n += max(0, k-in.groups[g].Max)
		}
	}
	return n
}

func (s *swapper) move(add, drop int) {
	if add >= 0 {
		s.is[add] = true
		s.opened++
		for _, g := range s.in.of[add] {
			s.inGroup[g]++
		}
	}
	if drop >= 0 {
		s.is[drop] = false
		s.opened--
		for _, g := range s.in.of[drop] {
			s.inGroup[g]--
		}
	}
	s.serve()
}

// exact is the true value of the present set with penalties.
func (s *swapper) exact(broken int) float64 {
	usd, ms := s.in.value(s.is)
	if math.IsInf(usd, 1) {
		return s.lacking * float64(1+len(s.cur)+broken)
	}
	return s.w.of(usd, ms) + s.over(usd) + s.lacking*float64(broken)
}

func (s *swapper) over(usd float64) float64 {
	if s.budget > 0 && usd > s.budget {
		return s.penalty * (usd - s.budget)
	}
	return 0
}

// candidate is a move with the value of the set after it.
type candidate struct {
	value     float64
	add, drop int
}

// improve moves as long as the set gets better. It leaves the set in s.is.
func (s *swapper) improve(is []bool) {
	s.set(is)
	s.penalty = 10 * (s.w.usd + 1)
	if s.w.usd == 0 {
		s.penalty = s.lacking
	}
	now := s.exact(s.broken(-1, -1))
	for range 4 * (s.in.n + 4) {
		tol := 1e-10 * (1 + math.Abs(now))
		moves := s.moves(now-tol, 12)
		done := true
		for _, m := range moves {
			broken := s.broken(m.add, m.drop)
			s.move(m.add, m.drop)
			if v := s.exact(broken); v < now-tol {
				now, done = v, false
				break
			}
			s.move(m.drop, m.add)
		}
		if done {
			return
		}
	}
}

// moves returns the best moves, at most keep, the best first. Without Instead, these are exact, only those below limit
// are returned, and of them the first.
func (s *swapper) moves(limit float64, keep int) []candidate {
	in := s.in
	m := in.plain()
	if len(in.special) > 0 {
		limit = math.Inf(1)
	} else if !math.IsInf(limit, 1) {
		keep = 1
	}
	var best []candidate
	offer := func(v float64, add, drop int) {
		if v >= limit || len(best) == keep && v >= best[keep-1].value {
			return
		}
		k, _ := slices.BinarySearchFunc(best, v, func(c candidate, v float64) int {
			if c.value <= v {
				return -1
			}
			return 1
		})
		best = slices.Insert(best, k, candidate{v, add, drop})
		best = best[:min(len(best), keep)]
	}
	usd, ms := in.constUSD, in.constMS
	base, baseUSD := 0.0, 0.0
	for i := range m {
		c, u := s.price(s.cur[i])
		base += c
		baseUSD += u
	}
	for j := range in.n {
		if s.is[j] {
			usd += in.usd[j]
		}
	}
	base += s.w.of(usd, ms)
	baseUSD += usd
	for _, c := range in.special {
		if o := c.Serve(func(k int) bool { return s.is[k] }); o != nil {
			base += s.w.of(o.USD, o.MS)
			baseUSD += o.USD
		}
	}
	value := func(cost, usd float64, add, drop int) float64 {
		k := s.opened
		if add >= 0 {
			k++
			cost += s.w.usd * in.usd[add]
			usd += in.usd[add]
		}
		if drop >= 0 {
			k--
			cost -= s.w.usd * in.usd[drop]
			usd -= in.usd[drop]
		}
		if in.count != nil {
			cost += s.w.usd * in.count[k]
			usd += in.count[k]
		}
		return base + cost + s.over(baseUSD+usd) + s.lacking*float64(s.broken(add, drop))
	}
	// Closing alone.
	clear(s.adj)
	clear(s.adjUSD)
	for i := range m {
		if e := s.cur[i]; e >= 0 {
			c, u := s.price(e)
			c2, u2 := s.price(s.second[i])
			s.adj[in.site[e]] += c2 - c
			s.adjUSD[in.site[e]] += u2 - u
		}
	}
	s.dropped = s.dropped[:0]
	for j := range in.n {
		if s.is[j] && in.root[j] == free {
			s.dropped = append(s.dropped, int32(j))
			offer(value(s.adj[j], s.adjUSD[j], -1, j), -1, j)
		}
	}
	for a := range in.n {
		if s.is[a] || in.root[a] != free {
			continue
		}
		cost, more := s.opening(a)
		offer(value(cost, more, a, -1), a, -1)
		for _, j := range s.dropped {
			offer(value(cost+s.adj[j], more+s.adjUSD[j], a, int(j)), a, int(j))
		}
	}
	return best
}

// opening returns what opening a does to the plain clients, and leaves in adj what closing each other site does then.
func (s *swapper) opening(a int) (cost, usd float64) {
	in := s.in
	m := in.plain()
	clear(s.adj)
	clear(s.adjUSD)
	rank, costs, usds := s.rank[a*m:a*m+m], s.cost[a*m:a*m+m], s.usd[a*m:a*m+m]
	for i, e := range s.cur {
		if e >= 0 && rank[i] > e {
			j := in.site[e]
			c, u := s.price(e)
			c2, u2 := s.price(s.second[i])
			if rank[i] != never && (s.second[i] < 0 || rank[i] < s.second[i]) {
				c2, u2 = costs[i], usds[i]
			}
			s.adj[j] += c2 - c
			s.adjUSD[j] += u2 - u
			continue
		}
		if rank[i] != never {
			c, u := s.price(e)
			cost += costs[i] - c
			usd += usds[i] - u
		}
	}
	return cost, usd
}
