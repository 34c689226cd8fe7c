package place

import "fmt"

// Example compares two stores for a client, and shows why one of them is
// better.
func Example() {
	m := Embedded()
	client, _ := m.Find(Place{Cloud: "aws", Region: "me-south-1"})
	for _, name := range []string{"aws/me-central-1", "aws/eu-central-1"} {
		p, err := Parse(name)
		if err != nil {
			panic(err)
		}
		store, _ := m.Find(p)
		q := m.Quote(Source{Place: p}, client.Place, client.Spot, 0)
		fmt.Printf("%s: %.0f ms, %v ¢/GB (%s)\n", store.City, m.RTT(client.Spot, store.Spot), q.Cents, q.Basis)
	}
	// Output:
	// Dubai: 18 ms, 8.5 ¢/GB (same cloud)
	// Frankfurt: 114 ms, 2 ¢/GB (same cloud)
}

// An operator's own data centre, with the price of its uplink.
func ExampleMap_With() {
	cents := 0.3
	m, err := Embedded().With(Site{
		Place: Place{Cloud: "onprem", Region: "berlin"},
		Spot:  Spot{Point: Point{Lat: 52.5, Lon: 13.4}, Country: "DE"},
		Price: Override{Internet: &cents},
	})
	if err != nil {
		panic(err)
	}
	q := m.Quote(Source{Place: Place{Cloud: "onprem", Region: "berlin"}}, Place{}, Spot{}, 0)
	fmt.Println(q.Cents, q.Basis)
	// Output: 0.3 override
}
