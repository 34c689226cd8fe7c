package route

import (
	"math"
	"slices"

	"ociproxy/internal/place"
)

// outside reports whether candidates serve the cloud of at, but none is meant for at: no candidate of the same cloud
// and partition, which sends at the cloud's own price, and no CDN that names the cloud. GovCloud is an example, when
// all buckets are in the rest of AWS. In a region that is not on the map, it is not known whether the price holds. A
// cloud that is named only by candidates in other clouds belongs to them: the config says so, and the cloud's own
// price was never meant.
func (s *Snapshot) outside(at place.Place) bool {
	if !s.Served(at.Cloud) {
		return false // its clients belong to the `internet` stores anyway
	}
	_, listed := s.opt.Map.Find(at)
	inside := false // somebody who serves the cloud is in it
	for i := range s.Candidates {
		c := &s.Candidates[i]
		switch {
		case !c.Active:
		case c.CDN != "":
			if slices.Contains(c.Serves.Clouds, at.Cloud) {
				return false
			}
		case c.Place.Cloud == at.Cloud && s.Serves(i, at.Cloud):
			inside = true
			if listed && s.opt.Map.OneCloud(c.Place, at) {
				return false
			}
		}
	}
	return inside
}

// cheaper returns the candidates of internet whose bytes cost less than those of the first of ranking, which would
// get the clients otherwise.
func cheaper(internet, ranking []Ranked) []Ranked {
	limit := math.Inf(1)
	if len(ranking) > 0 {
		limit = ranking[0].Price.Cents
	}
	return slices.DeleteFunc(internet, func(e Ranked) bool { return e.Price.Cents >= limit })
}
