package solve

import (
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"ociproxy/internal/thorough"
)

// world makes a random problem with n sites and m clients. Every kind of rule comes up, alone and with others.
func world(rng *rand.Rand, n, m int) *Problem {
	p := &Problem{PerMS: []float64{0, 0.01, 0.1, 1, math.Inf(1)}[rng.IntN(5)]}
	whole := rng.IntN(3) == 0 // small whole numbers: many ties
	number := func(most float64) float64 {
		if whole {
			return float64(rng.IntN(4))
		}
		return rng.Float64() * most
	}
	for range n {
		site := Site{USD: number(60)}
		switch rng.IntN(12) {
		case 0:
			site.Must = true
		case 1:
			site.Never = true
		case 2:
			site.USD = -number(10)
		}
		p.Sites = append(p.Sites, site)
	}
	agree := rng.IntN(3)  // 0: never, 1: in order of cost, 2: nearly
	always := rng.IntN(4) // 0: no option is always open
	for range m {
		var c Client
		volume := number(3)
		if rng.IntN(8) == 0 {
			volume = 0
		}
		option := func(s int) Option { return Option{Site: s, USD: volume * number(9), MS: volume * number(100)} }
		for _, s := range rng.Perm(n) {
			if rng.IntN(5) > 0 {
				c.Options = append(c.Options, option(s))
			}
		}
		if agree > 0 {
			w := p.weights()
			slices.SortFunc(c.Options, func(a, b Option) int {
				d := w.of(a.USD, a.MS) - w.of(b.USD, b.MS)
				if agree == 2 {
					d += volume * rng.Float64() * 2
				}
				switch {
				case d < 0:
					return -1
				case d > 0:
					return 1
				}
				return 0
			})
		}
		if always > 0 {
			c.Options = append(c.Options, option(Always))
		}
		if rng.IntN(10) == 0 && len(c.Options) > 1 {
			for k := range c.Options {
				if rng.IntN(3) == 0 {
					continue
				}
				for _, s := range rng.Perm(n)[:rng.IntN(n+1)] {
					if !slices.ContainsFunc(c.Options, func(o Option) bool { return o.Site == s }) || rng.IntN(4) == 0 {
						c.Options[k].Instead = append(c.Options[k].Instead, option(s))
					}
				}
			}
			c.Inside = rng.Perm(n)[:rng.IntN(3)%(n+1)]
		}
		p.Clients = append(p.Clients, c)
		if rng.IntN(5) == 0 { // another client with the same order
			twin := Client{Options: slices.Clone(c.Options)}
			for k := range twin.Options {
				twin.Options[k].USD *= 2
				twin.Options[k].Instead = nil
			}
			p.Clients = append(p.Clients, twin)
		}
	}
	if rng.IntN(3) == 0 {
		p.Min = rng.IntN(n + 1)
	}
	if rng.IntN(3) == 0 {
		p.Max = 1 + rng.IntN(n)
	}
	if rng.IntN(3) == 0 {
		for range 1 + rng.IntN(3) {
			sites := rng.Perm(n)[:1+rng.IntN(n)]
			g := Group{Sites: sites}
			if rng.IntN(2) == 0 {
				g.Min = rng.IntN(min(3, len(sites)+1))
			}
			if rng.IntN(2) == 0 {
				g.Max = 1 + rng.IntN(3)
			}
			p.Groups = append(p.Groups, g)
		}
	}
	if rng.IntN(4) == 0 {
		for range 1 + rng.IntN(n+1) {
			p.Count = append(p.Count, number(30)-5)
		}
	}
	if rng.IntN(3) == 0 {
		p.Budget = number(60 + float64(m)*12)
	}
	return p
}

// oracle is a problem for brute force: sets of sites are bits.
type oracle struct {
	p       *Problem
	groups  []uint32
	clients []oracleClient
}

type oracleClient struct {
	options []oracleOption
	inside  uint32
}

type oracleOption struct {
	site    uint32
	usd, ms float64
	instead []oracleOption
}

const alwaysBit = 1 << 31

func newOracle(p *Problem) *oracle {
	o := &oracle{p: p}
	set := func(sites []int) (bits uint32) {
		for _, s := range sites {
			bits |= 1 << s
		}
		return bits
	}
	for _, g := range p.Groups {
		o.groups = append(o.groups, set(g.Sites))
	}
	var of func(options []Option) []oracleOption
	of = func(options []Option) (out []oracleOption) {
		for _, opt := range options {
			site := uint32(alwaysBit)
			if opt.Site != Always {
				site = 1 << opt.Site
			}
			out = append(out, oracleOption{site, opt.USD, opt.MS, of(opt.Instead)})
		}
		return out
	}
	for _, c := range p.Clients {
		o.clients = append(o.clients, oracleClient{of(c.Options), set(c.Inside)})
	}
	return o
}

func first(options []oracleOption, set uint32) *oracleOption {
	for i := range options {
		if options[i].site&set != 0 {
			return &options[i]
		}
	}
	return nil
}

func (o *oracle) value(set uint32) (usd, ms float64, ok bool) {
	k := 0
	for s, site := range o.p.Sites {
		if set>>s&1 == 1 {
			usd += site.USD
			k++
		}
	}
	if n := len(o.p.Count); n > 0 {
		usd += o.p.Count[min(k, n-1)]
	}
	for i := range o.clients {
		c := &o.clients[i]
		by := first(c.options, set|alwaysBit)
		if by == nil {
			return 0, 0, false
		}
		if set&c.inside == 0 {
			if other := first(by.instead, set|alwaysBit); other != nil {
				by = other
			}
		}
		usd += by.usd
		ms += by.ms
	}
	return usd, ms, true
}

