package replay

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// Gain is a [Move] with what it changes for the clients. Only add fields; never remove one.
type Gain struct {
	Move
	RTTWas   float64 `json:"rttWasMs"`
	RTTIs    float64 `json:"rttIsMs"`
	CentsWas float64 `json:"centsPerGBWas"` // US cents for a GiB to them
	CentsIs  float64 `json:"centsPerGBIs"`
}

// Gains is [Predict] with round trips and prices. The clients that save most per GiB come first, and among those the ones
// whose round trip gets shorter most.
func Gains(is, was *config.Config, now time.Time) ([]Gain, error) {
	moves, err := Predict(is, was, now)
	if err != nil {
		return nil, err
	}
	next, err := snapshot.Of(is.At(now))
	if err != nil {
		return nil, err
	}
	old, err := snapshot.Of(was.At(now))
	if err != nil {
		return nil, err
	}
	var all []Gain
	for _, m := range moves.Moved {
		var client route.Client
		if m.Place != unknownPlace {
			cloud, region, _ := strings.Cut(m.Place, "/")
			client.Place = place.Place{Cloud: cloud, Region: region}
		}
		g := Gain{Move: m}
		g.RTTWas, g.CentsWas = seen(old, &client, m.Was)
		g.RTTIs, g.CentsIs = seen(next, &client, m.Is)
		all = append(all, g)
	}
	slices.SortStableFunc(all, func(a, b Gain) int {
		return cmp.Or(cmp.Compare(b.CentsWas-b.CentsIs, a.CentsWas-a.CentsIs), cmp.Compare(b.RTTWas-b.RTTIs, a.RTTWas-a.RTTIs))
	})
	return all, nil
}

// seen returns the round trip and the price of a candidate for a client.
func seen(s *route.Snapshot, c *route.Client, name string) (rtt, cents float64) {
	for i := range s.Candidates {
		if s.Candidates[i].Name == name {
			r := s.Seen(c, i)
			return r.RTT, r.Price.Cents
		}
	}
	return 0, 0
}
