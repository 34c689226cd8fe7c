package clientip

import (
	"net/netip"
	"strings"
)

// parsePeer reads the address of a TCP peer, "address:port".
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

// parseEntry reads an address as a front writes it: bare, "v4:port",
// "[v6]", "[v6]:port", or "v6:port". Where the last cannot be told from an
// address, it is one, unless port says that a port is always there.
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
	switch {
	case colon < 0:
		return parseClient(s)
	case port, strings.IndexByte(s, ':') == colon, !mayBeV6(s[colon+1:]), strings.Count(s, ":") > 7:
		if !validPort(s[colon+1:]) {
			// "::ffff:192.0.2.1" ends in no port but in dotted quads.
			if port {
				return netip.Addr{}, false
			}
			return parseClient(s)
		}
		return parseClient(s[:colon])
	}
	return parseClient(s)
}

// mayBeV6 reports whether the part after the last colon can be a group of an
// IPv6 address: five digits can only be a port.
func mayBeV6(group string) bool { return len(group) <= 4 }

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

// parseClient refuses addresses that no client can have: the unspecified one,
// multicast, and 240.0.0.0/4, which Cloudflare's "Pseudo IPv4" makes up.
func parseClient(s string) (netip.Addr, bool) {
	addr, ok := parseAddr(s)
	if !ok || addr.IsUnspecified() || addr.IsMulticast() || reserved.Contains(addr) {
		return netip.Addr{}, false
	}
	return addr, true
}

// parseAddr drops an IPv6 zone and unmaps IPv4.
func parseAddr(s string) (netip.Addr, bool) {
	// Cut the zone before parsing: a parsed one is interned, and what a
	// client writes must not be kept.
	if zone := strings.IndexByte(s, '%'); zone >= 0 && strings.IndexByte(s[:zone], ':') >= 0 {
		s = s[:zone]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
