package ranges

import (
	"encoding/csv"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/place"
)

// naive is a longest-prefix look-up that is too simple to be wrong: one map for each prefix length, longest first.
type naive struct {
	byLength map[int]map[netip.Prefix]place.Place
	lengths  []int // descending
}

func (n *naive) add(p netip.Prefix, at place.Place) {
	if n.byLength == nil {
		n.byLength = map[int]map[netip.Prefix]place.Place{}
	}
	bits := p.Bits()
	if n.byLength[bits] == nil {
		n.byLength[bits] = map[netip.Prefix]place.Place{}
		n.lengths = append(n.lengths, bits)
		slices.SortFunc(n.lengths, func(a, b int) int { return b - a })
	}
	n.byLength[bits][p] = at
}

func (n *naive) lookup(a netip.Addr) (netip.Prefix, place.Place) {
	a = a.Unmap()
	for _, bits := range n.lengths {
		if bits > a.BitLen() {
			continue
		}
		p := netip.PrefixFrom(a, bits).Masked()
		if at, ok := n.byLength[bits][p]; ok {
			return p, at
		}
	}
	return netip.Prefix{}, place.Place{}
}

// published is a row as the provider's file has it, read without the code under test.
type published struct {
	prefix  netip.Prefix
	cloud   string
	region  string
	country string // of a geofeed
}

// readPublished reads the real feeds as generic JSON.
func readPublished(tb testing.TB) []published {
	dir := dataDir(tb)
	var all []published
	add := func(cloud, region, prefix, country string) {
		all = append(all, published{netip.MustParsePrefix(prefix), cloud, region, country})
	}
	load := func(name string) map[string]any {
		var v map[string]any
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(raw, &v)
		}
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
	text := func(v any, keys ...string) string {
		for _, k := range keys {
			if s, ok := v.(map[string]any)[k].(string); ok {
				return s
			}
		}
		return ""
	}
	list := func(v any, key string) []any { l, _ := v.(map[string]any)[key].([]any); return l }

	aws := load("aws-ip-ranges.json")
	for _, it := range append(list(aws, "prefixes"), list(aws, "ipv6_prefixes")...) {
		add("aws", text(it, "region"), text(it, "ip_prefix", "ipv6_prefix"), "")
	}
	for _, it := range list(load("gcp-cloud.json"), "prefixes") {
		add("gcp", text(it, "scope"), text(it, "ipv4Prefix", "ipv6Prefix"), "")
	}
	for _, it := range list(load("azure-servicetags.json"), "values") {
		if region, ok := strings.CutPrefix(text(it, "name"), "AzureCloud."); ok {
			for _, p := range list(it.(map[string]any)["properties"], "addressPrefixes") {
				add("azure", region, p.(string), "")
			}
		}
	}
	for _, r := range list(load("oracle-public_ip_ranges.json"), "regions") {
		for _, c := range list(r, "cidrs") {
			add("oracle", text(r, "region"), text(c, "cidr"), "")
		}
	}
	for _, it := range list(load("exoscale-prefixes.json"), "prefixes") {
		add("exoscale", text(it, "zone"), text(it, "IPv4Prefix", "IPv6Prefix"), "")
	}
	for _, it := range list(load("vultr-geofeed.json"), "subnets") {
		add("vultr", "", text(it, "ip_prefix"), text(it, "alpha2code"))
	}
	for _, cloud := range []string{"digitalocean", "linode"} {
		raw, err := os.ReadFile(filepath.Join(dir, cloud+"-geofeed.csv"))
		if err != nil {
			tb.Fatal(err)
		}
		r := csv.NewReader(strings.NewReader(string(raw)))
		r.Comment, r.FieldsPerRecord = '#', -1
		records, err := r.ReadAll()
		if err != nil {
			tb.Fatal(err)
		}
		for _, rec := range records {
			add(cloud, "", rec[0], rec[1])
		}
	}
	return all
}

// regionNames maps cloud and region, as a feed spells it, to the region's name in regions.json.
func regionNames(tb testing.TB) map[place.Place]string {
	raw, err := os.ReadFile(filepath.Join(dataDir(tb), "..", "regions.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Regions []struct {
			Cloud, Region string
			Aliases       []string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		tb.Fatal(err)
	}
	names := map[place.Place]string{}
	for _, r := range file.Regions {
		if r.Cloud == "oci" {
			r.Cloud = "oracle"
		}
		for _, n := range append(r.Aliases, r.Region) {
			names[place.Place{Cloud: r.Cloud, Region: n}] = r.Region
		}
	}
	return names
}

// inside returns a random address of p.
func inside(rng *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= byte(rng.IntN(2)) << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// last returns the highest address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// anyAddr returns a uniformly random address of either family.
func anyAddr(rng *rand.Rand) netip.Addr {
	if rng.IntN(2) == 0 {
		return inside(rng, netip.MustParsePrefix("0.0.0.0/0"))
	}
	return inside(rng, netip.MustParsePrefix("2000::/3"))
}
