package proxy

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// registryName says how requests for one of the registry's names are served.
type registryName struct {
	confined *route.Confinement // nil: served like all others
	limit    *rate.Limiter      // nil: none
	limited  prometheus.Counter // counts what limit refused
	lists    *published         // of endpoints
}

// compileNames fills w.names, by host. It keeps a limiter whose rate did not change, so that a reload grants no
// burst. When one name was split into two, only one of them keeps the limiter.
func (s *Server) compileNames(w, old *wiring) error {
	var err error
	if w.lists, err = listsFor(w.file, nil, w.named.signed); err != nil || len(w.cfg.Names) == 0 {
		return err
	}
	confined, err := snapshot.NamesOf(w.cfg, w.snapshot)
	if err != nil {
		return err
	}
	w.names = map[string]*registryName{}
	taken := map[*rate.Limiter]bool{}
	for i := range w.cfg.Names {
		c := &w.cfg.Names[i]
		n := &registryName{confined: confined[c.Hosts[0]]}
		if n.lists, err = listsFor(w.file, c, w.named.signed); err != nil {
			return err
		}
		if c.MaxRPS > 0 {
			n.limit = old.limiter(c.Hosts, rate.Limit(c.MaxRPS), taken)
			n.limited = s.metrics.NameLimited(c.Hosts[0])
		}
		for _, host := range c.Hosts {
			w.names[host] = n
		}
	}
	return nil
}

// limiter returns the limiter of a name of these hosts if its rate did not change and it is not taken. Otherwise it
// returns a new one.
func (w *wiring) limiter(hosts []string, at rate.Limit, taken map[*rate.Limiter]bool) *rate.Limiter {
	if w != nil {
		for _, host := range hosts {
			if was := w.names[host]; was != nil && was.limit != nil && was.limit.Limit() == at && !taken[was.limit] {
				taken[was.limit] = true
				return was.limit
			}
		}
	}
	return rate.NewLimiter(at, max(1, int(at)))
}

// note describes a host for operators.
func (n *registryName) note(host string) string {
	switch {
	case n == nil:
		return fmt.Sprintf("`names` does not list %q: it is served as every other host", host)
	case n.confined == nil:
		return fmt.Sprintf("%q is one of `names`, served as every other host", host)
	default:
		return fmt.Sprintf("%q is a direct name: its candidates answer, whatever the pins say, or the canonical upstream", host)
	}
}

// name returns the name that a request's Host header asks for; nil when the request is treated like all others. The
// client controls the header: it selects among the configured names, and is used for nothing else.
func (w *wiring) name(host string) *registryName {
	if len(w.names) == 0 {
		return nil
	}
	if n := w.names[host]; n != nil {
		return n
	}
	return w.names[snapshot.Host(host)]
}
