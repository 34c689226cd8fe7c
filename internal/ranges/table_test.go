package ranges

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/place"
)

func entry(prefix, cloud, region string) Entry {
	return Entry{
		Prefix: netip.MustParsePrefix(prefix), Place: place.Place{Cloud: cloud, Region: region}, HasSpot: region != "", Region: region,
	}
}

func TestTable(t *testing.T) {
	overrides := []Entry{entry("203.0.113.0/24", "onprem", "berlin"), entry("203.0.113.64/26", "onprem", "bonn")}
	table, conflicts := newTable(overrides, [][]Entry{
		{
			entry("203.0.112.0/22", "aws", "us-east-1"),
			entry("203.0.113.128/25", "aws", "us-west-2"), // longer than the override, but the override wins
			entry("198.51.100.0/24", "aws", ""),
			entry("2001:db8::/32", "aws", "us-east-1"),
			entry("2001:db8:1::/48", "aws", "us-west-2"),
		},
		{
			entry("198.51.100.0/24", "aws", "eu-west-1"),   // more precise for the same prefix
			entry("203.0.112.0/22", "gcp", "europe-west1"), // contradicts
			entry("2001:db8::/32", "aws", "eu-central-1"),  // contradicts
			entry("2001:db8:1::/48", "aws", ""),            // less precise
			entry("203.0.113.0/24", "gcp", "europe-west1"), // hidden by an override
			entry("2001:db8:1::/48", "aws", "us-west-2"),   // repeats
		},
	})
	if d := cmp.Diff([]int{0, 2}, conflicts); d != "" {
		t.Errorf("conflicts (-want +got)\n%s", d)
	}
	for addr, want := range map[string]string{
		"203.0.112.1":          "aws/us-east-1",
		"203.0.113.1":          "onprem/berlin",
		"203.0.113.65":         "onprem/bonn",
		"203.0.113.200":        "onprem/berlin",
		"::ffff:203.0.113.200": "onprem/berlin",
		"203.0.115.255":        "aws/us-east-1",
		"203.0.116.0":          "",
		"198.51.100.7":         "aws/eu-west-1",
		"2001:db8::1":          "aws/us-east-1",
		"2001:db8:1::1":        "aws/us-west-2",
		"2001:db9::":           "",
		"::203.0.113.1":        "", // IPv4-compatible is not mapped
	} {
		e, ok := table.Lookup(netip.MustParseAddr(addr))
		got := ""
		if ok {
			got = e.Place.String()
		}
		if got != want {
			t.Errorf("%s = %q, want %q", addr, got, want)
		}
	}
	if _, ok := table.Lookup(netip.Addr{}); ok {
		t.Error("found the zero address")
	}
	if _, ok := new(Table).Lookup(netip.MustParseAddr("1.1.1.1")); ok {
		t.Error("found something in an empty table")
	}
}

// TestRandomTables compares small dense tables of nested prefixes with the oracle: overrides first, then feeds.
func TestRandomTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	space := netip.MustParsePrefix("10.0.0.0/24")
	random := func(n int, cloud string) []Entry {
		es := make([]Entry, n)
		for i := range es {
			p := netip.PrefixFrom(inside(rng, space), 24+rng.IntN(9)).Masked()
			es[i] = Entry{Prefix: p, Place: place.Place{Cloud: cloud, Region: string(rune('a' + i%26))}, HasSpot: true}
		}
		return es
	}
	for range 200 {
		overrides, feeds := random(rng.IntN(4), "o"), [][]Entry{random(20, "x"), random(20, "y")}
		table, _ := newTable(overrides, feeds)
		var own, rest naive
		addFirst := func(n *naive, es []Entry) {
			for _, e := range es {
				if _, dup := n.byLength[e.Prefix.Bits()][e.Prefix]; !dup {
					n.add(e.Prefix, e.Place)
				}
			}
		}
		addFirst(&own, overrides)
		addFirst(&rest, feeds[0])
		addFirst(&rest, feeds[1])
		for a := space.Addr(); space.Contains(a); a = a.Next() {
			prefix, want := own.lookup(a)
			if !prefix.IsValid() {
				_, want = rest.lookup(a)
			}
			var got place.Place
			if e, ok := table.Lookup(a); ok {
				got = e.Place
			}
			if got != want {
				t.Fatalf("%s = %s, want %s\noverrides %v\nfeeds %v", a, got, want, overrides, feeds)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	r := resolver{feed: "f", cloud: "aws", sites: place.Embedded()}
	p := netip.MustParsePrefix("52.0.0.0/16")
	for _, tt := range []struct {
		name      string
		rows      []row
		want      string
		conflicts int
	}{
		{"repeated", []row{{p, "", "us-east-1", locality{}}, {p, "", "us-east-1", locality{}}}, "aws/us-east-1", 0},
		{"global first", []row{{p, "", "GLOBAL", locality{}}, {p, "", "us-east-1", locality{}}}, "aws/us-east-1", 0},
		{"global last", []row{{p, "", "us-east-1", locality{}}, {p, "", "GLOBAL", locality{}}}, "aws/us-east-1", 0},
		{"two regions", []row{{p, "", "us-east-1", locality{}}, {p, "", "us-west-2", locality{}}}, "aws", 1},
		{"three rows", []row{{p, "", "us-east-1", locality{}}, {p, "", "us-west-2", locality{}}, {p, "", "us-east-1", locality{}}}, "aws", 1},
		{"two clouds", []row{{p, "", "us-east-1", locality{}}, {p, "gcp", "us-east1", locality{}}}, "aws/us-east-1", 1},
	} {
		es, conflicts, err := r.entries(tt.rows)
		if err != nil || len(es) != 1 || es[0].Place.String() != tt.want || conflicts != tt.conflicts || es[0].HasSpot != (tt.want != "aws") {
			t.Errorf("%s: %+v, %d conflicts, %v", tt.name, es, conflicts, err)
		}
	}
	if _, _, err := r.entries([]row{{p, "asw", "us-east-1", locality{}}}); err == nil {
		t.Error("a cloud that is not on the map was accepted")
	}
}
