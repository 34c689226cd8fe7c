package place

import (
	"math"
	"math/rand/v2"
	"testing"
)

// naive is a literal implementation of the model in docs/places.md: one graph
// of both spots and all hubs, and Dijkstra without any table.
func naive(c *cables, a, b Spot) float64 {
	type node struct {
		at    vector
		zones zones
	}
	nodes := []node{{a.vector(), c.zonesOf(a, a.vector())}, {b.vector(), c.zonesOf(b, b.vector())}}
	for _, h := range c.hubs {
		nodes = append(nodes, node{h.at, h.zone})
	}
	edge := func(i, j int) float64 {
		if nodes[i].zones&nodes[j].zones != 0 {
			return nodes[i].at.km(nodes[j].at)
		}
		for _, l := range c.links {
			if i-2 == l.a && j-2 == l.b || i-2 == l.b && j-2 == l.a {
				return l.km
			}
		}
		return math.Inf(1)
	}
	dist, done := make([]float64, len(nodes)), make([]bool, len(nodes))
	for i := range dist {
		dist[i] = math.Inf(1)
	}
	dist[0] = 0
	for {
		next := -1
		for i := range nodes {
			if !done[i] && (next < 0 || dist[i] < dist[next]) {
				next = i
			}
		}
		if next == 1 {
			return dist[1]
		}
		done[next] = true
		for i := range nodes {
			dist[i] = min(dist[i], dist[next]+edge(next, i))
		}
	}
}

func TestRTTAgainstDijkstra(t *testing.T) {
	m, rng := Embedded(), rand.New(rand.NewPCG(1, 2))
	sites, codes := m.Sites(), Countries()
	spot := func() Spot {
		switch rng.IntN(3) {
		case 0:
			return sites[rng.IntN(len(sites))].Spot
		case 1:
			s, _ := CountrySpot(codes[rng.IntN(len(codes))])
			return s
		}
		return Spot{Point: Point{rng.Float64()*180 - 90, rng.Float64()*360 - 180}}
	}
	for range 3000 {
		a, b := spot(), spot()
		want := 12 + 13.3*naive(m.cables, a, b)/1000
		if got := m.RTT(a, b); math.Abs(got-want) > 1e-6 {
			t.Fatalf("RTT(%v, %v) = %v, Dijkstra finds %v", a, b, got, want)
		}
		if there, back := m.RTT(a, b), m.RTT(b, a); math.Abs(there-back) > 1e-6 {
			t.Fatalf("RTT(%v, %v) = %v there and %v back", a, b, there, back)
		}
		if got := m.RTT(a, b); !(got >= 12 && got < 700) {
			t.Fatalf("RTT(%v, %v) = %v", a, b, got)
		}
	}
}

// A path over cables can be shorter than the great circle only where the table
// says that a cable is shorter. This is so for a few cables.
func TestRTTIsNotFasterThanGreatCircle(t *testing.T) {
	m := Embedded()
	for _, a := range m.Sites() {
		for _, b := range m.Sites() {
			if got, least := m.RTT(a.Spot, b.Spot), GreatCircleRTT(a.Point, b.Point); got < least-5 {
				t.Errorf("%s to %s: %.1f ms, great circle %.1f", a, b, got, least)
			}
		}
	}
}

func TestRTT(t *testing.T) {
	m := Embedded()
	frankfurt := Spot{Point{50.11, 8.68}, "DE"}
	germany, _ := CountrySpot("DE")
	for _, tc := range []struct {
		name string
		a, b Spot
		want float64
	}{
		{"one point", frankfurt, frankfurt, 12},
		{"within a zone: 639 km by great circle", frankfurt, Spot{Point{51.51, -0.13}, "GB"}, 20.5},
		{"unknown", frankfurt, Spot{}, UnknownRTT},
		{"no such country", frankfurt, Spot{Country: "ZZ"}, UnknownRTT},
		{"both unknown", Spot{}, Spot{}, UnknownRTT},
		{"a country stands for its middle", Spot{Country: "DE"}, germany, 12},
		{"without a country the nearest hub tells the zone", Spot{Point: Point{32.1, 34.8}}, Spot{Point{32.1, 34.8}, "IL"}, 12},
	} {
		if got := m.RTT(tc.a, tc.b); math.Abs(got-tc.want) > 0.05 {
			t.Errorf("%s: %.2f ms, want %.2f", tc.name, got, tc.want)
		}
	}
	south := Spot{Point{-80, 0}, "AQ"}
	if got := m.RTT(south, frankfurt); !(got > 100 && got < 400) {
		t.Errorf("Antarctica, whose continent has no zone, is %.1f ms away", got)
	}
	if got := GreatCircleRTT(Point{0, 0}, Point{0, 180}); math.Abs(got-(12+13.3*math.Pi*6.371)) > 1e-9 {
		t.Errorf("half way around the world: %v", got)
	}
}

func TestRTTDoesNotAllocate(t *testing.T) {
	m := Embedded()
	a, b := m.sites[Place{"aws", "eu-west-1"}].Spot, m.sites[Place{"aws", "us-west-2"}].Spot
	if n := testing.AllocsPerRun(100, func() { m.RTT(a, b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRTT(b *testing.B) {
	m := Embedded()
	from, to := m.sites[Place{"aws", "eu-west-1"}].Spot, m.sites[Place{"aws", "us-west-2"}].Spot
	for b.Loop() {
		m.RTT(from, to)
	}
}

// BenchmarkScores computes what a snapshot needs: 40 stores seen from 220
// places.
func BenchmarkScores(b *testing.B) {
	m := Embedded()
	sites := m.Sites()
	for b.Loop() {
		for i := range 40 {
			from := &sites[i*5]
			for j := range 220 {
				to := &sites[j]
				m.RTT(from.Spot, to.Spot)
				m.Quote(Source{Place: from.Place}, to.Place, to.Spot, 0)
			}
		}
	}
}

func BenchmarkEmbedded(b *testing.B) {
	for b.Loop() {
		if _, err := readTables(files.ReadFile); err != nil {
			b.Fatal(err)
		}
	}
}
