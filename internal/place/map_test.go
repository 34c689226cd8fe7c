package place

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindAndResolve(t *testing.T) {
	m := Embedded()
	for _, tc := range []struct{ cloud, region, want string }{
		{"aws", "us-east-1", "aws/us-east-1"},
		{"azure", "germanywc", "azure/germanywestcentral"}, // as service tags spell it
		{"azure", "centralfrance", "azure/francecentral"},
		{"oracle", "us-ashburn-1", "oracle/us-ashburn-1"},
		{"oci", "us-ashburn-1", ""},
		{"aws", "GLOBAL", ""},
		{"gcp", "global", ""},
		{"aws", "germanywc", ""}, // an alias of another cloud
		{"aws", "", ""},
		{"", "", ""},
	} {
		p, ok := m.Resolve(tc.cloud, tc.region)
		if p.String() != tc.want || ok != (tc.want != "") {
			t.Errorf("Resolve(%s, %s) = %v, %v; want %q", tc.cloud, tc.region, p, ok, tc.want)
		}
		s, ok := m.Find(Place{tc.cloud, tc.region})
		if s.Place != p || ok != (tc.want != "") {
			t.Errorf("Find(%s/%s) = %v, %v", tc.cloud, tc.region, s, ok)
		}
	}
	got, _ := m.Find(Place{"aws", "eu-south-2"})
	want := Site{
		Place: Place{"aws", "eu-south-2"}, Spot: Spot{Point{41.65, -0.89}, "ES"}, Name: "Europe (Spain)", City: "Zaragoza",
		Continent: "EU", Partition: "aws", Status: "ga", Confidence: "provider",
		Source: "seligman/aws-ip-ranges announces.json (AWS SSM longName) (2026-11)", Aliases: []string{}, Note: "Aragon, not Madrid",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("aws/eu-south-2 (-want +got):\n%s", diff)
	}
}

func TestSitesAreSorted(t *testing.T) {
	sites := Embedded().Sites()
	for i := 1; i < len(sites); i++ {
		if sites[i-1].Compare(sites[i].Place) >= 0 {
			t.Fatalf("%s is before %s", sites[i-1], sites[i])
		}
	}
}

