package replay

import (
	"math"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// Moves says which clients a change of the config sends elsewhere while all candidates work and hold everything. Only
// add fields; never remove one.
type Moves struct {
	Places int    `json:"places"` // that the server can tell apart with this config
	Moved  []Move `json:"moved"`  // sorted by place
}

// Move is a part of the clients of a place that go elsewhere. A place has several when they go to, or come from,
// several candidates.
type Move struct {
	Place string `json:"place"` // "unknown" for clients that the server cannot locate
	Was   string `json:"was"`   // the candidate that they leave
	Is    string `json:"is"`    // the one that they go to
	Share int    `json:"share"` // percent of the client networks of the place, about
}

// Predict compares two configs as both work at the time now: announced dates count. It looks at blobs, and at clients
// that no pin and no direct name confines. The error says why one of the configs cannot be used for routing here.
func Predict(is, was *config.Config, now time.Time) (*Moves, error) {
	next, err := snapshot.Of(is.At(now))
	if err != nil {
		return nil, err
	}
	old, err := snapshot.Of(was.At(now))
	if err != nil {
		return nil, err
	}
	m := &Moves{Moved: []Move{}}
	all := newUnion(old, next)
	for _, p := range next.Places() {
		if !p.IsZero() && !is.Ranges.Recognises(p.Cloud) {
			continue // its clients count as unknown
		}
		m.Places++
		client := &route.Client{Place: p}
		m.between(all.names, placeName(p.String()), all.spread(old, client, all.old), all.spread(next, client, all.next))
	}
	slices.SortStableFunc(m.Moved, func(a, b Move) int { return strings.Compare(a.Place, b.Place) })
	return m, nil
}

// unknownPlace stands for clients that the server cannot locate.
const unknownPlace = "unknown"

func placeName(place string) string {
	if place == "" {
		return unknownPlace
	}
	return place
}

// between adds the moves of a place. A change of one candidate either takes clients from others or gives some to them, so
// it is clear who goes where. If several lose and several gain, each loser's clients go to all gainers alike.
func (m *Moves) between(names []string, place string, was, is []float64) {
	moved := 0.0
	for i := range was {
		moved += max(0, is[i]-was[i])
	}
	if moved < 1e-9 {
		return
	}
	var all []Move
	for i := range was {
		for j := range is {
			lost, gained := was[i]-is[i], is[j]-was[j]
			if lost <= 0 || gained <= 0 {
				continue
			}
			share := lost * gained / moved
			if share < 0.005 && share < moved/2 {
				continue // the rest of a long row of rollouts; a small change as a whole is shown
			}
			all = append(all, Move{Place: place, Was: names[i], Is: names[j], Share: max(1, int(math.Round(share*100)))})
		}
	}
	slices.SortStableFunc(all, func(a, b Move) int { return b.Share - a.Share })
	m.Moved = append(m.Moved, all...)
}

// Shares returns for each place with moves how many percent of its client networks move.
func (m *Moves) Shares() map[string]int {
	out := map[string]int{}
	for _, v := range m.Moved {
		out[v.Place] += v.Share
	}
	return out
}

// Half returns at how many places half of the client networks move, or more.
func (m *Moves) Half() (places int) {
	for _, share := range m.Shares() {
		if share >= 50 {
			places++
		}
	}
	return places
}

// union has the candidates of two configs. A candidate of both configs that has another host in the new one counts as
// two candidates, because its clients go to another server.
type union struct {
	names     []string
	old, next []int // by the index in the config's own snapshot: the index in names
}

func newUnion(old, next *route.Snapshot) *union {
	u := &union{}
	hosts := map[string]int{}
	for i := range old.Candidates {
		c := &old.Candidates[i]
		hosts[c.Name] = i
		u.old = append(u.old, u.add(c.Name))
	}
	for i := range next.Candidates {
		c := &next.Candidates[i]
		was, both := hosts[c.Name]
		switch {
		case !both:
			u.next = append(u.next, u.add(c.Name))
		case old.Candidates[was].Host() == c.Host():
			u.next = append(u.next, u.old[was])
		default:
			u.next = append(u.next, u.add(c.Name+" at "+c.Host()))
		}
	}
	return u
}

// add returns the index of a new name.
func (u *union) add(name string) int {
	u.names = append(u.names, name)
	return len(u.names) - 1
}

// spread returns the share of the client networks of c's place that each candidate takes. It follows a ranking down to
// the first candidate that takes everybody, and what is left goes to canonical. Which networks a rollout selects differs
// from store to store, so shares multiply.
func (u *union) spread(s *route.Snapshot, c *route.Client, index []int) []float64 {
	out, left := make([]float64, len(u.names)), 1.0
	for _, e := range s.Ranking(c).All {
		takes := left * float64(s.Candidates[e.Candidate].Rollout) / 100
		out[index[e.Candidate]] = takes
		left -= takes
	}
	out[index[s.Canonical]] += left
	return out
}
