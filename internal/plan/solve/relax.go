package solve

import (
	"math"
	"slices"
)

// relaxation computes lower bounds of nodes. It lets each client take any option that could serve it in the node, pays
// clients v for being served, and closes whatever does not pay. Where the order of a client and the objective disagree,
// u moves cost from the client's options to the sites: an open site s costs u more, and every option that the client
// does not like less than s costs u less. As one of these serves the client when s is open, no set gets more expensive.
type relaxation struct {
	in     *instance
	w      weights // of the bound: with a multiplier for the budget
	minus  float64 // what the multiplier takes away: multiplier × budget
	choose *chooser

	ecost []float64 // of in.site, weighted
	fcost []float64 // of sites, weighted
	u     []float64 // of in.site; kept from node to node

	// Of the node: the options that are left, of clients whose order and cost agree (ascending), and of the others.
	fixed    float64 // what is paid whatever the free sites do
	start    []int32
	site     []int32
	cost     []float64
	orig     []int32 // index into in.site, of clients that disagree
	agrees   []bool
	fallback []float64 // of each client: the cost of the option that is surely open; +Inf
	harmful  int       // clients that disagree

	v, bestV     []float64
	bestU        []float64 // of the node's options
	nowU         []float64
	g, mean      []float64 // subgradients of v: of this step, and their mean
	gu, meanU    []float64
	rho, bestRho []float64
	meanY        []float64
	scratch      []float64
	seen         []int32 // by options
	stamp        int32

	// With a budget: the USD of what the relaxation opens and takes, of this step and the mean.
	budgeted     bool
	money        []float64 // of the node's options
	fallbackUSD  []float64 // of each client
	fixedUSD     float64
	usd, meanUSD float64
}

func newRelaxation(in *instance) *relaxation {
	n, m := in.n+1, in.clients()
	r := &relaxation{in: in, choose: newChooser(in),
		ecost: make([]float64, len(in.site)), fcost: make([]float64, n), u: make([]float64, len(in.site)),
		agrees: make([]bool, m), fallback: make([]float64, m), start: make([]int32, m+1),
		v: make([]float64, m), bestV: make([]float64, m), g: make([]float64, m), mean: make([]float64, m),
		rho: make([]float64, n), bestRho: make([]float64, n), meanY: make([]float64, n), seen: make([]int32, n), budgeted: in.p.Budget > 0, fallbackUSD: make([]float64, m)}
	return r
}

// weigh sets the weights. budget is what the multiplier is for.
func (r *relaxation) weigh(w weights, multiplier, budget float64) {
	r.w = weights{w.usd + multiplier, w.ms}
	r.minus = 0
	if multiplier > 0 {
		r.minus = multiplier * budget
	}
	for e := range r.ecost {
		r.ecost[e] = r.w.of(r.in.eusd[e], r.in.ems[e])
	}
	for s := range r.fcost {
		r.fcost[s] = r.w.usd * r.in.usd[s]
	}
	r.choose.count = nil
	for _, usd := range r.in.count {
		r.choose.count = append(r.choose.count, r.w.usd*usd)
	}
}

