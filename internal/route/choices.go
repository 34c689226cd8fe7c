package route

import "ociproxy/internal/oci"

// Choices counts the candidates that could answer req: those that [Decide] would take if there were none before them,
// and canonical, which is every client's last resort. With 1, the client depends on canonical alone. A request that is
// denied has no choice.
func Choices(req *oci.Request, c *Client, s *Snapshot, st *State) int {
	if s.Denied(req) {
		return 0
	}
	n := 1
	if req.CanonicalOnly() {
		return n
	}
	w := newWalk(req, c, s, st)
	order := w.order(s.Ranking(c))
	for i := range order {
		if c := order[i].Candidate; c != s.Canonical && w.verdict(c) == take {
			n++
		}
	}
	return n
}

// Seen returns candidate i as clients like c see it, also when it is not in their ranking.
func (s *Snapshot) Seen(c *Client, i int) Ranked {
	r := s.Ranking(c)
	for _, order := range [][]Ranked{r.All, r.Pinned} {
		for k := range order {
			if order[k].Candidate == i {
				return order[k]
			}
		}
	}
	return s.seenFrom(c, i)
}
