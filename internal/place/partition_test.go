package place

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnlisted(t *testing.T) {
	m := Embedded()
	for _, tc := range []struct{ cloud, region, want string }{
		{"aws", "eu-nowhere-9", "aws"},
		{"aws", "GLOBAL", "aws"},
		{"aws", "", "aws"},
		{"aws", "us-gov-south-1", "aws/us-gov"},
		{"aws", "us-gov", "aws/us-gov"}, // itself
		{"aws", "us-governor-1", "aws"},
		{"aws", "cn-south-9", "aws/cn"},
		{"aws", "eusc-fr-west-1", "aws/eusc"},
		{"aws", "us-iso-west-1", "aws/us-iso"},
		{"aws", "us-isob-east-1", "aws/us-isob"},
		{"aws", "us-isof-south-1", "aws/us-isof"},
		{"aws", "eu-isoe-west-1", "aws/eu-isoe"},
		{"azure", "westnowhere", "azure"},
		{"azure", "chinaeast3", "azure/china"},
		{"azure", "usgovvirginia", "azure/usgov"},
		{"azure", "usdodcentral", "azure/usgov"},
		{"oracle", "us-gov-ashburn-1", "oracle/us-gov"},
		{"oracle", "uk-gov-london-1", "oracle/uk-gov"},
		{"gcp", "us-gov-1", "gcp"}, // AWS's prefixes mean nothing in other clouds
		{"linode", "cn-1", "linode"},
	} {
		got := m.Unlisted(tc.cloud, tc.region)
		if got.String() != tc.want {
			t.Errorf("%s/%s: %s, want %s", tc.cloud, tc.region, got, tc.want)
		}
		if partition(got) != partition(Place{tc.cloud, tc.region}) {
			t.Errorf("%s is in partition %s", got, partition(got))
		}
		if !slices.Contains(m.UnlistedPlaces(), got) {
			t.Errorf("%s is not listed among the unlisted", got)
		}
		if _, ok := m.Find(got); ok {
			t.Errorf("%s is on the map", got)
		}
	}
	for _, s := range m.Sites() {
		if got := m.Unlisted(s.Cloud, s.Region); partition(got) != s.Partition {
			t.Errorf("%s is in %s, and %s in %s", s, s.Partition, got, partition(got))
		}
	}
	want := []string{
		"aws", "aws/cn", "aws/eu-isoe", "aws/eusc", "aws/us-gov", "aws/us-iso", "aws/us-isob", "aws/us-isof",
		"azure", "azure/china", "azure/usgov", "digitalocean", "exoscale", "gcp", "linode", "oracle", "oracle/uk-gov", "oracle/us-gov", "vultr",
	}
	var got []string
	for _, p := range m.UnlistedPlaces() {
		got = append(got, p.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStandIn(t *testing.T) {
	for _, tc := range []struct{ unlisted, near, want string }{
		{"aws/us-gov", "aws/us-east-1", "aws/us-gov-east-1"},
		{"aws/us-gov", "aws/us-west-2", "aws/us-gov-west-1"},
		{"aws/us-gov", "aws/ap-northeast-1", "aws/us-gov-west-1"},
		{"aws/us-gov", "", "aws/us-gov-east-1"},
		{"aws/cn", "aws/us-east-1", "aws/cn-north-1"},
		{"aws/eusc", "gcp/us-central1", "aws/eusc-de-east-1"},
		{"aws/us-iso", "aws/us-east-1", ""}, // none of its regions is on the map
		{"aws/", "aws/us-east-1", ""},       // all over the world
		{"azure/china", "aws/us-east-1", ""},
	} {
		near, _ := Embedded().Find(loose(tc.near))
		got, ok := Embedded().StandIn(loose(tc.unlisted), near.Spot)
		if got.Place.String() != tc.want || ok != (tc.want != "") {
			t.Errorf("%s near %s: %s, want %s", tc.unlisted, tc.near, got, tc.want)
		}
	}
}

func TestOneCloud(t *testing.T) {
	m, err := Embedded().With(Site{Place: Place{"onprem", "vault"}, Spot: at("DE"), Partition: "vault"}, Site{Place: Place{"onprem", "berlin"}, Spot: at("DE")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"aws/us-east-1", "aws/eu-west-1", true},
		{"aws/us-east-1", "aws/", true},
		{"aws/us-east-1", "aws/eu-nowhere-9", true},
		{"aws/us-east-1", "aws/us-gov-west-1", false},
		{"aws/us-east-1", "aws/us-gov", false},
		{"aws/us-gov-east-1", "aws/us-gov", true},
		{"aws/us-gov-east-1", "aws/us-gov-nowhere-1", true},
		{"aws/cn-north-1", "aws/eusc-de-east-1", false},
		{"aws/us-east-1", "gcp/us-east4", false},
		{"azure/germanywc", "azure/westeurope", true},
		{"azure/westeurope", "azure/usgovvirginia", false},
		{"azure/usdodeast", "azure/usgovvirginia", true},
		{"onprem/vault", "onprem/berlin", false},
		{"onprem/vault", "onprem/", false},
		{"", "", false},
	} {
		if got := m.OneCloud(loose(tc.a), loose(tc.b)); got != tc.want || m.OneCloud(loose(tc.b), loose(tc.a)) != tc.want {
			t.Errorf("%q and %q: %v", tc.a, tc.b, got)
		}
	}
}

// TestUnlistedPrices checks that a region that is not on the map gets its partition's price, in every cloud and
// partition.
func TestUnlistedPrices(t *testing.T) {
	m := Embedded()
	for _, from := range m.Sites() {
		for _, p := range m.UnlistedPlaces() {
			got := m.Quote(Source{Place: from.Place}, p, Spot{}, 0)
			want := BasisInternet
			if from.Partition == partition(p) {
				want = BasisSameCloud
			}
			if got.Basis != want {
				t.Fatalf("%s to %s is billed as %s, want %s", from, p, got.Basis, want)
			}
		}
	}
}