// enter begins a node. It reports whether each client can be served.
func (r *relaxation) enter(states []state) bool {
	in := r.in
	r.choose.enter(states)
	r.fixed, r.fixedUSD = r.w.of(in.constUSD, in.constMS)-r.minus, in.constUSD
	for s := range in.n {
		if states[s] == open {
			r.fixed += r.fcost[s]
			r.fixedUSD += in.usd[s]
		}
	}
	r.site, r.cost, r.orig, r.money, r.harmful = r.site[:0], r.cost[:0], r.orig[:0], r.money[:0], 0
	for i := range in.plain() {
		from, agrees, last := len(r.site), true, math.Inf(-1)
		fallback := math.Inf(1)
		for e := in.start[i]; e < in.start[i+1]; e++ {
			s, c := in.site[e], r.ecost[e]
			if states[s] == closed {
				continue
			}
			agrees = agrees && c >= last
			last = c
			if states[s] == open {
				fallback = c
				r.fallbackUSD[i] = in.eusd[e]
				break
			}
			r.site = append(r.site, s)
			r.cost = append(r.cost, c)
			r.orig = append(r.orig, e)
			r.money = append(r.money, in.eusd[e])
		}
		if !r.ends(i, from, fallback, agrees) {
			return false
		}
	}
	for k, c := range in.special {
		from := len(r.site)
		fallback := r.options(c, states, &r.fallbackUSD[in.plain()+k])
		if !r.ends(in.plain()+k, from, fallback, true) {
			return false
		}
	}
	if k := len(r.site); cap(r.nowU) < k {
		r.nowU, r.bestU, r.gu, r.meanU = make([]float64, k), make([]float64, k), make([]float64, k), make([]float64, k)
		r.scratch = make([]float64, k)
	}
	return true
}

// ends ends the list of client i.
func (r *relaxation) ends(i, from int, fallback float64, agrees bool) bool {
	r.agrees[i], r.fallback[i] = agrees, fallback
	if agrees {
		for len(r.site) > from && r.cost[len(r.site)-1] >= fallback { // never better
			k := len(r.site) - 1
			r.site, r.cost, r.orig, r.money = r.site[:k], r.cost[:k], r.orig[:k], r.money[:k]
		}
	} else {
		r.harmful++
	}
	r.start[i], r.start[i+1] = int32(from), int32(len(r.site))
	return len(r.site) > from || !math.IsInf(fallback, 1)
}

// options appends the sites that may serve a client with Instead, cheapest first, and returns the cost of the cheapest
// that is surely open.
func (r *relaxation) options(c *Client, states []state, usd *float64) float64 {
	r.stamp++
	fallback, from := math.Inf(1), len(r.site)
	add := func(o *Option) (sure bool) {
		s := r.in.index(o)
		cost := r.w.of(o.USD, o.MS)
		switch states[s] {
		case closed:
			return false
		case open:
			if cost < fallback {
				fallback, *usd = cost, o.USD
			}
			return true
		default:
		}
		if r.seen[s] == r.stamp {
			k := from + slices.Index(r.site[from:], int32(s))
			if cost < r.cost[k] {
				r.cost[k], r.money[k] = cost, o.USD
			}
			return false
		}
		r.seen[s] = r.stamp
		r.site, r.cost, r.orig = append(r.site, int32(s)), append(r.cost, cost), append(r.orig, -1)
		r.money = append(r.money, o.USD)
		return false
	}
	outside := !slices.ContainsFunc(c.Inside, func(s int) bool { return states[s] == open })
	for k := range c.Options {
		o := &c.Options[k]
		if states[r.in.index(o)] == closed {
			continue
		}
		sure := add(o)
		for n := range o.Instead {
			if outside && add(&o.Instead[n]) {
				break
			}
		}
		if sure {
			break
		}
	}
	sortOptions(r.cost[from:], r.money[from:], r.site[from:])
	return fallback
}

func sortOptions(cost, money []float64, site []int32) {
	for i := 1; i < len(cost); i++ {
		for k := i; k > 0 && (cost[k-1] > cost[k] || cost[k-1] == cost[k] && site[k-1] > site[k]); k-- {
			cost[k-1], cost[k] = cost[k], cost[k-1]
			money[k-1], money[k] = money[k], money[k-1]
			site[k-1], site[k] = site[k], site[k-1]
		}
	}
}

