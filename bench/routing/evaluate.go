package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

const (
	draws  = 40_000
	stores = 9 // per draw; the client's own region is never drawn
)

// order returns the places of stores in the order in which a client prefers them, best first.
type order func(client place.Place) []place.Place

// byScore ranks with the server's own ranking: a snapshot with one store in every region. A score depends only on the
// store and the client, so the order of nine stores is the order of all without the others.
func byScore(m *place.Map, all []place.Place, weight float64, matrix route.Matrix) (order, error) {
	opt := route.Options{Map: m, CostWeight: weight, Matrix: matrix}
	for _, p := range all {
		opt.Candidates = append(opt.Candidates, store(p))
	}
	opt.Candidates = append(opt.Candidates, canonical(all[0]))
	s, err := route.New(opt)
	if err != nil {
		return nil, err
	}
	return func(client place.Place) []place.Place {
		var ranked []place.Place
		for _, r := range s.Ranking(&route.Client{Place: client}).All {
			ranked = append(ranked, s.Candidates[r.Candidate].Place)
		}
		return ranked
	}, nil
}

// store returns a store in p that may serve all clients.
func store(p place.Place) route.Candidate {
	return route.Candidate{
		Name: p.String(), Place: p, URL: "https://store.example/{digest}",
		Serves: route.Serves{All: true}, Active: true, Rollout: 100, IPv4: true, IPv6: true,
	}
}

// canonical returns the upstream that a snapshot must have. It is not active, so no ranking includes it.
func canonical(p place.Place) route.Candidate {
	return route.Candidate{Name: "canonical", Kind: route.Upstream, Place: p, URL: "https://registry.example", Canonical: true}
}

// byGreatCircle ranks by distance alone, for comparison.
func byGreatCircle(m *place.Map, all []place.Place) order {
	return func(client place.Place) []place.Place {
		from, _ := m.Find(client)
		return slices.SortedFunc(slices.Values(all), func(a, b place.Place) int {
			sa, _ := m.Find(a)
			sb, _ := m.Find(b)
			return cmp.Or(cmp.Compare(place.GreatCircleRTT(from.Point, sa.Point), place.GreatCircleRTT(from.Point, sb.Point)), a.Compare(b))
		})
	}
}

// outcome is the mean over all draws.
type outcome struct {
	extra float64 // ms that the preferred store is farther away than the nearest one
	cents float64 // US cents that a GB from the preferred store costs
}

// draw gives many clients nine random stores each to choose from. Stores without a measured round trip are not drawn.
func (d *measured) draw(m *place.Map, prefer order) outcome {
	rng := rand.New(rand.NewPCG(7, 2026))
	prefs := map[place.Place][]place.Place{}
	for _, c := range d.regions {
		prefs[c] = prefer(c)
	}
	var sum outcome
	n := 0.0
	for range draws {
		client := d.regions[rng.IntN(len(d.regions))]
		in := map[place.Place]bool{}
		best := math.Inf(1)
		for _, i := range rng.Perm(len(d.regions)) {
			ms, ok := d.rtt[[2]place.Place{client, d.regions[i]}]
			if !ok {
				continue
			}
			in[d.regions[i]] = true
			if best = min(best, ms); len(in) == stores {
				break
			}
		}
		if len(in) < stores {
			continue
		}
		for _, p := range prefs[client] {
			if in[p] {
				sum.extra += d.rtt[[2]place.Place{client, p}] - best
				sum.cents += m.Quote(place.Source{Place: p}, client, place.Spot{}, 0).Cents
				n++
				break
			}
		}
	}
	return outcome{sum.extra / n, sum.cents / n}
}

// residual returns the median difference between estimate and measurement, in ms.
func (d *measured) residual(m *place.Map) float64 {
	var off []float64
	for pair, ms := range d.rtt {
		a, _ := m.Find(pair[0])
		b, _ := m.Find(pair[1])
		off = append(off, math.Abs(m.RTT(a.Spot, b.Spot)-ms))
	}
	slices.Sort(off)
	return off[len(off)/2]
}
