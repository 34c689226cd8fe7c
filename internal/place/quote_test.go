package place

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/price"
)

// quote is a quote of a seller that bills in GiB.
func quote(cents float64, basis string, estimate bool, date string) Quote {
	return Quote{Cents: cents, Basis: basis, Estimate: estimate, Date: date}
}

func at(country string) Spot { s, _ := CountrySpot(country); return s }

func TestQuote(t *testing.T) {
	for _, tc := range []struct {
		name     string
		from, to string // cloud/region, cloud/ for an unknown region, "" for unknown
		at       Spot
		tb       float64
		want     Quote
	}{
		{"same place", "aws/us-east-1", "aws/us-east-1", Spot{}, 0, quote(0, BasisSamePlace, false, "")},
		{"same place by another spelling", "azure/germanywestcentral", "azure/germanywc", Spot{}, 0, quote(0, BasisSamePlace, false, "")},
		{"same cloud, by source region", "aws/eu-west-1", "aws/sa-east-1", Spot{}, 0, quote(2, BasisSameCloud, false, "2022-11-01")},
		{"same cloud, the other way", "aws/sa-east-1", "aws/eu-west-1", Spot{}, 0, quote(13.8, BasisSameCloud, false, "2022-11-01")},
		{"region unknown: never same place", "aws/us-east-1", "aws/", Spot{}, 0, quote(2, BasisSameCloud, false, "2022-11-01")},
		{"region not on the map", "aws/us-east-1", "aws/eu-west-9", Spot{}, 0, quote(2, BasisSameCloud, false, "2022-11-01")},
		{"the two regions of the US east", "aws/us-east-1", "aws/us-east-2", Spot{}, 0, quote(1, BasisSameCloud, false, "2022-11-01")},
		{"and back", "aws/us-east-2", "aws/us-east-1", Spot{}, 0, quote(1, BasisSameCloud, false, "2022-11-01")},
		{"internet, unknown client", "aws/us-east-1", "", Spot{}, 0, quote(9, BasisInternet, false, "2026-01-26")},
		{"internet, another cloud", "aws/ap-southeast-1", "gcp/asia-southeast1", Spot{}, 0, quote(12, BasisInternet, false, "2026-01-26")},
		{"tiers: just below the second", "aws/us-east-1", "", Spot{}, 9.99, quote(9, BasisInternet, false, "2026-01-26")},
		{"tiers: the second", "aws/us-east-1", "", Spot{}, 10, quote(8.5, BasisInternet, false, "2026-01-26")},
		{"tiers: the last", "aws/us-east-1", "", Spot{}, 5000, quote(5, BasisInternet, false, "2026-01-26")},
		{"no estimate is hidden", "aws/ap-east-2", "", Spot{}, 0, quote(12, BasisInternet, true, "2026-11-22")},
		{"a region without prices: the nearest's", "aws/me-west-1", "", Spot{}, 0, quote(11.7, BasisInternet, true, "2026-01-26")},
		{"the same, in the cloud", "aws/sa-west-1", "aws/us-east-1", Spot{}, 0, quote(13.8, BasisSameCloud, true, "2022-11-01")},
		{"source's region unknown: the dearest", "aws/", "", Spot{}, 0, quote(15.5, BasisInternet, true, "2022-11-01")},

		{"partitions: to China", "aws/us-east-1", "aws/cn-north-1", Spot{}, 0, quote(9, BasisInternet, false, "2026-01-26")},
		{"partitions: from China", "aws/cn-north-1", "aws/us-east-1", Spot{}, 0, quote(13, BasisInternet, true, "2026-11")},
		{"partitions: from China, region unknown", "aws/cn-north-1", "aws/", Spot{}, 0, quote(13, BasisInternet, true, "2026-11")},
		{"partitions: to a new region of China", "aws/us-east-1", "aws/cn-south-9", Spot{}, 0, quote(9, BasisInternet, false, "2026-01-26")},
		{"partitions: within China", "aws/cn-north-1", "aws/cn-northwest-1", Spot{}, 0, quote(8.4, BasisSameCloud, true, "2026-11")},
		{"partitions: to GovCloud", "aws/us-east-1", "aws/us-gov-east-1", Spot{}, 0, quote(9, BasisInternet, false, "2026-01-26")},
		{"partitions: from GovCloud", "aws/us-gov-east-1", "aws/us-east-1", Spot{}, 0, quote(15.5, BasisInternet, false, "2022-11-01")},
		{"partitions: within GovCloud", "aws/us-gov-east-1", "aws/us-gov-west-1", Spot{}, 0, quote(3, BasisSameCloud, false, "2022-11-01")},
		{"partitions: to the sovereign cloud", "aws/eu-central-1", "aws/eusc-de-east-1", Spot{}, 0, quote(9, BasisInternet, false, "2026-01-26")},

		{"gcp within a continent", "gcp/us-central1", "gcp/us-east1", Spot{}, 0, quote(2, BasisSameCloud, true, "2026-11-22")},
		{"gcp between continents", "gcp/us-central1", "gcp/europe-west1", Spot{}, 0, quote(5, BasisSameCloud, true, "2026-11-22")},
		{"gcp Indonesia is by itself", "gcp/asia-southeast1", "gcp/asia-southeast2", Spot{}, 0, quote(10, BasisSameCloud, true, "2026-11-22")},
		{"gcp Middle East", "gcp/me-west1", "gcp/me-central1", Spot{}, 0, quote(8, BasisSameCloud, true, "2026-11-22")},
		{"gcp region unknown, country known", "gcp/us-central1", "gcp/", at("FR"), 0, quote(5, BasisSameCloud, true, "2026-11-22")},
		{"gcp region unknown: the usual", "gcp/us-central1", "gcp/", Spot{}, 0, quote(11, BasisSameCloud, true, "2026-11-22")},
		{"gcp to the world", "gcp/us-central1", "", at("FR"), 0, quote(12, BasisInternet, false, "2026-09-20")},
		{"gcp to the world, by point alone", "gcp/us-central1", "", Spot{Point: Point{48.9, 2.3}}, 0, quote(12, BasisInternet, false, "2026-09-20")},
		{"gcp to Australia", "gcp/us-central1", "aws/ap-southeast-2", Spot{}, 0, quote(19, BasisInternet, false, "2026-09-20")},
		{"gcp to China", "gcp/us-central1", "", at("CN"), 2, quote(22, BasisInternet, true, "2026-09-20")},
		{"gcp to China, first tier", "gcp/us-central1", "", at("CN"), 0, quote(23, BasisInternet, false, "2026-09-20")},
		{"gcp to Hong Kong", "gcp/us-central1", "", at("HK"), 0, quote(12, BasisInternet, false, "2026-09-20")},
		{"gcp to nobody knows where: the usual", "gcp/us-central1", "", Spot{}, 0, quote(12, BasisInternet, true, "2026-09-20")},

		{"azure zone 1, same continent", "azure/westeurope", "azure/uksouth", Spot{}, 0, quote(2, BasisSameCloud, false, "2026-01-26")},
		{"azure zone 1, other continent", "azure/westeurope", "azure/eastus", Spot{}, 0, quote(5, BasisSameCloud, true, "2026-11")},
		{"azure zone 2", "azure/southeastasia", "azure/uksouth", Spot{}, 0, quote(8, BasisSameCloud, true, "2026-11")},
		{"azure zone 3 to the internet", "azure/brazilsouth", "", at("BR"), 0, quote(18.1, BasisInternet, false, "2026-01-26")},
		{"azure region unknown: the dearest of its zone", "azure/westeurope", "azure/", Spot{}, 0, quote(5, BasisSameCloud, true, "2026-11")},

		{"oracle", "oracle/us-ashburn-1", "aws/us-east-1", Spot{}, 0, quote(price.Convert(0.85, price.GB, price.GiB), BasisInternet, false, "2026-05")},
		{"linode", "linode/us-east", "linode/eu-west", Spot{}, 0, quote(0.5*1.073741824, BasisSameCloud, true, "2026-11")},
		{"onprem", "onprem/berlin", "aws/us-east-1", Spot{}, 0, quote(0, BasisUnpriced, true, "")},
		{"onprem to itself", "onprem/berlin", "onprem/berlin", Spot{}, 0, quote(0, BasisSamePlace, false, "")},
		{"nothing known", "", "", Spot{}, 0, quote(0, BasisUnpriced, true, "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Embedded().Quote(Source{Place: loose(tc.from)}, loose(tc.to), tc.at, price.TiB.Times(tc.tb))
			if got.Source == "" {
				t.Error("the quote does not say where it comes from")
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(Quote{}, "Source", "Listed", "Unit")); diff != "" {
				t.Errorf("%s to %s (-want +got):\n%s", tc.from, tc.to, diff)
			}
		})
	}
}

