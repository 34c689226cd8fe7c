package route

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ociproxy/internal/place"
	"ociproxy/internal/set"
)

// Audience is what a configuration knows about its clients.
type Audience struct {
	// Cloud reports whether the proxy can recognise the clients of a cloud.
	Cloud func(cloud string) bool
	// Coordinates says that clients outside all clouds have a known location.
	Coordinates bool
	// Names are the lists of candidates that serve some clients, wherever they are: [Snapshot.Confine].
	Names []*Confinement
}

// Idle is an active store that is no client's first choice for a blob, however many stores hold the blob.
type Idle struct {
	Candidate int
	// Why is the reason, as a sentence without its full stop.
	Why string
	// Beaten says that other candidates come before it: it is a spare.
	Beaten bool
}

// Idle lists the active stores that get no client of a while all candidates are healthy and hold everything.
func (s *Snapshot) Idle(a Audience) []Idle {
	t := newTally(s)
	for _, r := range s.audience(a) {
		t.place(r)
		for _, c := range a.Names {
			t.walk(r.Pinned, &c.to, [2]bool{true, true}, &t.first)
		}
	}
	var out []Idle
	for i := range s.Candidates {
		if c := &s.Candidates[i]; c.Kind == Store && c.Active && !t.first.Has(i) {
			why, beaten := t.why(i)
			out = append(out, Idle{Candidate: i, Why: why, Beaten: beaten})
		}
	}
	return out
}

// audience returns the rankings of all clients that a can distinguish.
func (s *Snapshot) audience(a Audience) []*Ranking {
	var all []*Ranking
	for _, p := range s.Places() {
		if p.IsZero() || a.Cloud(p.Cloud) {
			all = append(all, s.rankings[p])
		}
	}
	if !a.Coordinates {
		return all
	}
	unknown := s.rankings[place.Place{}]
	for _, site := range s.opt.Map.Sites() {
		all = append(all, s.cellRanking(site.Spot, unknown))
	}
	for _, code := range place.Countries() {
		if spot, ok := place.CountrySpot(code); ok {
			all = append(all, s.cellRanking(spot, unknown))
		}
	}
	return all
}

// tally counts which candidates come first, and for each store which candidates come before it.
type tally struct {
	s      *Snapshot
	first  set.Set           // first choice of somebody
	free   set.Set           // would be, were there no pins
	places []int             // by candidate: how many it may serve
	lost   []map[int]int     // by candidate: at how many of them who is before it
	by     []map[string]bool // by candidate: by what
}

func newTally(s *Snapshot) *tally {
	n := len(s.Candidates)
	return &tally{s: s, places: make([]int, n), lost: make([]map[int]int, n), by: make([]map[string]bool, n)}
}

// place counts the clients of one ranking: those that a pin confines, and the others.
func (t *tally) place(r *Ranking) {
	rest := [2]bool{true, true} // some clients of the family are not pinned
	for i := range t.s.pins {
		p := &t.s.pins[i]
		switch {
		case p.Cloud != "" && p.Cloud != r.Place.Cloud:
		case p.Cloud != "":
			t.walk(r.Pinned, &p.to, rest, &t.first)
			rest = [2]bool{}
		default:
			in := [2]bool{rest[0] && p.CIDR.Addr().Is4(), rest[1] && !p.CIDR.Addr().Is4()}
			t.walk(r.Pinned, &p.to, in, &t.first)
			for f := range rest {
				rest[f] = rest[f] && !(in[f] && p.CIDR.Bits() == 0)
			}
		}
	}
	t.walk(r.All, nil, rest, &t.first)
	t.walk(r.All, nil, [2]bool{true, true}, &t.free)
	t.lose(r)
}

// walk adds to firsts the candidates of order that clients of the families go to: up to the first one that takes all
// of them. only confines the clients; nil does not.
func (t *tally) walk(order []Ranked, only *set.Set, families [2]bool, firsts *set.Set) {
	for f, of := range []*set.Set{&t.s.v4, &t.s.v6} {
		for i := 0; families[f] && i < len(order); i++ {
			c := order[i].Candidate
			if only != nil && !only.Has(c) || !of.Has(c) || t.s.rolling.Has(c) && t.s.Candidates[c].Rollout == 0 {
				continue
			}
			firsts.Add(c)
			if !t.s.rolling.Has(c) {
				break
			}
		}
	}
}

// lose notes for each store of r which candidate is before it.
func (t *tally) lose(r *Ranking) {
	if len(r.All) == 0 {
		return
	}
	first := max(0, slices.IndexFunc(r.All, func(e Ranked) bool { return !t.s.rolling.Has(e.Candidate) }))
	for i := range r.All {
		c := r.All[i].Candidate
		t.places[c]++
		if i <= first {
			continue
		}
		if t.lost[c] == nil {
			t.lost[c], t.by[c] = map[int]int{}, map[string]bool{}
		}
		t.lost[c][r.All[first].Candidate]++
		switch _, by := t.s.compare(r.lots, &r.All[first], &r.All[i]); by {
		case byPrice:
			t.by[c]["cheaper at the same score"] = true
		case byLot:
			t.by[c]["drawn by lot at the same score"] = true
		case byScore, byKind, byRole, byLittle:
			t.by[c]["better"] = true
		}
	}
}

// why returns why store i is first nowhere, and whether the reason is that other candidates are before it.
func (t *tally) why(i int) (reason string, beaten bool) {
	c := &t.s.Candidates[i]
	switch {
	case c.Rollout == 0:
		return "its rollout is 0", false
	case t.places[i] == 0:
		return "it serves no client that the server can recognise (serves: " + c.Serves.String() + ")", false
	case t.free.Has(i):
		return "route.pin sends all its clients to other candidates", false
	}
	names := slices.SortedFunc(maps.Keys(t.lost[i]), func(a, b int) int {
		return cmp.Or(cmp.Compare(t.lost[i][b], t.lost[i][a]), cmp.Compare(a, b))
	})
	if len(names) == 0 {
		return "no address family reaches it", false
	}
	who := t.s.Candidates[names[0]].Name + " is "
	if len(names) > 1 {
		who = "others are "
	}
	where := fmt.Sprintf(" at all %d places that it may serve", t.places[i])
	if t.places[i] == 1 {
		where = " at the one place that it may serve"
	}
	return who + strings.Join(slices.Sorted(maps.Keys(t.by[i])), " or ") + where + t.most(i, names), true
}

// most names the candidates that are mostly before i, when there are several.
func (t *tally) most(i int, names []int) string {
	if len(names) == 1 {
		return ""
	}
	var who []string
	for _, n := range names[:min(3, len(names))] {
		who = append(who, fmt.Sprintf("%s at %d", t.s.Candidates[n].Name, t.lost[i][n]))
	}
	if more := len(names) - len(who); more > 0 {
		who = append(who, fmt.Sprintf("%d more", more))
	}
	return ": " + strings.Join(who, ", ")
}

// Outside lists the places that no candidate serves at a cloud's own price, so that cheaper `internet` stores serve
// them.
func (s *Snapshot) Outside() []place.Place {
	var out []place.Place
	for _, p := range s.Places() {
		if s.rankings[p].Outside {
			out = append(out, p)
		}
	}
	return out
}
