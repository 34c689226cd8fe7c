package route

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/place"
)

// TestPlacesThatNobodyServesAtItsOwnPrice guards that the name of a cloud in `serves` kept GovCloud, China, the sovereign
// cloud and new regions at buckets that send to them at the price of the internet, when a store that serves the internet
// was cheaper.
func TestPlacesThatNobodyServesAtItsOwnPrice(t *testing.T) {
	free := func(name string) Candidate { return priced(store(t, name, "cloudfront", "internet"), 0) }
	at9 := func(name string) Candidate { return priced(store(t, name, "cloudfront", "internet"), 9) }
	east := store(t, "east", "aws/us-east-1", "aws")
	gov := store(t, "gov", "aws/us-gov-west-1", "aws")
	tests := []struct {
		name    string
		cs      []Candidate
		client  string
		want    string
		outside bool
	}{
		{"GovCloud", []Candidate{east, free("cdn")}, "aws/us-gov-west-1", "cdn", true},
		{"China", []Candidate{east, free("cdn")}, "aws/cn-northwest-1", "cdn", true},
		{"the sovereign cloud", []Candidate{east, free("cdn")}, "aws/eusc-de-east-1", "cdn", true},
		{"the rest of AWS", []Candidate{east, free("cdn")}, "aws/ap-southeast-2", "east", false},
		{"a region not announced yet is one of the cloud", []Candidate{east, free("cdn")}, "aws/us-south-1", "east", false},
		{"a new region", []Candidate{east, free("cdn")}, "aws/eu-nowhere-9", "cdn", true},
		{"a new region of GovCloud", []Candidate{east, free("cdn")}, "aws/us-gov-nowhere-1", "cdn", true},
		{"a partition that is in no feed", []Candidate{east, free("cdn")}, "aws/us-isob-east-1", "cdn", true},
		{"a new region: the cloud's price is lower", []Candidate{east, at9("cdn")}, "aws/eu-nowhere-9", "east", true},
		{"GovCloud: the same price is not cheaper", []Candidate{east, at9("cdn")}, "aws/us-gov-east-1", "east", true},
		{"GovCloud: cheaper than the registry, who had them", []Candidate{east, at9("cdn")}, "aws/us-gov-west-1", "cdn", true},
		{"China: dearer, though nearer", []Candidate{east, priced(store(t, "cdn", "cloudfront", "internet"), 9.1)}, "aws/cn-north-1", "east", true},
		{"GovCloud: cheaper, but so far that it is not better", []Candidate{east, priced(store(t, "far", "oracle/ap-sydney-1", "internet"), 8)}, "aws/us-gov-east-1", "east", true},
		{"GovCloud: cheaper and near enough", []Candidate{east, store(t, "ashburn", "oracle/us-ashburn-1", "internet")}, "aws/us-gov-east-1", "ashburn", true},
		{"GovCloud with a bucket in it", []Candidate{east, gov, free("cdn")}, "aws/us-gov-west-1", "gov", false},
		{"a bucket in GovCloud, and the rest of AWS", []Candidate{gov, free("cdn")}, "aws/us-east-1", "cdn", true},
		{"a bucket that serves all is in the cloud", []Candidate{store(t, "any", "aws/us-east-1", "all"), at9("cdn"), store(t, "oslo", "gcp/us-east4", "aws")}, "aws/us-east-1", "any", false},
		{"a bucket elsewhere that names the cloud is meant", []Candidate{store(t, "g", "gcp/us-east4", "aws"), free("cdn")}, "aws/us-gov-east-1", "g", false},
		{"a bucket elsewhere that names the cloud, beside the cloud's own", []Candidate{store(t, "g", "gcp/us-east4", "aws"), east, free("cdn")}, "aws/us-gov-east-1", "cdn", true},
		{"a CDN that names the cloud is meant", []Candidate{store(t, "front", "cloudfront", "aws"), free("cdn")}, "aws/us-gov-east-1", "front", false},
		{"a CDN that is off is not", []Candidate{off(store(t, "front", "cloudfront", "aws")), east, free("cdn")}, "aws/us-gov-east-1", "cdn", true},
		{"a bucket of the cloud that is off", []Candidate{off(gov), east, free("cdn")}, "aws/us-gov-west-1", "cdn", true},
		{"an internet store that is off", []Candidate{east, off(free("cdn"))}, "aws/us-gov-east-1", "east", true},
		{"only a registry in the cloud", []Candidate{upstream(t, "reg", "aws/us-east-1"), free("cdn")}, "aws/us-gov-east-1", "cdn", true},
		{"only a registry in the cloud, and the rest of it", []Candidate{upstream(t, "reg", "aws/us-east-1"), free("cdn")}, "aws/eu-west-1", "reg", false},
		{"Google, a new region", []Candidate{free("cdn")}, "gcp/europe-nowhere9", "cdn", true},
		{"Google", []Candidate{free("cdn")}, "gcp/europe-west1", "canonical", false},
		{"Azure, a new region", []Candidate{store(t, "az", "azure/westeurope", "azure"), free("cdn")}, "azure/westnowhere", "cdn", true},
		{"Azure Government", []Candidate{store(t, "az", "azure/westeurope", "azure"), free("cdn")}, "azure/usgovvirginia", "cdn", true},
		{"Azure China", []Candidate{store(t, "az", "azure/westeurope", "azure"), free("cdn")}, "azure/chinaeast2", "cdn", true},
		{"Oracle's government", []Candidate{store(t, "o", "oracle/us-ashburn-1", "oracle"), free("cdn")}, "oracle/us-gov-ashburn-1", "cdn", true},
		{"a cloud that nobody serves", []Candidate{east, at9("cdn")}, "linode/us-east", "cdn", false},
		{"nobody knows where", []Candidate{east, at9("cdn")}, "", "cdn", false},
		{"a cloud that is not on the map", []Candidate{east, at9("cdn")}, "moon/base-1", "cdn", false},
	}
	req := parse(t, "/v2/a/blobs/"+digest)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot(t, Options{CostWeight: 5, Location: at(t, "gcp/us-central1"), Candidates: slices.Clone(tt.cs)})
			c := client(t, tt.client)
			d := Decide(req, c, s, everything(s))
			rows := Explain(req, c, s, everything(s), d)
			for _, r := range rows {
				t.Logf("%-10s rtt %6.1f ms, %5.2f ct/GB (%s), score %6.1f: %s",
					s.Candidates[r.Candidate].Name, r.RTT, r.Price.Cents, r.Price.Basis, r.Score, r.Verdict)
			}
			if got := s.name(d); got != tt.want {
				t.Errorf("sent to %s, want %s", got, tt.want)
			}
			note := s.Note(req, c)
			if s.Ranking(c).Outside != tt.outside || (note != "") != tt.outside {
				t.Errorf("outside %v, note %q", s.Ranking(c).Outside, note)
			}
			if s.Note(parse(t, "/v2/a/manifests/x"), c) != "" {
				t.Error("a note on stores for a manifest")
			}
			for _, r := range rows {
				cand := &s.Candidates[r.Candidate]
				if tt.outside && cand.Active && cand.Serves.Internet && !r.Taken && strings.HasPrefix(r.Verdict, "serves ") &&
					!strings.Contains(r.Verdict, "not cheaper") {
					t.Errorf("%s: %q does not say why", cand.Name, r.Verdict)
				}
			}
		})
	}
}