// at returns the bound for r.v and r.nowU. It leaves the reduced costs in rho, the sites in choose.y, and, unless the
// bound is +Inf, the subgradients in g and gu.
func (r *relaxation) at() float64 {
	copy(r.rho, r.fcost)
	sum := r.fixed
	for i, v := range r.v {
		if v > r.fallback[i] {
			v = r.fallback[i]
			r.v[i] = v
		}
		sum += v
		site, cost := r.site[r.start[i]:r.start[i+1]], r.cost[r.start[i]:r.start[i+1]]
		if r.agrees[i] {
			for k, c := range cost {
				if c >= v {
					break
				}
				r.rho[site[k]] += c - v
			}
			continue
		}
		u, moved := r.nowU[r.start[i]:r.start[i+1]], 0.0
		for k := len(cost) - 1; k >= 0; k-- {
			moved += u[k]
			r.rho[site[k]] += u[k] + min(0, cost[k]-moved-v)
		}
	}
	sum += r.choose.choose(r.rho)
	if math.IsInf(sum, 1) {
		return sum
	}
	if r.budgeted {
		r.spendSites()
	}
	y := r.choose.y
	for i, v := range r.v {
		site, cost := r.site[r.start[i]:r.start[i+1]], r.cost[r.start[i]:r.start[i+1]]
		g := 1.0
		if r.agrees[i] {
			for k, c := range cost {
				if c >= v {
					break
				}
				if y[site[k]] {
					g--
				}
			}
		} else {
			g -= r.slopes(i, v, y)
		}
		if r.budgeted {
			r.spend(i, v, g)
		}
		if g > 0 && v >= r.fallback[i] {
			g = 0
		}
		r.g[i] = g
	}
	return sum
}

// spend adds to usd what the options cost that client i takes; unserved says how much of it takes none.
func (r *relaxation) spend(i int, v, unserved float64) {
	if unserved > 0 && !math.IsInf(r.fallback[i], 1) {
		r.usd += r.fallbackUSD[i]
	}
	moved := 0.0
	for k := r.start[i+1] - 1; k >= r.start[i]; k-- {
		if !r.agrees[i] {
			moved += r.nowU[k]
		}
		if r.choose.y[r.site[k]] && r.cost[k]-moved < v {
			r.usd += r.money[k]
		}
	}
}

// spendSites sets usd to what the sites cost that are open.
func (r *relaxation) spendSites() {
	r.usd = r.fixedUSD
	k := r.choose.opened
	for _, s := range r.choose.sites {
		if r.choose.y[s] {
			r.usd += r.in.usd[s]
			k++
		}
	}
	if r.in.count != nil {
		r.usd += r.in.count[k]
	}
}

// slopes sets gu of a client that disagrees, and returns how many options serve it.
func (r *relaxation) slopes(i int, v float64, y []bool) (served float64) {
	a, z := r.start[i], r.start[i+1]
	moved := 0.0
	for k := z - 1; k >= a; k-- {
		moved += r.nowU[k]
		r.gu[k] = 0
		if y[r.site[k]] && r.cost[k]-moved < v {
			r.gu[k] = 1
		}
	}
	for k := a; k < z; k++ {
		served += r.gu[k]
		r.gu[k] = -served
		if y[r.site[k]] {
			r.gu[k]++
		}
	}
	return served
}

