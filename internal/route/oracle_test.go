package route

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
)

// scored is a candidate as the naive formula sees it.
type scored struct {
	i     int
	score float64
	quote place.Quote
	own   bool // at the price of the client's own cloud
}

// naive is the formula of docs/decisions/0001-routing-is-one-formula.md, evaluated for every candidate at every request.
func naive(s *Snapshot, opt Options, req *oci.Request, c *Client, st *State) int {
	list := naiveRanking(s, opt, req, c)
	for _, e := range list {
		if st.Usable.Has(e.i) && (st.Holds.Has(e.i) || e.i == s.Canonical) {
			return e.i
		}
	}
	for _, e := range list {
		if opt.Candidates[e.i].Kind == Upstream && st.Usable.Has(e.i) && st.Holds.Has(e.i) {
			return e.i
		}
	}
	return s.Canonical
}

func naiveRanking(s *Snapshot, opt Options, req *oci.Request, c *Client) []scored {
	cloud := c.Place.Cloud
	served := cloud != "" && slices.ContainsFunc(opt.Candidates, func(o Candidate) bool {
		return o.Kind == Upstream && o.Place.Cloud == cloud || o.Active && slices.Contains(o.Serves.Clouds, cloud)
	})
	var all, list, internet []scored
	meant, inside := false, false
	for i, cand := range opt.Candidates {
		if !cand.Active {
			continue
		}
		e := naiveScore(opt, i, c)
		named := slices.Contains(cand.Serves.Clouds, cloud)
		switch {
		case cand.Serves.All || named || cand.Serves.Internet && !served:
			all = append(all, e)
			meant = meant || e.own || named && cand.CDN != ""
			inside = inside || cand.CDN == "" && cand.Place.Cloud == cloud
		case cand.Serves.Internet:
			internet = append(internet, e)
		}
	}
	less := func(a, b scored) int { return naiveLess(s, opt, c, a, b) }
	slices.SortFunc(all, less)
	if served && inside && !meant {
		for _, e := range internet {
			if len(all) == 0 || e.quote.Cents < all[0].quote.Cents {
				list = append(list, e)
			}
		}
	}
	list = append(list, all...)
	slices.SortFunc(list, less)
	return slices.DeleteFunc(list, func(e scored) bool {
		return opt.Candidates[e.i].Kind == Store && (req.Kind != oci.KindBlob || !req.Digest.InStores())
	})
}

func naiveScore(opt Options, i int, c *Client) scored {
	cand := opt.Candidates[i]
	site, known := opt.Map.Find(c.Place)
	spot := site.Spot
	if !known && c.Place.Region != "" { // a partition without a region: its region nearest to nowhere, so any
		if in, ok := opt.Map.StandIn(c.Place, place.Spot{}); ok {
			spot, known = in.Spot, true
		}
	}
	own, _ := opt.Map.Find(cand.Place)
	rtt := float64(place.UnknownRTT)
	switch {
	case cand.CDN != "":
		rtt = place.AnycastRTT
	case cand.Place == c.Place:
		rtt = place.SamePlaceRTT
	case known:
		rtt = opt.Map.RTT(spot, own.Spot)
	}
	q := opt.Map.Quote(place.Source{Place: cand.Place, CDN: cand.CDN, Override: cand.Price}, c.Place, spot, opt.Sent)
	_, listed := opt.Map.Find(c.Place)
	return scored{i, rtt + opt.CostWeight*q.Cents, q, listed && (q.Basis == place.BasisSameCloud || q.Basis == place.BasisSamePlace)}
}

// naiveLess compares what explanations print, then the rules for equals one by one.
func naiveLess(s *Snapshot, opt Options, c *Client, a, b scored) int {
	tenths := func(e scored) float64 {
		f, _ := strconv.ParseFloat(fmt.Sprintf("%.1f", e.score), 64)
		return f
	}
	kind := func(e scored) string { return opt.Candidates[e.i].Kind.String() } // store < upstream
	role := func(e scored) string {
		return map[bool]string{true: "canonical", false: "a replica"}[opt.Candidates[e.i].Canonical]
	}
	draw := func(e scored) uint64 { return lot(hashString(c.Place.String()), hashString(opt.Candidates[e.i].Name)) }
	return cmp.Or(
		cmp.Compare(tenths(a), tenths(b)),
		cmp.Compare(kind(a), kind(b)),
		cmp.Compare(fmt.Sprintf("%020.6f", a.score), fmt.Sprintf("%020.6f", b.score)),
		cmp.Compare(a.quote.Cents, b.quote.Cents),
		cmp.Compare(role(a), role(b)),
		cmp.Compare(draw(b), draw(a)),
	)
}

