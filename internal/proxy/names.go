package proxy

import (
	"fmt"
	"strings"

	"golang.org/x/time/rate"

	"ociproxy/internal/config"
	"ociproxy/internal/route"
)

// registryName is how the requests for one of the registry's names are served.
type registryName struct {
	confined *route.Confinement // nil: as all others
	limit    *rate.Limiter      // nil: none
}

// compileNames makes w.names, by host. A limiter whose rate did not change is kept, so that a reload grants no burst.
func (w *world) compileNames(old *world) error {
	if len(w.cfg.Names) == 0 {
		return nil
	}
	w.names = map[string]*registryName{}
	for _, c := range w.cfg.Names {
		n := &registryName{}
		if c.Role == config.Direct {
			var err error
			if n.confined, err = w.snapshot.Confine(c.Candidates); err != nil {
				return fmt.Errorf("a direct name has the candidate %w", err)
			}
		}
		if c.MaxRPS > 0 {
			n.limit = rate.NewLimiter(rate.Limit(c.MaxRPS), max(1, int(c.MaxRPS)))
		}
		for _, host := range c.Hosts {
			if old != nil && n.limit != nil {
				if was := old.names[host]; was != nil && was.limit != nil && was.limit.Limit() == n.limit.Limit() {
					n.limit = was.limit
				}
			}
			w.names[host] = n
		}
	}
	return nil
}

// name is the name that a request's Host header asks for; nil when it is treated like all others. The header is the
// client's: it chooses among what the configuration names, and is used for nothing else.
func (w *world) name(host string) *registryName {
	if len(w.names) == 0 {
		return nil
	}
	if n := w.names[host]; n != nil {
		return n
	}
	host, _, _ = strings.Cut(host, ":") // no name has a colon: an IPv6 address is none
	return w.names[strings.ToLower(strings.TrimSuffix(host, "."))]
}
