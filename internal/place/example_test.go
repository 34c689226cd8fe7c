package place_test

import (
	"fmt"

	"ociproxy/internal/place"
)

// Which of two stores is better for a client, and why.
func Example() {
	m := place.Embedded()
	client, _ := m.Find(place.Place{Cloud: "aws", Region: "me-south-1"})
	for _, name := range []string{"aws/me-central-1", "aws/eu-central-1"} {
		p, err := place.Parse(name)
		if err != nil {
			panic(err)
		}
		store, _ := m.Find(p)
		q := m.CentsPerGB(place.Source{Place: p}, client.Place, client.Spot, 0)
		fmt.Printf("%s: %.0f ms, %v ¢/GB (%s)\n", store.City, m.RTT(client.Spot, store.Spot), q.Cents, q.Basis)
	}
	// Output:
	// Dubai: 18 ms, 8.5 ¢/GB (same cloud)
	// Frankfurt: 114 ms, 2 ¢/GB (same cloud)
}

// An operator's own data centre, with what its uplink costs.
func ExampleMap_With() {
	cents := 0.3
	m, err := place.Embedded().With(place.Site{
		Place: place.Place{Cloud: "onprem", Region: "berlin"},
		Spot:  place.Spot{Point: place.Point{Lat: 52.5, Lon: 13.4}, Country: "DE"},
		Price: place.Override{Internet: &cents},
	})
	if err != nil {
		panic(err)
	}
	q := m.CentsPerGB(place.Source{Place: place.Place{Cloud: "onprem", Region: "berlin"}}, place.Place{}, place.Spot{}, 0)
	fmt.Println(q.Cents, q.Basis)
	// Output: 0.3 override
}