// bound improves the bound of the node from the given v, and returns it. It ends early when the bound reaches target.
// After it, bestV and bestRho belong to the bound, and meanY tells how often each site was open.
func (r *relaxation) bound(from []float64, target float64, steps int) float64 {
	copy(r.v, from)
	m := len(r.v)
	for i, v := range r.v {
		if math.IsInf(v, 1) { // not known: what the first option costs
			r.v[i] = r.fallback[i]
			if r.start[i] < r.start[i+1] {
				r.v[i] = r.cost[r.start[i]]
			}
		}
	}
	nu := len(r.site)
	disagree := r.harmful > 0
	u, bestU, gu, meanU := r.nowU[:nu], r.bestU[:nu], r.gu[:nu], r.meanU[:nu]
	if disagree {
		r.load(u)
		clear(gu)
	}
	best := r.at()
	if math.IsInf(best, 1) {
		return best
	}
	copy(r.bestV, r.v)
	copy(r.bestRho, r.rho)
	copy(r.mean, r.g)
	r.meanUSD = r.usd
	for s := range r.meanY {
		r.meanY[s] = is(r.choose.y[s])
	}
	if disagree {
		copy(bestU, u)
		copy(meanU, gu)
	}
	length, reds, alphaMax := 0.5, 0, 0.2
	for step := 0; step < steps && best < target; step++ {
		norm := dot(r.mean, r.mean)
		if disagree {
			norm += dot(meanU, meanU)
		}
		if norm < 1e-9 {
			break
		}
		goal := target
		if math.IsInf(goal, 1) || goal > best+0.1*math.Abs(best) {
			goal = best + 0.1*math.Abs(best) + 1e-6
		}
		t := length * (goal - best) / norm
		for i := range m {
			r.v[i] = r.bestV[i] + t*r.mean[i]
		}
		if disagree {
			for k := range u {
				u[k] = max(0, bestU[k]+t*meanU[k])
			}
		}
		now := r.at()
		if math.IsInf(now, 1) {
			return now
		}
		// The mean of subgradients is a better direction than one alone (the volume algorithm).
		a, b, c := dot(r.g, r.g), dot(r.g, r.mean), dot(r.mean, r.mean)
		if disagree {
			a, b, c = a+dot(gu, gu), b+dot(gu, meanU), c+dot(meanU, meanU)
		}
		alpha := alphaMax
		if d := a - 2*b + c; d > 0 {
			alpha = min(alphaMax, max((c-b)/d, alphaMax/10))
		}
		mix(r.mean, r.g, alpha)
		r.meanUSD += alpha * (r.usd - r.meanUSD)
		if disagree {
			mix(meanU, gu, alpha)
		}
		for s := range r.meanY {
			r.meanY[s] += alpha * (is(r.choose.y[s]) - r.meanY[s])
		}
		if now > best {
			if now-best > 1e-4*(goal-best) {
				reds = 0
			}
			best = now
			copy(r.bestV, r.v)
			copy(r.bestRho, r.rho)
			copy(bestU, u)
			if b > 0 {
				length = min(2, length*1.5)
			} else {
				length = min(2, length*1.1)
			}
		} else if reds++; reds >= 10 {
			reds = 0
			length *= 0.66
			alphaMax = max(0.02, alphaMax*0.8)
		}
	}
	if disagree {
		r.store(bestU)
	}
	return best
}

// load and store move u between the node's options and all options.
func (r *relaxation) load(u []float64) {
	for k, e := range r.orig {
		u[k] = 0
		if e >= 0 {
			u[k] = r.u[e]
		}
	}
}

func (r *relaxation) store(u []float64) {
	for k, e := range r.orig {
		if e >= 0 {
			r.u[e] = u[k]
		}
	}
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func dot(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// mix moves a towards b.
func mix(a, b []float64, alpha float64) {
	for i := range a {
		a[i] += alpha * (b[i] - a[i])
	}
}

// fix opens and closes free sites whose other state takes the bound to target, and returns how many.
func (r *relaxation) fix(states []state, bound, target float64) (fixed int) {
	c := r.choose
	if math.IsInf(target, 1) && !r.in.bounded {
		return 0
	}
	total := c.choose(r.bestRho)
	for _, j := range c.sites {
		other := math.Abs(r.bestRho[j])
		if r.in.bounded {
			take, skip := j, int32(-1)
			if c.y[j] {
				take, skip = -1, j
			}
			v, _ := c.pick(r.bestRho, take, skip)
			other = v - total
		}
		if bound+other < target || math.IsInf(target, 1) && !math.IsInf(other, 1) {
			continue
		}
		states[j] = closed
		if c.y[j] {
			states[j] = open
		}
		fixed++
	}
	return fixed
}
