package setup

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Warnings returns what the operator should know about the answers, beyond the warnings of the config.
func (d *Draft) Warnings() (list []string) {
	add := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	for _, r := range d.registries {
		if exposed(r.url) {
			add("the registry %s is asked without TLS: anyone on the network path can change what is sent", r.name)
		}
	}
	if r := d.registries; len(r) > 0 && r[0].prefix != "" && len(d.images) == 0 {
		add("nothing shows that the registry has repositories below the path /%s: name an image with --image to find out", r[0].prefix)
	}
	for _, b := range d.buckets {
		if exposed(b.base) {
			add("the bucket %s is read without TLS: anyone on the network path can change what is sent", b.name)
		}
	}
	for _, s := range d.sites {
		if s.guessed {
			add("the country of %s is taken to be %s: add the right one behind the coordinates (@LAT,LON,COUNTRY) if it is not", s.Place, s.country)
		}
	}
	if list, assumed := d.clients(); assumed {
		add("clients with a private address count as %s: name your networks with --clients if that is wrong", list[0].place)
	}
	return list
}

// exposed reports whether a URL is without TLS and its host may be outside of a closed network.
func exposed(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return !addr.IsLoopback() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast()
	}
	inside := !strings.Contains(host, ".") // only a search domain or a hosts file knows such a name
	for _, end := range []string{".localhost", ".local", ".internal", ".lan", ".test"} {
		inside = inside || strings.HasSuffix(host, end)
	}
	return !inside
}
