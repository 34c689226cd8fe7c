package outbound

import (
	"net"
	"net/netip"
	"strings"
)

// Loopback reports whether a host, with or without a port, is this machine. Then nobody can listen on the connection,
// and plain HTTP is as good as HTTPS. Names other than localhost are not looked up.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
