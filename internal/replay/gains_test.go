package replay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
)

// TestGains: all sites are on one meridian, where a degree is 111.19 km, so a round trip is 12 ms and 1.479 ms for each
// degree. Bytes cost 3 cents from south to the other sites, 1 cent from north, and nothing within a site.
func TestGains(t *testing.T) {
	const was = `version: 1
places:
  metal/south: {lat: 48, lon: 10, country: DE, price: {internet: 9, sameCloud: 3}}
  metal/middle: {lat: 50, lon: 10, country: DE}
  metal/north: {lat: 53, lon: 10, country: DE, price: {internet: 9, sameCloud: 1}}
  metal/top: {lat: 54, lon: 10, country: DE}
ranges:
  overrides:
    - {cidr: 198.18.0.0/24, place: metal/south}
    - {cidr: 198.18.1.0/24, place: metal/middle}
    - {cidr: 198.18.2.0/24, place: metal/north}
    - {cidr: 198.18.3.0/24, place: metal/top}
upstreams: [{name: main, url: "https://main.example", place: aws/us-east-1, canonical: true}]
stores:
  - {name: south, place: metal/south, url: "https://south.example/{digest}", serves: [metal]}
`
	const is = was + `  - {name: north, place: metal/north, url: "https://north.example/{digest}", serves: [metal]}
`
	parse := func(text string) *config.Config {
		cfg, err := config.Parse("c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	gains, err := Gains(parse(is), parse(was), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range gains {
		got = append(got, fmt.Sprintf("%s %d%% %s → %s, %.1f → %.1f ms, %.0f → %.0f cents", g.Place, g.Share, g.Was, g.Is, g.RTTWas, g.RTTIs, g.CentsWas, g.CentsIs))
	}
	want := []string{
		"metal/north 100% south → north, 19.4 → 1.0 ms, 3 → 0 cents",   // 12 + 5 × 1.479; saves most
		"metal/top 100% south → north, 20.9 → 13.5 ms, 3 → 1 cents",    // 6 degrees, then 1
		"metal 100% south → north, 150.0 → 150.0 ms, 3 → 1 cents",      // in no region that the map knows
		"metal/middle 100% south → north, 15.0 → 16.4 ms, 3 → 1 cents", // cheaper, although it is farther: 2 degrees, then 3
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
