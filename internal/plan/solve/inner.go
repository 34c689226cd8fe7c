package solve

import "math"

// chooser solves what is left of the problem once the clients are priced: each free site has a number rho, and the
// set with the least sum is wanted that keeps the rules of numbers. Greedy choices are exact, because the groups that
// it looks at have no site in common.
type chooser struct {
	in    *instance
	count []float64 // weighted; nil: 0

	// Of the node.
	sites      []int32 // free sites; ascending by rho after choose
	opened     int
	need, room []int // of each group, for the free sites

	y    []bool // of the free sites, after choose
	want []int
	left []int
	rest []int
	took []bool
}

func newChooser(in *instance) *chooser {
	g := len(in.groups)
	return &chooser{in: in, need: make([]int, g), room: make([]int, g), want: make([]int, g), left: make([]int, g), rest: make([]int, g),
		y: make([]bool, in.n+1), took: make([]bool, in.n+1)}
}

// enter begins a node.
func (c *chooser) enter(states []state) {
	c.sites, c.opened = c.sites[:0], 0
	for g := range c.need {
		c.need[g], c.room[g] = 0, math.MaxInt32
		if !c.in.alone[g] {
			continue
		}
		c.need[g] = c.in.groups[g].Min
		if c.in.groups[g].Max > 0 {
			c.room[g] = c.in.groups[g].Max
		}
	}
	for s := range c.in.n {
		c.y[s] = false
		switch states[s] {
		case free:
			c.sites = append(c.sites, int32(s))
		case open:
			c.opened++
			if g := c.in.disjoint[s]; g >= 0 {
				c.need[g]--
				c.room[g]--
			}
		}
	}
}

// choose returns the least sum, and leaves the set in y; +Inf when no set keeps the rules.
func (c *chooser) choose(rho []float64) float64 {
	if !c.in.bounded {
		sum := 0.0
		for _, s := range c.sites {
			c.y[s] = rho[s] < 0
			if c.y[s] {
				sum += rho[s]
			}
		}
		return sum
	}
	// Nearly sorted already: rho changes little between two calls.
	a := c.sites
	for i := 1; i < len(a); i++ {
		s, k := a[i], i
		for k > 0 && (rho[a[k-1]] > rho[s] || rho[a[k-1]] == rho[s] && a[k-1] > s) {
			a[k] = a[k-1]
			k--
		}
		a[k] = s
	}
	for _, s := range a {
		c.y[s] = false
	}
	best, last := c.pick(rho, -1, -1)
	if math.IsInf(best, 1) {
		return best
	}
	for i, s := range a {
		c.y[s] = c.took[s] || i <= last && c.fits(s)
	}
	return best
}

// fits counts down the room of a site's group, and reports whether there was some.
func (c *chooser) fits(s int32) bool {
	g := c.in.disjoint[s]
	if g < 0 {
		return true
	}
	c.left[g]--
	return c.left[g] >= 0
}

// pick returns the least sum when take is open and skip is closed; -1 for none. After it, took has the sites that a
// group needs, left the room in groups, and last the position of the last site beyond those.
func (c *chooser) pick(rho []float64, take, skip int32) (best float64, last int) {
	k, sum := c.opened, 0.0
	copy(c.want, c.need)
	copy(c.left, c.room)
	add := func(s int32) {
		sum += rho[s]
		k++
		if g := c.in.disjoint[s]; g >= 0 {
			c.want[g]--
			c.left[g]--
		}
	}
	for _, s := range c.sites {
		c.took[s] = false
	}
	if take >= 0 {
		add(take)
		c.took[take] = true
	}
	lacking := 0
	for g := range c.want {
		lacking += max(0, c.want[g])
	}
	for i := 0; i < len(c.sites) && lacking > 0; i++ {
		s := c.sites[i]
		if g := c.in.disjoint[s]; s != skip && !c.took[s] && g >= 0 && c.want[g] > 0 {
			add(s)
			c.took[s] = true
			lacking--
		}
	}
	best, last = math.Inf(1), -1
	if lacking > 0 {
		return best, last
	}
	for g := range c.left {
		if c.left[g] < 0 {
			return best, last
		}
	}
	try := func(at int) {
		if k < c.in.kmin || k > c.in.kmax {
			return
		}
		v := sum
		if c.count != nil {
			v += c.count[k]
		}
		if v < best {
			best, last = v, at
		}
	}
	room := c.rest // left stays as it is for choose
	copy(room, c.left)
	try(-1)
	for i, s := range c.sites {
		if k >= c.in.kmax || k >= c.in.kmin && rho[s] >= 0 && c.count == nil {
			break
		}
		if s == skip || c.took[s] {
			continue
		}
		if g := c.in.disjoint[s]; g >= 0 {
			if room[g] == 0 {
				continue
			}
			room[g]--
		}
		sum += rho[s]
		k++
		try(i)
	}
	return best, last
}
