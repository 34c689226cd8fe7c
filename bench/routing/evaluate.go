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
	stores = 9 // in a draw; the client's region is never among them
)

// order says in which order a client prefers stores: places, best first.
type order func(client place.Place) []place.Place

// byScore ranks with the server's own ranking: a snapshot with one store in
// every region. The order of nine of them is that of all with the others left
// out, since a score depends on the store and the client alone.
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
		for _, r := range s.Ranking(route.Client{Place: client}).All {
			ranked = append(ranked, s.Candidates[r.Candidate].Place)
		}
		return ranked
	}, nil
}

// store is one in p that may serve everybody.
func store(p place.Place) route.Candidate {
	return route.Candidate{
		Name: p.String(), Place: p, URL: "https://store.example/{digest}",
		Serves: route.Serves{All: true}, Active: true, Rollout: 100, IPv4: true, IPv6: true,
	}
}

// canonical is the upstream a snapshot cannot do without; it is not active, so
// it is in no ranking.
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

// extra is the mean, over draws of a client and nine stores, of how many
// milliseconds the preferred store is farther away than the nearest one.
// Stores to which no round trip was measured are not drawn.
func (d *measured) extra(prefer order) float64 {
	rng := rand.New(rand.NewPCG(7, 2026))
	prefs := map[place.Place][]place.Place{}
	for _, c := range d.regions {
		prefs[c] = prefer(c)
	}
	sum, n := 0.0, 0
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
				sum += d.rtt[[2]place.Place{client, p}] - best
				n++
				break
			}
		}
	}
	return sum / float64(n)
}
