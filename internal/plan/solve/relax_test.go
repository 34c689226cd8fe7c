package solve

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ociproxy/internal/thorough"
)

// TestBoundIsBelowEverySet asks for bounds of random nodes, from random prices and with random multipliers. The search
// alone would not show a bound that is too high, because it mostly has the best set already. What a bound fixes must leave
// the best set.
func TestBoundIsBelowEverySet(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 10))
	bounds, fixed := 0, 0
	for try := range thorough.Rounds(1500, 100_000) {
		p := world(rng, 1+rng.IntN(8), 1+rng.IntN(8))
		in := compile(p)
		if in.impossible {
			continue
		}
		node, states := *p, slices.Clone(in.root)
		narrow := func() {
			node.Sites = slices.Clone(p.Sites)
			for s := range node.Sites {
				node.Sites[s].Must, node.Sites[s].Never = states[s] == open, states[s] == closed
			}
		}
		for s := range p.Sites {
			if states[s] == free {
				states[s] = []state{free, free, open, closed}[rng.IntN(4)]
			}
		}
		narrow()
		best, found := brute(&node, nil)
		r := newRelaxation(in)
		r.few = rng.IntN(3)
		far, v := make([]float64, in.clients()), make([]float64, in.clients())
		for i := range v {
			far[i], v[i] = rng.Float64()*30, rng.Float64()*30
			if rng.IntN(3) == 0 {
				far[i] = math.Inf(1)
			}
		}
		for e := range r.u {
			if rng.IntN(2) == 0 {
				r.u[e] = rng.Float64() * 5
			}
		}
		multiplier := 0.0
		if p.Budget > 0 {
			multiplier = rng.Float64()
		}
		r.weigh(p.weights(), multiplier, p.Budget)
		if !r.enter(states, far) {
			if found {
				t.Fatalf("world %d: a client cannot be served, and there is a set: %v", try, best)
			}
			continue
		}
		b := r.bound(v, math.Inf(1), rng.IntN(40))
		bounds++
		if found && b > best+1e-9*(1+math.Abs(best)) {
			t.Fatalf("world %d: bound %v, the best set has %v", try, b, best)
		}
		if !found || len(r.choose.sites) == 0 {
			continue
		}
		fixed += r.fix(states, best+1e-6)
		narrow()
		if left, found := brute(&node, nil); !found || !near(left, best) {
			t.Fatalf("world %d: what is fixed leaves %v, %v, not %v", try, left, found, best)
		}
	}
	t.Log("bounds", bounds, "fixed", fixed)
}