// loose is Parse for tests that also need unknown places.
func loose(s string) Place {
	cloud, region, _ := strings.Cut(s, "/")
	return Place{cloud, region}
}

func TestCDN(t *testing.T) {
	for _, tc := range []struct {
		cdn  string
		to   Place
		at   Spot
		tb   float64
		want float64
		sure bool
	}{
		{"cloudfront", Place{}, at("US"), 0, 8.5, true},
		{"cloudfront", Place{"aws", "us-east-1"}, Spot{}, 0, 8.5, true}, // a client in AWS also costs the CDN's price
		{"cloudfront", Place{}, at("IL"), 0, 8.5, true},
		{"cloudfront", Place{}, at("IN"), 0, 10.9, true},
		{"cloudfront", Place{}, at("JP"), 12, 8.9, true},
		{"cloudfront", Place{}, at("SA"), 0, 11, true}, // Saudi Arabia, not South America: both 11
		{"cloudfront", Place{}, at("BR"), 6000, 4, true},
		{"cloudfront", Place{}, at("NA"), 0, 11, true}, // Namibia, not North America
		{"cloudfront", Place{}, at("AF"), 0, 12, true}, // Afghanistan, not Africa
		{"cloudfront", Place{}, at("AU"), 0, 11.4, true},
		{"cloudfront", Place{}, Spot{}, 0, 11, false}, // unknown client: the area with most countries
		{"fastly", Place{}, at("ZA"), 0, 28, false},
		{"google-cloud-cdn", Place{}, at("CN"), 0, 20, true},
		{"cloudflare-r2", Place{}, at("CN"), 0, 0, true},
		{"backblaze-b2", Place{"gcp", "us-east1"}, Spot{}, 0, 1, false},
	} {
		got := Embedded().Quote(Source{Place: Place{"aws", "us-east-1"}, CDN: tc.cdn}, tc.to, tc.at, price.TiB.Times(tc.tb))
		if got.Listed != tc.want || got.Basis != BasisCDN || got.Estimate == tc.sure {
			t.Errorf("%s to %v %v: %+v, want %v", tc.cdn, tc.to, tc.at, got, tc.want)
		}
	}
	if got := Embedded().Quote(Source{CDN: "other"}, Place{}, at("US"), 0); got.Cents != 0 || got.Basis != BasisUnpriced {
		t.Errorf("a CDN without prices: %+v", got)
	}
	want := []string{"backblaze-b2", "cloudflare-r2", "cloudfront", "fastly", "google-cloud-cdn", "ibm-cos", "wasabi", "other"}
	if diff := cmp.Diff(want, CDNs()); diff != "" {
		t.Errorf("CDNs (-want +got):\n%s", diff)
	}
}

