// Package solvetest makes problems for the tests and benchmarks of package solve, and gives them to cbc, a solver that
// shares nothing with ours.
package solvetest

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"ociproxy/internal/place"
	"ociproxy/internal/plan/solve"
)

// Map makes a problem of the real map: its round trips and list prices, made-up demand. Sites are regions of the large
// clouds, and serve their cloud, every third one also the internet. Canonical is in gcp/us-central1 and serves all.
// Clients prefer the lowest round trip + 5 × cents, as a server with default settings has it. perMS is what a
// millisecond for a GB is worth, in cents: with 0.2 the objective agrees with the clients.
func Map(seed uint64, sites, clients int, perMS float64) *solve.Problem {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := place.Embedded()
	var regions []place.Site
	for _, s := range m.Sites() {
		if slices.Contains([]string{"aws", "azure", "gcp", "oracle"}, s.Cloud) && s.Status == "ga" {
			regions = append(regions, s)
		}
	}
	rng.Shuffle(len(regions), func(i, k int) { regions[i], regions[k] = regions[k], regions[i] })
	regions = regions[:min(sites, len(regions))]
	p := &solve.Problem{PerMS: perMS / 100}
	internet := make([]bool, len(regions))
	for i := range regions {
		p.Sites = append(p.Sites, solve.Site{USD: 350 + 500*rng.Float64()}) // some 20 TB, and growth
		internet[i] = rng.IntN(3) == 0
	}
	canonical, _ := m.Find(place.Place{Cloud: "gcp", Region: "us-central1"})
	all := m.Sites()
	for i := range clients {
		at := all[i%len(all)]
		who, spot := at.Place, at.Spot
		if i >= len(all) { // somewhere in the internet
			who, spot = place.Place{}, place.Spot{Point: place.Point{Lat: at.Lat + 6*rng.Float64() - 3, Lon: at.Lon + 6*rng.Float64() - 3}}
		}
		gb := 20 * math.Pow(rng.Float64(), -1.1) // a few clients have most of the demand
		gb = min(gb, 400_000)
		p.Clients = append(p.Clients, client(m, who, spot, gb, regions, internet, canonical))
	}
	return p
}

func client(m *place.Map, who place.Place, spot place.Spot, gb float64, regions []place.Site, internet []bool, canonical place.Site) solve.Client {
	type scored struct {
		solve.Option
		score float64
	}
	var options []scored
	add := func(site int, s place.Site) {
		cents := m.Quote(place.Source{Place: s.Place}, who, spot, 0).Cents
		rtt := m.RTT(s.Spot, spot)
		options = append(options, scored{solve.Option{Site: site, USD: gb * cents / 100, MS: gb * rtt}, rtt + 5*cents})
	}
	for i, r := range regions {
		if r.Cloud == who.Cloud || internet[i] {
			add(i, r)
		}
	}
	add(solve.Always, canonical)
	slices.SortStableFunc(options, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	var c solve.Client
	for _, o := range options {
		c.Options = append(c.Options, o.Option)
	}
	return c
}

// Plane makes a problem of points in a square: a client costs its demand times the distance. noise is how far, as a
// fraction of the distance, the order of a client may be from that of its costs: 0 for not at all.
func Plane(seed uint64, sites, clients int, noise float64) *solve.Problem {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := &solve.Problem{}
	type point struct{ x, y float64 }
	at := func() point { return point{rng.Float64(), rng.Float64()} }
	where := make([]point, sites)
	for i := range where {
		where[i] = at()
		p.Sites = append(p.Sites, solve.Site{USD: float64(clients) * (0.02 + 0.02*rng.Float64())})
	}
	for range clients {
		c, gb := at(), 0.2+2*rng.Float64()
		p.Clients = append(p.Clients, byCost(rng, sites, noise, func(s int) float64 {
			return gb * math.Hypot(where[s].x-c.x, where[s].y-c.y)
		}))
	}
	return p
}

// Uniform makes a problem whose costs are independent random numbers: the kind on which bounds are weakest.
func Uniform(seed uint64, sites, clients int) *solve.Problem {
	rng := rand.New(rand.NewPCG(seed, 2))
	p := &solve.Problem{}
	for range sites {
		p.Sites = append(p.Sites, solve.Site{USD: float64(clients) * 10 * (1 + rng.Float64())})
	}
	for range clients {
		p.Clients = append(p.Clients, byCost(rng, sites, 0, func(int) float64 { return 1000 * (1 + rng.Float64()) }))
	}
	return p
}

func byCost(rng *rand.Rand, sites int, noise float64, cost func(site int) float64) solve.Client {
	var c solve.Client
	score := make([]float64, sites)
	for s := range sites {
		usd := cost(s)
		score[s] = usd * (1 + noise*rng.Float64())
		c.Options = append(c.Options, solve.Option{Site: s, USD: usd, MS: usd * rng.Float64()})
	}
	slices.SortFunc(c.Options, func(a, b solve.Option) int { return cmp.Compare(score[a.Site], score[b.Site]) })
	return c
}