// randomWorld has stores in all clouds and partitions, CDNs, free ones and dear ones, and some that are off.
func randomWorld(t *testing.T, rng *rand.Rand) Options {
	m := place.Embedded()
	sites := m.Sites()
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	opt := Options{Map: m, CostWeight: []float64{0, 5, 20}[rng.IntN(3)]}
	for i := range 1 + rng.IntN(12) {
		at := sites[rng.IntN(len(sites))].Place.String()
		switch rng.IntN(4) {
		case 0:
			at = "cloudfront"
		case 1: // often the same, so that there are ties
			at = pick("aws/us-east-1", "aws/us-gov-west-1", "gcp/us-east4", "azure/westeurope")
		}
		c := store(t, fmt.Sprintf("s%d", i), at, pick("all", "internet", "internet", "aws", "aws", "gcp", "azure", "oracle"))
		c.Active = rng.IntN(8) > 0
		if free := 0.0; rng.IntN(3) == 0 {
			c.Price.Internet = &free
		}
		opt.Candidates = append(opt.Candidates, c)
	}
	for i := range 1 + rng.IntN(4) {
		u := upstream(t, fmt.Sprintf("u%d", i), sites[rng.IntN(len(sites))].Place.String())
		if rng.IntN(2) == 0 {
			u.Place = at(t, pick("aws/us-east-1", "gcp/us-east4"))
		}
		u.Canonical = i == 0
		opt.Candidates = append(opt.Candidates, u)
	}
	rng.Shuffle(len(opt.Candidates), func(i, j int) {
		opt.Candidates[i], opt.Candidates[j] = opt.Candidates[j], opt.Candidates[i]
	})
	return opt
}

// Random worlds, clients and states: the compiled decision equals the formula.
func TestCompiledEqualsNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	sites, unlisted := place.Embedded().Sites(), place.Embedded().UnlistedPlaces()
	paths := []string{"/v2/a/blobs/" + digest, "/v2/a/manifests/" + digest, "/v2/a/manifests/x", "/v2/a/blobs/blake3:" + strings.Repeat("0", 64)}
	outside, tied := 0, 0
	for range 300 {
		opt := randomWorld(t, rng)
		s, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			c := &Client{Addr: netip.MustParseAddr("192.0.2.1"), Place: sites[rng.IntN(len(sites))].Place}
			switch rng.IntN(10) {
			case 0:
				c.Place = place.Place{}
			case 1:
				c.Place = unlisted[rng.IntN(len(unlisted))]
			case 2:
				c.Place = at(t, []string{"aws/us-gov-west-1", "aws/eusc-de-east-1", "aws/cn-north-1", "aws/us-east-1"}[rng.IntN(4)])
			}
			st := &State{}
			for i := range opt.Candidates {
				if rng.IntN(4) > 0 {
					st.Usable.Add(i)
				}
				if rng.IntN(2) > 0 {
					st.Holds.Add(i)
				}
			}
			req := parse(t, paths[rng.IntN(len(paths))])
			got := Decide(req, c, s, st)
			if want := naive(s, opt, req, c, st); got.Candidate != want {
				t.Fatalf("client %s, %s: compiled %d (%s), naive %d", c.Place, req.Path(), got.Candidate, got.Reason, want)
			}
			r := s.Ranking(c)
			if r.Outside {
				outside++
			}
			if len(r.All) > 1 && r.All[0].Tenths() == r.All[1].Tenths() {
				tied++
			}
		}
	}
	if outside < 1000 || tied < 1000 {
		t.Errorf("%d decisions outside, %d with a tie on top: the sample is lopsided", outside, tied)
	}
}