func TestOverride(t *testing.T) {
	cents := func(v float64) *float64 { return &v }
	m, err := Embedded().With(Site{Place: Place{"aws", "eu-west-1"}, Price: Override{Internet: cents(4), SameCloud: cents(1)}})
	if err != nil {
		t.Fatal(err)
	}
	dublin, paris := Place{"aws", "eu-west-1"}, Place{"aws", "eu-west-3"}
	perGB := price.Convert(3, price.GB, price.GiB)
	for _, tc := range []struct {
		name   string
		src    Source
		client Place
		cents  float64
		basis  string
	}{
		{"the map's, to the internet", Source{Place: dublin}, Place{}, 4, BasisOverride},
		{"the map's, same cloud", Source{Place: dublin}, paris, 1, BasisOverride},
		{"same place stays free", Source{Place: dublin}, dublin, 0, BasisSamePlace},
		{"the store's wins", Source{Place: dublin, Override: Override{Internet: cents(3)}}, Place{}, 3, BasisOverride},
		{"in its own unit", Source{Place: dublin, Override: Override{Internet: cents(3), Unit: price.GB}}, Place{}, perGB, BasisOverride},
		{"in the unit of the list", Source{CDN: "fastly", Override: Override{Internet: cents(3)}}, Place{}, perGB, BasisOverride},
		{"each price with its unit", Source{Place: dublin, Override: Override{Internet: cents(3), Unit: price.GB}}, paris, 1, BasisOverride},
		{"field by field", Source{Place: dublin, Override: Override{Internet: cents(3)}}, paris, 1, BasisOverride},
		{"zero is a price", Source{Place: paris, Override: Override{Internet: cents(0)}}, Place{}, 0, BasisOverride},
		{"the other kind is the table's", Source{Place: paris, Override: Override{Internet: cents(0)}}, dublin, 2, BasisSameCloud},
		{"another place is untouched", Source{Place: paris}, Place{}, 9, BasisInternet},
		{"a CDN", Source{Place: dublin, CDN: "cloudfront", Override: Override{Internet: cents(2)}}, dublin, 2, BasisOverride},
		{"a CDN ignores its origin's price", Source{Place: dublin, CDN: "cloudflare-r2"}, dublin, 0, BasisCDN},
	} {
		if got := m.Quote(tc.src, tc.client, at("FR"), 0); got.Cents != tc.cents || got.Basis != tc.basis {
			t.Errorf("%s: %+v, want %v by %s", tc.name, got, tc.cents, tc.basis)
		}
	}
}

