package place

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/price"
)

// origin reads one of the three JSON files from which the tables were made. The
// tests compare every row and cell with these files, where they are available.
func origin(t *testing.T, name string, into any) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", name))
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("OCIPROXY_REQUIRE_DATA") == "1" {
			t.Fatalf("the data is needed here: %v", err)
		}
		t.Skipf("SKIPPED, nothing was compared: %v", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
}

func TestRegionsMatchTheirOrigin(t *testing.T) {
	var doc struct {
		Regions []struct {
			Cloud, Region, Name, City, Country, Continent, Status, Partition, Note string
			Lat, Lon                                                               float64
			Confidence                                                             string `json:"location_confidence"`
			Aliases                                                                []string
		}
		Unlocated []struct{ Cloud, Region string }
	}
	origin(t, "regions.json", &doc)
	if len(doc.Regions) != 218 {
		t.Errorf("%d regions", len(doc.Regions))
	}
	cloud := func(s string) string {
		if s == "oci" { // the Open Container Initiative here
			return "oracle"
		}
		return s
	}
	for _, r := range doc.Regions {
		c := cloud(r.Cloud)
		want := Site{
			Place: Place{c, r.Region}, Spot: Spot{Point{r.Lat, r.Lon}, r.Country}, Name: r.Name, City: r.City,
			Continent: r.Continent, Partition: r.Partition, Status: r.Status, Confidence: r.Confidence, Aliases: r.Aliases, Note: r.Note,
		}
		if want.Partition == "" {
			want.Partition = c
		}
		got, _ := Embedded().Find(want.Place)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Site{}, "Source")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want, diff)
		}
	}
	for _, r := range doc.Unlocated {
		if p, ok := Embedded().Resolve(cloud(r.Cloud), r.Region); ok {
			t.Errorf("%s is on the map, and nobody knows where it is", p)
		}
	}
}

func TestCablesMatchTheirOrigin(t *testing.T) {
	var doc struct {
		Zones struct {
			Country   map[string][]string `json:"by_country"`
			Continent map[string][]string `json:"by_continent"`
		}
		Hubs []struct {
			ID, Zone string
			Lat, Lon float64
		}
		Links []struct {
			A, B string
			Km   float64
		}
	}
	origin(t, "cables.json", &doc)
	c := Embedded().cables
	set := func(names []string) (z zones) {
		for _, n := range names {
			z |= c.zoneIDs[n]
		}
		return z
	}
	for code, names := range doc.Zones.Country {
		if c.countries[code] != set(names) {
			t.Errorf("country %s is not in %v", code, names)
		}
	}
	for code, names := range doc.Zones.Continent {
		if c.continents[code] != set(names) {
			t.Errorf("continent %s is not in %v", code, names)
		}
	}
	if len(c.hubs) != len(doc.Hubs) {
		t.Errorf("%d hubs, want %d", len(c.hubs), len(doc.Hubs))
	}
	for _, h := range doc.Hubs {
		got := c.hubs[c.byID[h.ID]]
		if got.zone != c.zoneIDs[h.Zone] || got.at.km(Point{h.Lat, h.Lon}.vector()) > 1 {
			t.Errorf("hub %s differs", h.ID)
		}
	}
	for _, l := range doc.Links {
		a, b := c.byID[l.A], c.byID[l.B]
		if c.hubs[a].zone == c.hubs[b].zone {
			continue // no information: hubs of one zone are always linked
		}
		want := l.Km
		if want == 0 {
			want = c.hubs[a].at.km(c.hubs[b].at)
		}
		found := false
		for _, g := range c.links {
			found = found || (g.a == a && g.b == b || g.a == b && g.b == a) && (g.km-want) < 1 && (want-g.km) < 1
		}
		if !found {
			t.Errorf("link %s-%s of %.0f km is missing or differs", l.A, l.B, want)
		}
	}
}

// jsonTier is a tier of prices.json.
type jsonTier struct {
	From float64 `json:"from_gb"`
	USD  float64 `json:"usd_per_gb"`
}

func TestPricesMatchTheirOrigin(t *testing.T) {
	var doc struct {
		AWS struct {
			S3 map[string]struct {
				Internet           []jsonTier
				InternetConfidence string  `json:"internet_confidence"`
				Region             float64 `json:"inter_region_usd_per_gb"`
				RegionConfidence   string  `json:"inter_region_confidence"`
			}
			Overrides []struct {
				Src, Dst string
				USD      float64 `json:"usd_per_gb"`
			} `json:"inter_region_overrides"`
			CloudFront struct{ Geographies map[string][]jsonTier }
		}
		GCP struct {
			Within struct {
				Continents []string
				Matrix     map[string][]float64
			} `json:"gcs_within_google"`
		}
		Azure map[string]json.RawMessage
	}
	origin(t, "prices.json", &doc)
	p := Embedded().prices
	check := func(seller, kind, from, to string, tiers []jsonTier, confidence string) {
		t.Helper()
		c := p.lists[list{seller, kind}].cells[ends{from, to}]
		if c == nil {
			t.Errorf("%s %s from %q to %q is missing", seller, kind, from, to)
			return
		}
		if confidence != "" && c.ladder.Tiers[0].Estimate != (confidence == "estimate") {
			t.Errorf("%s %s from %q to %q: estimate %v, want %s", seller, kind, from, to, c.ladder.Tiers[0].Estimate, confidence)
		}
		for i, tier := range tiers {
			sent := price.GiB.Times(tier.From)
			if i == 0 {
				sent = 0
			}
			if got, want := c.ladder.Marginal(sent).Cents, tier.USD*100; got-want > 1e-6 || want-got > 1e-6 {
				t.Errorf("%s %s from %q to %q at %v bytes: %v cents, want %v", seller, kind, from, to, sent, got, want)
			}
		}
	}
	flat := func(usd float64) []jsonTier { return []jsonTier{{0, usd}} }
	for region, s := range doc.AWS.S3 {
		check("aws", kindInternet, region, "", s.Internet, s.InternetConfidence)
		check("aws", kindSameCloud, region, "", flat(s.Region), s.RegionConfidence)
	}
	for _, o := range doc.AWS.Overrides {
		check("aws", kindSameCloud, o.Src, o.Dst, flat(o.USD), "sourced")
	}
	for from, row := range doc.GCP.Within.Matrix {
		for i, to := range doc.GCP.Within.Continents {
			check("gcp", kindSameCloud, from, to, flat(row[i]), "estimate")
		}
	}
	for n := 1; n <= 3; n++ {
		zone := fmt.Sprintf("zone%d", n)
		var z struct {
			Internet []jsonTier
			Same     float64 `json:"inter_region_same_continent"`
			Other    float64 `json:"inter_continent"`
		}
		if err := json.Unmarshal(doc.Azure[zone], &z); err != nil {
			t.Fatal(err)
		}
		check("azure", kindInternet, zone, "", z.Internet, "sourced")
		check("azure", kindSameCloud, zone, "same-continent", flat(z.Same), "")
		check("azure", kindSameCloud, zone, "other-continent", flat(z.Other), "estimate")
	}
	if n := len(doc.AWS.CloudFront.Geographies); n != 8 {
		t.Errorf("%d areas of CloudFront", n)
	}
}
