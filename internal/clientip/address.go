package clientip

import (
	"net/netip"
	"strings"
)

// parsePeer reads the address of a TCP peer from "address:port".
func parsePeer(s string) (netip.Addr, bool) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return netip.Addr{}, false
	}
	host := s[:colon]
	if len(host) >= 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return parseAddr(host)
}

// parseEntry reads an address as a front writes it: bare, "v4:port", "[v6]", "[v6]:port", or "v6:port". Text that is a
// valid address without a port is taken as one, unless port says that there is always a port.
func parseEntry(s string, port bool) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if s == "" || len(s) > maxEntryBytes {
		return netip.Addr{}, false
	}
	if s[0] == '[' {
		host, rest, ok := strings.Cut(s[1:], "]")
		if !ok || rest != "" && (rest[0] != ':' || !validPort(rest[1:])) || strings.IndexByte(host, ':') < 0 {
			return netip.Addr{}, false
		}
		return parseClient(host)
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return parseClient(s)
	}
	withoutPort := func() (netip.Addr, bool) {
		if !validPort(s[colon+1:]) {
			return netip.Addr{}, false
		}
		return parseClient(s[:colon])
	}
	if port || strings.IndexByte(s, ':') == colon {
		return withoutPort()
	}
	if addr, ok := parseAddr(s); ok {
		return addr, Possible(addr)
	}
	return withoutPort()
}

func validPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	number := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		number = number*10 + int(s[i]-'0')
	}
	return number <= 65535
}

var reserved = netip.MustParsePrefix("240.0.0.0/4")

// Possible reports whether a client can have an address that is unmapped. It refuses the unspecified address, multicast,
// and 240.0.0.0/4, from which Cloudflare's "Pseudo IPv4" invents addresses.
func Possible(addr netip.Addr) bool {
	return !addr.IsUnspecified() && !addr.IsMulticast() && !reserved.Contains(addr)
}

func parseClient(s string) (netip.Addr, bool) {
	addr, ok := parseAddr(s)
	return addr, ok && Possible(addr)
}

// parseAddr parses an address, drops an IPv6 zone and unmaps IPv4.
func parseAddr(s string) (netip.Addr, bool) {
	// Cut the zone before parsing: a parsed zone is interned, and text that a client writes must not be kept.
	if zone := strings.IndexByte(s, '%'); zone >= 0 && strings.IndexByte(s[:zone], ':') >= 0 {
		s = s[:zone]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