func off(c Candidate) Candidate { c.Active = false; return c }

// TestUnlistedPlaces: clients of a partition without a region are counted by themselves, priced as of their partition,
// and stand in it; GeoIP's coordinates do not change that.
func TestUnlistedPlaces(t *testing.T) {
	s := snapshot(t, Options{CostWeight: 5, Location: at(t, "aws/eu-west-1"), Candidates: []Candidate{
		store(t, "east", "aws/us-east-1", "aws"), store(t, "beijing", "aws/cn-north-1", "aws"),
	}})
	places := s.Places()
	for _, p := range place.Embedded().UnlistedPlaces() {
		r := s.Ranking(&Client{Place: p})
		if r.Place != p || places[r.ID] != p {
			t.Errorf("%s is counted as %s", p, r.Place)
		}
		spot := s.Ranking(&Client{Place: p, HasSpot: true, Spot: place.Spot{Point: place.Point{Lat: 31, Lon: 121}, Country: "CN"}})
		if spot == r || spot.ID != r.ID {
			t.Errorf("%s: coordinates do not count, or are counted as %s", p, places[spot.ID])
		}
		for _, e := range spot.All {
			name, want := s.Candidates[e.Candidate].Name, place.BasisInternet
			if p.Cloud == "aws" && (name == "east" && p.Region == "" || name == "beijing" && p.Region == "cn") {
				want = place.BasisSameCloud
			}
			if (name == "east" || name == "beijing") && e.Price.Basis != want {
				t.Errorf("%s at %s: %s", name, p, e.Price.Basis)
			}
		}
	}
	near := func(where, store string) float64 {
		for _, e := range s.Ranking(client(t, where)).All {
			if s.Candidates[e.Candidate].Name == store {
				return e.RTT
			}
		}
		t.Fatalf("%s does not serve %s", store, where)
		return 0
	}
	if ms := near("aws/cn-nowhere-9", "beijing"); ms > 30 {
		t.Errorf("a new region of China is %.0f ms from Beijing", ms)
	}
	if ms := near("aws/us-gov-nowhere-9", "east"); ms > 30 {
		t.Errorf("a new region of GovCloud is %.0f ms from Virginia, seen from Ireland", ms)
	}
	if ms := near("aws/eu-nowhere-9", "east"); ms < 60 || ms > 100 {
		t.Errorf("a new region of AWS is %.0f ms from Virginia, seen from Ireland", ms)
	}
	if n := testing.AllocsPerRun(100, func() { s.Ranking(&Client{Place: place.Place{Cloud: "aws", Region: "us-gov-nowhere-9"}}) }); n != 0 {
		t.Errorf("%v allocations for a region that is not on the map", n)
	}
}

// TestAPinHoldsOutside: what a pin says is not widened by cheaper stores.
func TestAPinHoldsOutside(t *testing.T) {
	s := snapshot(t, Options{CostWeight: 5, Pins: []Pin{{CIDR: netip.MustParsePrefix("192.0.2.0/24"), To: []string{"east"}}}, Candidates: []Candidate{
		store(t, "east", "aws/us-east-1", "aws"), priced(store(t, "cdn", "cloudfront", "internet"), 0),
	}})
	d := Decide(parse(t, "/v2/a/blobs/"+digest), client(t, "aws/us-gov-west-1"), s, everything(s))
	if s.name(d) != "east" || d.Reason != Pinned {
		t.Errorf("%s (%s), want east (pinned)", s.name(d), d.Reason)
	}
}
