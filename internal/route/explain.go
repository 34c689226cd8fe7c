package route

import (
	"cmp"
	"slices"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
)

// Row is one candidate of an explanation.
type Row struct {
	Ranked
	// Verdict says in words why it was chosen or passed over.
	Verdict string
	// Taken marks the candidate that answers.
	Taken bool
}

var verdictText = map[verdict]string{
	pending:       "not known whether it holds it",
	passPin:       "a pin confines this client to other candidates",
	passRollout:   "its rollout does not include this client network yet",
	passFamily:    "has no address of the client's IP family",
	passHealth:    "out of service or over its quota",
	passAbsent:    "does not hold it",
	passUnchecked: "did not say in time whether it holds it",
}

// Explain lists every candidate as [Decide] saw it: first the ranked candidates, then those that could not be asked.
// d must be the decision for the same arguments.
func Explain(req *oci.Request, c *Client, s *Snapshot, st *State, d Decision) []Row {
	w := newWalk(req, c, s, st)
	ranking := s.Ranking(c)
	e := explainer{s: s, ranking: ranking, d: d}
	order := w.order(ranking)
	for i := range order {
		if order[i].Candidate == d.Candidate {
			e.taken = &order[i]
		}
	}
	var seen set.Set
	var rows []Row
	rival := -1 // the best of the others that could answer
	for _, r := range order {
		seen.Add(r.Candidate)
		v := w.verdict(r.Candidate)
		text, ok := verdictText[v]
		if back := s.Candidates[r.Candidate].Returning; v == passRollout && back != "" {
			text = back
		}
		if !ok {
			text = e.passed(&r)
		}
		if v == take && r.Candidate != d.Candidate && rival < 0 {
			rival = len(rows)
		}
		rows = append(rows, Row{Ranked: r, Verdict: text})
	}
	var rest []Row
	for i := range s.Candidates {
		if !seen.Has(i) {
			rest = append(rest, Row{Ranked: s.seenFrom(c, i), Verdict: s.excluded(req, c, i)})
		}
	}
	slices.SortFunc(rest, func(a, b Row) int { c, _ := s.compare(ranking.lots, &a.Ranked, &b.Ranked); return c })
	rows = append(rows, rest...)
	for i := range rows {
		if rows[i].Candidate == d.Candidate {
			rows[i].Taken, rows[i].Verdict = true, takenText[d.Reason]
			if d.Reason == Nearest && rival >= 0 {
				rows[i].Verdict += e.because(&rows[rival].Ranked)
			}
		}
	}
	return rows
}

// explainer puts one decision into words.
type explainer struct {
	s       *Snapshot
	ranking *Ranking
	d       Decision
	taken   *Ranked // nil: nobody, or one outside the ranking
}

// passed says why r, which could answer, does not. It calls the chosen candidate better only when it is.
func (e *explainer) passed(r *Ranked) string {
	switch {
	case e.d.Action == Deny:
		return "could answer, but the configuration denies the request"
	case e.d.Reason == CanonicalOnly:
		return "only canonical answers this kind of request"
	case e.taken == nil:
		return "could answer"
	}
	switch c, by := e.s.compare(e.ranking.lots, e.taken, r); {
	case c > 0 && e.d.Reason == Retried:
		return "could answer, but this address is sent past it because of what it asked for again"
	case c >= 0:
		return "could answer"
	case by == byScore:
		return "could answer, but a better one did"
	case by == byLittle:
		return "could answer, but one did that is better by less than a tenth"
	case by == byKind:
		return "could answer, with the same score: a store comes before an upstream"
	case by == byRole:
		return "could answer, with the same score: canonical comes last"
	case by == byPrice:
		return "could answer, with the same score at a higher price"
	default:
		return "could answer, with the same score: the lot of this place is " + e.s.Candidates[e.taken.Candidate].Name + "'s"
	}
}

// because says what put the chosen candidate before r, as far as the scores do not say it.
func (e *explainer) because(r *Ranked) string {
	if e.taken == nil {
		return ""
	}
	name := e.s.Candidates[r.Candidate].Name
	switch _, by := e.s.compare(e.ranking.lots, e.taken, r); by {
	case byKind:
		return ", and a store comes before an upstream with the same (" + name + ")"
	case byRole:
		return ", and canonical comes last with the same (" + name + ")"
	case byPrice:
		return ", and a lower price than one with the same (" + name + ")"
	case byLot:
		return ", and by lot before one with the same (" + name + ")"
	case byScore, byLittle:
	}
	return ""
}

// takenText says "before", not "better": the candidates before this one may have the same score.
var takenText = map[Reason]string{
	Nearest:       "taken: the lowest score",
	Absent:        "taken: those before it do not hold it",
	Unhealthy:     "taken: one before it is out of service",
	Unchecked:     "taken: one before it did not answer in time",
	Unreachable:   "taken: one before it cannot be reached by the client's IP family",
	RollingOut:    "taken: one before it does not take this client network yet",
	Pinned:        "taken: a pin confines this client to it",
	Retried:       "taken: a download from one before it seems to have failed for this client",
	Stayed:        "taken: its client network was sent here for it before, and one before it may be behind",
	CanonicalOnly: "taken: only canonical answers this kind of request",
	LastResort:    "taken: last resort",
}

// excluded says why a candidate is not in the client's ranking at all.
func (s *Snapshot) excluded(req *oci.Request, c *Client, i int) string {
	cand := &s.Candidates[i]
	switch {
	case !cand.Active:
		return cmp.Or(cand.Announced, "not active")
	case !s.Serves(i, c.Place.Cloud) && cand.Serves.Internet && s.Ranking(c).Outside && req.Kind == oci.KindBlob:
		return "serves internet, and is not cheaper for this client than the first of the ranking"
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
	if site, ok := s.opt.Map.StandIn(s.Ranking(c).Place, s.home); ok {
		spot, has = site.Spot, true
	}
	if c.HasSpot {
		spot, has = c.Spot, true
	}
	if site, ok := s.opt.Map.Find(c.Place); ok {
		spot, has = site.Spot, true
	}
	return s.score(i, c.Place, spot, has)
}

// Note says what is special about the candidates that may answer req of c; "" for nothing.
func (s *Snapshot) Note(req *oci.Request, c *Client) string {
	r := s.Ranking(c)
	if !r.Outside || req.Kind != oci.KindBlob || !req.Digest.InStores() {
		return ""
	}
	why := "no candidate in " + c.Place.Cloud + " has its own cloud's price for " + r.Place.String()
	if !r.listed {
		why = "the client's region is not on the map, so no candidate in " + c.Place.Cloud + " is known to have the cloud's own price for it"
	}
	return why + ": stores that serve `internet` count too where they are cheaper"
}
