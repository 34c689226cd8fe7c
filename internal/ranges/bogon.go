package ranges

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// The special-purpose address registries of IANA as of 2026 (RFC 6890 and its updates). No customer of a cloud sends
// from these ranges. For IPv6, everything in 2000::/3 is allowed except the ranges listed here; everything outside is
// not.
var (
	bogonTable = prefixSet(
		"0.0.0.0/8",       // this network, RFC 791
		"10.0.0.0/8",      // private, RFC 1918
		"100.64.0.0/10",   // shared, RFC 6598
		"127.0.0.0/8",     // loopback, RFC 1122
		"169.254.0.0/16",  // link-local, RFC 3927
		"172.16.0.0/12",   // private, RFC 1918
		"192.0.0.0/24",    // protocol assignments, RFC 6890
		"192.0.2.0/24",    // documentation, RFC 5737
		"192.88.99.0/24",  // 6to4 relay, RFC 7526
		"192.168.0.0/16",  // private, RFC 1918
		"198.18.0.0/15",   // benchmarking, RFC 2544
		"198.51.100.0/24", // documentation, RFC 5737
		"203.0.113.0/24",  // documentation, RFC 5737
		"224.0.0.0/4",     // multicast, RFC 5771
		"240.0.0.0/4",     // reserved, RFC 1112
		"2001::/23",       // protocol assignments with Teredo and ORCHID, RFC 2928
		"2001:db8::/32",   // documentation, RFC 3849
		"2002::/16",       // 6to4, RFC 3056
		"3fff::/20",       // documentation, RFC 9637
	)
	ownTable = prefixSet(
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20",
	)
	idleTable = prefixSet(
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32", "3fff::/20", "2001::/23", "2002::/16",
	)
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
)

// bogon reports whether p touches space that is not public unicast.
func bogon(p netip.Prefix) bool {
	if p.Addr().Is6() && (p.Bits() < globalUnicast6.Bits() || !globalUnicast6.Contains(p.Addr())) {
		return true
	}
	return bogonTable.OverlapsPrefix(p)
}

// ownSpace reports whether p lies inside space that operators may number as they like: private, shared and unique
// local ranges, and the documentation ranges that examples use.
func ownSpace(p netip.Prefix) bool { return ownTable.LookupPrefix(p) }

// idleSpace reports whether p lies inside documentation, benchmarking or protocol assignment space. No packet on the
// internet comes from there, but some geofeeds list it.
func idleSpace(p netip.Prefix) bool { return idleTable.LookupPrefix(p) }

func prefixSet(cidrs ...string) *bart.Lite {
	var t bart.Lite
	for _, c := range cidrs {
		t.Insert(netip.MustParsePrefix(c))
	}
	return &t
}
