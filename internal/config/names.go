package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// hostName is a host name of RFC 1123 in lower case, or an IPv4 address. Internationalised names are written as clients
// send them, in their ASCII form.
var hostName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$`)

// registryNames checks the names that clients know this registry by.
func (v *validator) registryNames() {
	candidates := v.candidateNames()
	hosts := map[string]string{}
	for i := range v.c.Names {
		n := &v.c.Names[i]
		at := fmt.Sprintf("names[%d]", i)
		if len(n.Hosts) == 0 && !v.broken(at) {
			v.fail(at+".hosts", "list the host names that clients write", "the list is empty")
		}
		for j, host := range n.Hosts {
			here := fmt.Sprintf("%s.hosts[%d]", at, j)
			if !v.host(here, host) {
				continue
			}
			if first, dup := hosts[host]; dup {
				v.fail(here, "remove one", "%s is listed already, by %s", host, first)
			}
			hosts[host] = at
		}
		for j, name := range n.Candidates {
			if _, ok := v.names[name]; !ok {
				v.fail(fmt.Sprintf("%s.candidates[%d]", at, j), suggestion(name, candidates, "candidates"), "unknown candidate %q", shorten(name))
			}
		}
		switch {
		case n.Role == Direct && len(n.Candidates) == 0:
			v.fail(at, "candidates: [the canonical upstream]", "a direct name needs the candidates that serve it")
		case n.Role != Direct && len(n.Candidates) > 0:
			v.fail(at+".candidates", "remove it, or write role: direct", "a %s name is served by all candidates", n.Role)
		}
		if n.MaxRPS < 0 {
			v.fail(at+".maxRPS", "", "maxRPS is negative")
		}
	}
}

// host reports whether host is a host name, and a fault if not.
func (v *validator) host(at, host string) bool {
	ok := hostName.MatchString(host) && len(host) <= 253
	if !ok {
		v.fail(at, hostHint(host), "not a host name: %q", shorten(host))
	}
	return ok
}

func hostHint(host string) string {
	if h, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://"), "/"); ok || h != host {
		host = h
	}
	host, _, _ = strings.Cut(host, ":")
	if host = strings.ToLower(strings.TrimSuffix(host, ".")); hostName.MatchString(host) {
		return "write " + host
	}
	return "a host name without scheme, port and path, in lower case: registry.example.org"
}

// candidateNames are the names of all upstreams and stores, in order.
func (v *validator) candidateNames() []string {
	names := make([]string, 0, len(v.names))
	for n := range v.names {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
