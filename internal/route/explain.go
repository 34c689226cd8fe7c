package route

import (
	"slices"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
)

// Row is one candidate of an explanation.
type Row struct {
	Ranked
	// Verdict says why it was taken or passed over, in words.
	Verdict string
	// Taken marks the one that answers.
	Taken bool
}

var verdictText = map[verdict]string{
	take:          "could answer, but a better one did",
	pending:       "not known whether it holds it",
	passPin:       "a pin confines this client to other candidates",
	passRollout:   "its rollout does not include this client network yet",
	passFamily:    "has no address of the client's IP family",
	passHealth:    "out of service or over its quota",
	passAbsent:    "does not hold it",
	passUnchecked: "did not say in time whether it holds it",
}

// Explain lists every candidate as [Decide] saw it: ranked ones first, then those that could not be asked.
// d must be the decision for the same arguments.
func Explain(req *oci.Request, c *Client, s *Snapshot, st *State, d Decision) []Row {
	w := newWalk(req, c, s, st)
	ranking := s.Ranking(c)
	var seen set.Set
	var rows []Row
	for _, e := range w.order(ranking) {
		seen.Add(e.Candidate)
		rows = append(rows, s.row(e, verdictText[w.verdict(e.Candidate)], d))
	}
	var rest []Row
	for i := range s.Candidates {
		if !seen.Has(i) {
			rest = append(rest, s.row(s.seenFrom(c, i), s.excluded(req, c, i), d))
		}
	}
	slices.SortFunc(rest, func(a, b Row) int { return s.compare(a.Ranked, b.Ranked) })
	return append(rows, rest...)
}

func (s *Snapshot) row(e Ranked, verdict string, d Decision) Row {
	r := Row{Ranked: e, Verdict: verdict}
	if d.Candidate == e.Candidate {
		r.Taken, r.Verdict = true, takenText[d.Reason]
	}
	return r
}

var takenText = map[Reason]string{
	Nearest:       "taken: the lowest score",
	Absent:        "taken: better ones do not hold it",
	Unhealthy:     "taken: a better one is out of service",
	Unchecked:     "taken: a better one did not answer in time",
	Unreachable:   "taken: a better one cannot be reached by the client's IP family",
	RollingOut:    "taken: a better one does not take this client network yet",
	Pinned:        "taken: a pin confines this client to it",
	Retried:       "taken: the client asked again for what a better one was to serve",
	Stayed:        "taken: its client network was sent here for it before, and a better one may be behind",
	CanonicalOnly: "taken: only canonical answers this kind of request",
	LastResort:    "taken: last resort",
}

// excluded says why a candidate is not in the client's ranking at all.
func (s *Snapshot) excluded(req *oci.Request, c *Client, i int) string {
	cand := &s.Candidates[i]
	switch {
	case !cand.Active:
		return "not active"
	case !s.Serves(i, c.Place.Cloud):
		return "serves " + cand.Serves.String()
	case req.Kind != oci.KindBlob:
		return "stores hold only blobs"
	default:
		return "stores hold only sha256 and sha512"
	}
}

// seenFrom scores a candidate that is not in the ranking of c.
func (s *Snapshot) seenFrom(c *Client, i int) Ranked {
	spot, has := s.home, s.hasHome
	if c.HasSpot {
		spot, has = c.Spot, true
	}
	if site, ok := s.opt.Map.Find(c.Place); ok {
		spot, has = site.Spot, true
	}
	return s.score(i, c.Place, spot, has)
}
