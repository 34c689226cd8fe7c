package snapshot

import (
	"fmt"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/route"
)

// Names has the direct names of a registry, by host, and the candidates that serve their clients.
type Names map[string]*route.Confinement

// NamesOf compiles the direct names of cfg for its snapshot s. The error names a candidate that does not exist.
func NamesOf(cfg *config.Config, s *route.Snapshot) (Names, error) {
	out := Names{}
	for i := range cfg.Names {
		n := &cfg.Names[i]
		if n.Role != config.Direct {
			continue
		}
		c, err := s.Confine(n.Candidates)
		if err != nil {
			return nil, fmt.Errorf("a direct name has the candidate %w", err)
		}
		for _, host := range n.Hosts {
			out[host] = c
		}
	}
	return out, nil
}

// Of returns what confines the clients that ask for host; nil: nothing.
func (n Names) Of(host string) *route.Confinement {
	if len(n) == 0 || host == "" {
		return nil
	}
	if c := n[host]; c != nil {
		return c
	}
	return n[Host(host)]
}

// Host returns the name in a Host header as a config writes it: in lower case, without port and final dot. No name has a
// colon, since an IPv6 address is never a name.
func Host(header string) string {
	host, _, _ := strings.Cut(header, ":")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