func TestWith(t *testing.T) {
	cents := func(v float64) *float64 { return &v }
	m, err := Embedded().With(
		Site{Place: Place{"onprem", "berlin"}, Spot: Spot{Point{52.5, 13.4}, "DE"}, Aliases: []string{"bln"}, Price: Override{Internet: cents(0.4)}},
		Site{Place: Place{"aws", "eu-west-1"}, Price: Override{SameCloud: cents(0.5)}},
		Site{Place: Place{"aws", "us-south-1"}, Spot: Spot{Point: Point{29.76, -95.37}}, Status: "ga"},
		Site{Place: Place{"aws", "cn-south-1"}, Spot: Spot{Point{22.5, 114}, "CN"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	berlin, ok := m.Find(Place{"onprem", "bln"})
	want := Site{
		Place: Place{"onprem", "berlin"}, Spot: Spot{Point{52.5, 13.4}, "DE"}, Name: "berlin", Continent: "EU", Partition: "onprem",
		Status: "ga", Source: "config", Aliases: []string{"bln"}, Price: Override{Internet: cents(0.4)},
	}
	if diff := cmp.Diff(want, berlin); !ok || diff != "" {
		t.Errorf("onprem/berlin (-want +got):\n%s", diff)
	}
	if !m.HasCloud("onprem") || Embedded().HasCloud("onprem") {
		t.Error("onprem is on the map that was changed, or not on the new one")
	}
	dublin, _ := m.Find(Place{"aws", "eu-west-1"})
	if dublin.City != "Dublin" || *dublin.Price.SameCloud != 0.5 || dublin.Price.Internet != nil {
		t.Errorf("a price alone changed more: %+v", dublin)
	}
	houston, _ := m.Find(Place{"aws", "us-south-1"})
	if houston.Lat != 29.76 || houston.Country != "US" || houston.Status != "ga" || houston.Source != "config" {
		t.Errorf("a corrected place: %+v", houston)
	}
	if china, _ := m.Find(Place{"aws", "cn-south-1"}); china.Partition != "aws-cn" {
		t.Errorf("a new region of AWS China is in partition %s", china.Partition)
	}
	if old, _ := Embedded().Find(Place{"aws", "us-south-1"}); old.Lat != 32.78 {
		t.Errorf("the embedded map changed: %+v", old)
	}
	if diff := cmp.Diff(len(Embedded().Sites())+2, len(m.Sites())); diff != "" {
		t.Errorf("sites (-want +got):\n%s", diff)
	}
}

func TestWithRefuses(t *testing.T) {
	berlin := Spot{Point{52.5, 13.4}, "DE"}
	negative := -1.0
	for want, sites := range map[string][]Site{
		"latitude 91":      {{Place: Place{"onprem", "a"}, Spot: Spot{Point{91, 0}, "DE"}}},
		"longitude 200":    {{Place: Place{"onprem", "a"}, Spot: Spot{Point{1, 200}, "DE"}}},
		"latitude NaN":     {{Place: Place{"onprem", "a"}, Spot: Spot{Point{math.NaN(), 0}, "DE"}}},
		"no latitude":      {{Place: Place{"onprem", "a"}, Spot: Spot{Country: "DE"}}},
		`country "XY"`:     {{Place: Place{"onprem", "a"}, Spot: Spot{Point{1, 1}, "XY"}}},
		`country ""`:       {{Place: Place{"onprem", "a"}, Spot: Spot{Point: Point{1, 1}}}},
		"lower-case":       {{Place: Place{"onprem", "A"}, Spot: berlin}},
		`"" is not a name`: {{Place: Place{"onprem", ""}, Spot: berlin}},
		"status":           {{Place: Place{"onprem", "a"}, Spot: berlin, Status: "soon"}},
		"price -1":         {{Place: Place{"onprem", "a"}, Spot: berlin, Price: Override{SameCloud: &negative}}},
		"given twice":      {{Place: Place{"onprem", "a"}, Spot: berlin}, {Place: Place{"onprem", "a"}, Spot: berlin}},
		"another spelling": {{Place: Place{"azure", "germanywc"}, Spot: berlin}},
		"is taken by":      {{Place: Place{"azure", "a"}, Spot: berlin, Aliases: []string{"germanywc"}}},
		"taken by aws/us-": {{Place: Place{"aws", "a-1"}, Spot: berlin, Aliases: []string{"us-east-1"}}},
		`alias "Ü"`:        {{Place: Place{"aws", "a-1"}, Spot: berlin, Aliases: []string{"Ü"}}},
	} {
		if m, err := Embedded().With(sites...); err == nil || m != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	_, err := Embedded().With(Site{Place: Place{"onprem", "a"}}, Site{Place: Place{"onprem", "B"}, Spot: berlin})
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want both faults at once, got %v", err)
	}
}

func TestNearest(t *testing.T) {
	m := Embedded()
	for _, tc := range []struct {
		cloud string
		at    Spot
		want  string
	}{
		{"vultr", Spot{Point{40.73, -74.17}, "US"}, "vultr/ewr"},
		{"linode", Spot{Point{48.2, 16.4}, "AT"}, "linode/de-fra-2"},          // Berlin is nearer, but not open to all
		{"aws", Spot{Point{49.2, -123.1}, "CA"}, "aws/ca-west-1"},             // Oregon is nearer, but another country
		{"aws", Spot{Point{45.5, -122.7}, "US"}, "aws/us-west-2"},             // and not GovCloud in the same town
		{"gcp", Spot{Country: "FI"}, "gcp/europe-north1"},                     // a country stands for its middle
		{"digitalocean", Spot{Point{-33.9, 18.4}, "ZA"}, "digitalocean/lon1"}, // none in the country; along the cables
		{"exoscale", Spot{Point: Point{47.4, 8.5}}, "exoscale/ch-dk-2"},       // country unknown
		{"aws", Spot{}, ""},                                                // nothing known
		{"onprem", Spot{Point{47.4, 8.5}, "CH"}, ""},                       // no such cloud on this map
		{"azure", Spot{Point{47.2, -119.9}, "US"}, "azure/westus2"},        // exact
		{"oracle", Spot{Point{1.3, 103.8}, "SG"}, "oracle/ap-singapore-1"}, // ties by name
		{"vultr", Spot{Point{35.7, 139.7}, "JP"}, "vultr/nrt"},
		{"linode", Spot{Point{-23.5, -46.6}, "BR"}, "linode/br-gru"},
		{"digitalocean", Spot{Point{52.4, 4.9}, "NL"}, "digitalocean/ams2"},
		{"gcp", Spot{Point{-35, 149}, "AU"}, "gcp/australia-southeast1"},
		{"azure", Spot{Point{33.75, -84.39}, "US"}, "azure/eastus"}, // Atlanta's regions are restricted
		{"aws", Spot{Point{32.8, -96.8}, "US"}, "aws/us-east-2"},    // Dallas is not announced
		{"exoscale", Spot{Point{-36.8, 174.8}, "NZ"}, "exoscale/ch-gva-2"},
		{"oracle", Spot{Point{44.8, 20.5}, "RS"}, "oracle/eu-jovanovac-1"},
		{"gcp", Spot{Point{19.4, -99.1}, "MX"}, "gcp/northamerica-south1"},
		{"azure", Spot{Point{35.18, 129.08}, "KR"}, "azure/koreasouth"},
		{"aws", Spot{Point{39.9, 116.4}, "CN"}, "aws/cn-north-1"},
		{"vultr", Spot{Point{21.3, -157.9}, "US"}, "vultr/hnl"},
		{"linode", Spot{Point{37.5, -122}, "US"}, "linode/us-west"},
		{"digitalocean", Spot{Point{37.35, -121.96}, "US"}, "digitalocean/sfo2"},
	} {
		s, ok := m.Nearest(tc.cloud, tc.at)
		if s.Place.String() != tc.want || ok != (tc.want != "") {
			t.Errorf("Nearest(%s, %v) = %v, %v; want %q", tc.cloud, tc.at, s, ok, tc.want)
		}
	}
}