// No client of China or GovCloud ever gets its cloud's price from a source
// outside its partition, or the other way round.
func TestPartitionsNeverShareAPrice(t *testing.T) {
	m := Embedded()
	for _, from := range m.Sites() {
		for _, to := range m.Sites() {
			got := m.Quote(Source{Place: from.Place}, to.Place, to.Spot, 0)
			want := BasisInternet
			switch {
			case from.Place == to.Place:
				want = BasisSamePlace
			case from.Partition == to.Partition:
				want = BasisSameCloud
			}
			if got.Basis != want {
				t.Fatalf("%s to %s is billed as %s, want %s", from, to, got.Basis, want)
			}
		}
	}
}

// Every list has a price for every country that can be looked up in it.
func TestPricesCoverTheWorld(t *testing.T) {
	m := Embedded()
	for _, code := range Countries() {
		for _, cdn := range CDNs() {
			if cdn != "other" && m.prices.lists[list{cdn, kindCDN}].to.of(code, Continent(code)) == "" {
				t.Errorf("%s has no area for %s", cdn, code)
			}
		}
	}
	for _, s := range m.Sites() {
		for _, kind := range []string{kindInternet, kindSameCloud} {
			if !slices.Contains(m.Clouds(), s.Cloud) || m.prices.lists[list{s.Cloud, kind}] == nil {
				t.Errorf("%s has no %s prices", s.Cloud, kind)
			}
		}
	}
}
