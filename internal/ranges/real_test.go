package ranges

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/place"
)

// TestRealFeeds checks the clouds that name regions: every row must be located in the place that it names.
func TestRealFeeds(t *testing.T) {
	r := mustNew(t, realFeeds(t), Options{})
	exact := map[netip.Prefix]*Entry{}
	entries := r.Table().Entries()
	for i := range entries {
		exact[entries[i].Prefix] = &entries[i]
	}
	names := regionNames(t)
	rows := readPublished(t)

	regions := map[netip.Prefix]map[string]bool{} // Exoscale lists one prefix under all its zones
	for _, row := range rows {
		if regions[row.prefix] == nil {
			regions[row.prefix] = map[string]bool{}
		}
		regions[row.prefix][row.region] = true
	}
	count := map[string]int{}
	for _, row := range rows {
		if row.country != "" {
			continue
		}
		e := exact[row.prefix]
		if e == nil {
			t.Errorf("%s %s: not in the table", row.cloud, row.prefix)
			continue
		}
		want := place.Place{Cloud: row.cloud, Region: names[place.Place{Cloud: row.cloud, Region: row.region}]}
		if row.cloud == "exoscale" {
			want.Region = row.region
		}
		if len(regions[row.prefix]) > 1 {
			want.Region = ""
		}
		if e.Place != want || e.HasSpot != (want.Region != "") || e.Feed != row.cloud {
			t.Errorf("%s %s (%s): %+v, want %s", row.cloud, row.prefix, row.region, e, want)
		}
		count[row.cloud]++
	}
	want := map[string]int{"aws": 16424, "gcp": 1047, "azure": 15058, "oracle": 1038, "exoscale": 72}
	if d := cmp.Diff(want, count); d != "" {
		t.Errorf("rows checked (-want +got)\n%s", d)
	}
}

// TestRealGeofeeds checks that every row is located in its cloud, and in its country if the cloud has a region there.
func TestRealGeofeeds(t *testing.T) {
	r := mustNew(t, realFeeds(t), Options{})
	countries := map[[2]string]bool{}
	for _, s := range place.Embedded().Sites() {
		countries[[2]string{s.Cloud, s.Country}] = true
	}
	count, abroad := map[string]int{}, map[string]int{}
	for _, row := range readPublished(t) {
		if row.country == "" || idleSpace(row.prefix) {
			continue
		}
		for _, a := range []netip.Addr{row.prefix.Addr(), last(row.prefix)} {
			c := r.Locate(a)
			if c.Place.Cloud != row.cloud {
				t.Errorf("%s %s: cloud %q", row.cloud, a, c.Place.Cloud)
			}
			if !countries[[2]string{row.cloud, row.country}] {
				abroad[row.cloud+" "+row.country]++
				continue
			}
			if !c.HasSpot || c.Spot.Country != row.country {
				t.Errorf("%s %s: %v in %q, the row says %q", row.cloud, a, c.Place, c.Spot.Country, row.country)
			}
		}
		count[row.cloud]++
	}
	if d := cmp.Diff(map[string]int{"digitalocean": 1197, "linode": 5192, "vultr": 480}, count); d != "" {
		t.Errorf("rows checked (-want +got)\n%s", d)
	}
	if d := cmp.Diff(map[string]int{"digitalocean None": 6}, abroad); d != "" {
		t.Errorf("rows in countries where the cloud has no region (-want +got)\n%s", d)
	}
}