// brute tries every set.
func brute(p *Problem, bill func([]int) float64) (best float64, found bool) {
	o, w := newOracle(p), p.weights()
	var must, never uint32
	for s, site := range p.Sites {
		if site.Must {
			must |= 1 << s
		}
		if site.Never {
			never |= 1 << s
		}
	}
	best = math.Inf(1)
sets:
	for set := range uint32(1) << len(p.Sites) {
		k := bits.OnesCount32(set)
		if set&must != must || set&never != 0 || k < p.Min || p.Max > 0 && k > p.Max {
			continue
		}
		for i, g := range p.Groups {
			k := bits.OnesCount32(set & o.groups[i])
			if k < g.Min || g.Max > 0 && k > g.Max {
				continue sets
			}
		}
		usd, ms, ok := o.value(set)
		if !ok {
			continue
		}
		if bill != nil {
			var list []int
			for s := range p.Sites {
				if set>>s&1 == 1 {
					list = append(list, s)
				}
			}
			usd = bill(list)
		}
		if p.Budget > 0 && usd > p.Budget {
			continue
		}
		best, found = min(best, w.of(usd, ms)), true
	}
	return best, found
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(a)+math.Abs(b)) }

func TestAgainstEverySet(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	nodes, infeasible := 0, 0
	for try := range thorough.Rounds(600, 50_000) {
		n := 1 + rng.IntN(9)
		if try%250 == 0 {
			n = 14
		}
		p := world(rng, n, 1+rng.IntN(12))
		want, found := brute(p, nil)
		got, err := Solve(t.Context(), p, Options{})
		if !found {
			infeasible++
			if !errors.Is(err, ErrInfeasible) {
				t.Fatalf("world %d: got %+v, %v, want %v", try, got, err, ErrInfeasible)
			}
			continue
		}
		if err != nil || !got.Proven || !near(got.Objective, want) || got.Bound != got.Objective {
			t.Fatalf("world %d: got %+v, %v, want %v\n%+v", try, got, err, want, p)
		}
		if usd, ms := p.Evaluate(got.Open); !near(usd, got.USD) || !near(ms, got.MS) {
			t.Fatalf("world %d: got %+v, the set has %v, %v", try, got, usd, ms)
		}
		nodes += got.Nodes
	}
	t.Log("nodes", nodes, "infeasible", infeasible)
}

func TestByCount(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for try := range thorough.Rounds(50, 5000) {
		p := world(rng, 1+rng.IntN(7), 1+rng.IntN(10))
		var want []float64
		for k := p.Min; k <= len(p.Sites) && (p.Max == 0 || k <= p.Max); k++ {
			exactly := *p
			exactly.Sites = slices.Clone(p.Sites)
			exactly.Min, exactly.Max = k, k
			for s := range exactly.Sites {
				exactly.Sites[s].Never = exactly.Sites[s].Never || k == 0
			}
			if best, found := brute(&exactly, nil); found {
				want = append(want, best)
			}
		}
		got, err := ByCount(t.Context(), p, Options{})
		if len(got) != len(want) || (err == nil) != (len(want) > 0) {
			t.Fatalf("world %d: %d sets, %v, want %d", try, len(got), err, len(want))
		}
		for i := range got {
			if !near(got[i].Objective, want[i]) || !got[i].Proven {
				t.Fatalf("world %d: set %d: %+v, want %v", try, i, got[i], want[i])
			}
		}
	}
}

// TestFrontier compares every set of sites with the line between the points of the frontier.
func TestFrontier(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	points := 0
	for try := range thorough.Rounds(50, 5000) {
		p := world(rng, 1+rng.IntN(7), 1+rng.IntN(10))
		got, err := Frontier(t.Context(), p, Options{})
		if _, found := brute(p, nil); found != (err == nil) {
			t.Fatalf("world %d: %v, found by hand: %v", try, err, found)
		}
		points += len(got)
		for i, r := range got {
			if i > 0 && (got[i-1].USD >= r.USD || got[i-1].MS <= r.MS || got[i-1].PerMS >= r.PerMS) {
				t.Fatalf("world %d: %+v after %+v", try, r, got[i-1])
			}
			q := *p
			for _, perMS := range []float64{r.PerMS, r.PerMS * 1.00001} {
				if q.PerMS = perMS; i == 0 || i == len(got)-1 { // a small weight moves the ends a little
					q.PerMS *= 1.001
				}
				want, _ := brute(&q, nil)
				if off := q.PerMS*r.MS + r.USD - want; off > 1e-4*(1+math.Abs(want)) {
					t.Fatalf("world %d: for %v: point %d: %+v, want %v", try, q.PerMS, i, r, want)
				}
			}
		}
	}
	t.Log("points", points)
}

// TestBill has an exact bill above the prices of the problem, as with tiers: the first GB of a site cost more.
func TestBill(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	for try := range thorough.Rounds(120, 5000) {
		p := world(rng, 1+rng.IntN(8), 1+rng.IntN(10))
		more := make([]float64, len(p.Sites))
		for s := range more {
			more[s] = rng.Float64() * 20
		}
		bill := func(open []int) float64 {
			usd, _ := p.Evaluate(open)
			for _, s := range open {
				usd += more[s] / float64(len(open)) // concave
			}
			return usd
		}
		want, found := brute(p, bill)
		got, err := Solve(t.Context(), p, Options{Bill: bill})
		if !found {
			if !errors.Is(err, ErrInfeasible) {
				t.Fatalf("world %d: got %+v, %v, want %v", try, got, err, ErrInfeasible)
			}
			continue
		}
		if err != nil || !got.Proven || !near(got.Objective, want) || !near(got.USD, bill(got.Open)) {
			t.Fatalf("world %d: got %+v, %v, want %v", try, got, err, want)
		}
	}
}