// TestLocality checks the result of each kind of match.
func TestLocality(t *testing.T) {
	for _, tt := range []struct {
		cloud, country, subdivision, city string
		want                              string
	}{
		{"linode", "SG", "SG-SIN", "Singapore", "linode/ap-south"}, // city and subdivision
		{"linode", "SG", "SG-04", "Singapore", "linode/sg-sin-2"},  // the same city, another subdivision
		{"vultr", "CA", "CA-ON", "Toronto, ON", "vultr/yto"},       // the city with a suffix
		{"vultr", "GB", "GB-GB-MAN", "Swinton, Manchester", "vultr/man"},
		{"vultr", "JP", "JP-13", "Shinagawa-ku", "vultr/nrt"},
		{"digitalocean", "US", "US-NJ", "Clifton", "digitalocean/nyc3"},
		{"digitalocean", "US", "US-CA", "Santa Clara", "digitalocean/sfo2"},
		{"linode", "BR", "", "São Paulo", "linode/br-gru"},      // accents
		{"vultr", "US", "US-WA", "East Wenatchee", "vultr/sea"}, // subdivision
		{"vultr", "US", "US-OH", "Springfield", "vultr/ord"},    // nearest to the middle of Ohio
		{"vultr", "US", "US-HI", "Hilo", "vultr/hnl"},
		{"exoscale", "DE", "", "", "exoscale/de-fra-1"}, // nearest to the middle of Germany
		{"exoscale", "FR", "", "", "exoscale/ch-gva-2"}, // no region in France
		{"linode", "", "", "", "linode"},
		{"linode", "ZZ", "", "", "linode"},
		{"linode", "None", "", "", "linode"},
		{"linode", "QX", "", "Nowhere", "linode"}, // well-formed, but there is no such country
	} {
		r := resolver{feed: "test", cloud: tt.cloud, sites: place.Embedded()}
		es, _, err := r.entries([]row{{prefix: netip.MustParsePrefix("192.0.2.0/24"), at: newLocality(tt.country, tt.subdivision, tt.city)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := es[0].Place.String(); got != tt.want {
			t.Errorf("%v = %s, want %s", tt, got, tt.want)
		}
	}
}

// TestNestedInGlobal: an outer GLOBAL prefix must not hide an inner region.
func TestNestedInGlobal(t *testing.T) {
	r := mustNew(t, realFeeds(t), Options{})
	rows := readPublished(t)
	var outer []netip.Prefix
	for _, row := range rows {
		if row.cloud == "aws" && row.region == "GLOBAL" {
			outer = append(outer, row.prefix)
		}
	}
	nested := map[netip.Prefix]bool{}
	for _, row := range rows {
		if row.cloud != "aws" || row.region == "GLOBAL" || nested[row.prefix] {
			continue
		}
		for _, o := range outer {
			if o.Bits() < row.prefix.Bits() && o.Overlaps(row.prefix) {
				nested[row.prefix] = true
				c := r.Locate(row.prefix.Addr())
				if c.Place != (place.Place{Cloud: "aws", Region: row.region}) || !c.HasSpot {
					t.Errorf("%s in %s: %+v, want %s", row.prefix, o, c, row.region)
				}
				break
			}
		}
	}
	if len(nested) != 247 {
		t.Errorf("%d prefixes lie inside a GLOBAL one, want 247", len(nested))
	}
	c := r.Locate(outer[0].Addr())
	if c.Place != (place.Place{Cloud: "aws"}) || c.HasSpot || c.By != ByFeed || c.Entry.Region != "GLOBAL" {
		t.Errorf("GLOBAL: %+v", c)
	}
}

// TestAgainstOracle compares the table with the naive look-up on a million addresses: inside prefixes, on both sides
// of their borders, and anywhere. One IPv4 address in eight is written as mapped IPv6.
func TestAgainstOracle(t *testing.T) {
	r := mustNew(t, realFeeds(t), Options{})
	var oracle naive
	for _, e := range r.Table().Entries() {
		oracle.add(e.Prefix, e.Place)
	}
	rows := readPublished(t)
	rng := rand.New(rand.NewPCG(2026, 7))
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	found := 0
	for i := range n {
		var a netip.Addr
		p := rows[rng.IntN(len(rows))].prefix
		switch i % 8 {
		case 0:
			a = anyAddr(rng)
		case 1:
			a = p.Addr().Prev()
		case 2:
			a = last(p).Next()
		case 3:
			a = p.Addr()
		case 4:
			a = last(p)
		default:
			a = inside(rng, p)
		}
		if a.Is4() && rng.IntN(8) == 0 {
			a = netip.AddrFrom16(a.As16())
		}
		prefix, want := oracle.lookup(a)
		e, ok := r.Table().Lookup(a)
		if ok != prefix.IsValid() || ok && (e.Place != want || e.Prefix != prefix) {
			t.Fatalf("%s: %+v, %v; the oracle says %s by %s", a, e, ok, want, prefix)
		}
		if ok {
			found++
		}
	}
	if found < n/2 || found > n*19/20 {
		t.Errorf("%d of %d addresses found: the sample is lopsided", found, n)
	}
}
