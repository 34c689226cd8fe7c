package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// moves says which clients a change of the config sends elsewhere while all candidates work and hold everything. Only
// add fields; never remove one.
type moves struct {
	Places int    `json:"places"` // that the server can tell apart with this config
	Moved  []move `json:"moved"`  // sorted by place
}

// move is a part of the clients of a place that go elsewhere. A place has several when they go to, or come from,
// several candidates.
type move struct {
	Place string `json:"place"` // "unknown" for clients that the server cannot locate
	Was   string `json:"was"`   // the candidate that they leave
	Is    string `json:"is"`    // the one that they go to
	Share int    `json:"share"` // percent of the client networks of the place, about
}

// movesOf compares two configs with the same candidates, as both work at the time now: announced dates count. The error
// says why one of them cannot be ranked here.
func movesOf(is, was *config.Config, now time.Time) (*moves, error) {
	next, err := snapshot.Of(is.At(now))
	if err != nil {
		return nil, err
	}
	old, err := snapshot.Of(was.At(now))
	if err != nil {
		return nil, err
	}
	m := &moves{Moved: []move{}}
	for _, p := range next.Places() {
		if !p.IsZero() && !is.Ranges.Recognises(p.Cloud) {
			continue // its clients count as unknown
		}
		m.Places++
		client := &route.Client{Place: p}
		name := p.String()
		if p.IsZero() {
			name = "unknown"
		}
		m.between(next, name, spread(old, old.Ranking(client)), spread(next, next.Ranking(client)))
	}
	slices.SortStableFunc(m.Moved, func(a, b move) int { return strings.Compare(a.Place, b.Place) })
	return m, nil
}

// between adds the moves of a place. A change of one candidate either takes clients from others or gives some to them, so
// it is clear who goes where. If several lose and several gain, each loser's clients go to all gainers alike.
func (m *moves) between(s *route.Snapshot, place string, was, is []float64) {
	moved := 0.0
	for i := range was {
		moved += max(0, is[i]-was[i])
	}
	if moved < 1e-9 {
		return
	}
	nameOf := func(i int) string { return s.Candidates[i].Name }
	var all []move
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
			all = append(all, move{Place: place, Was: nameOf(i), Is: nameOf(j), Share: max(1, int(math.Round(share*100)))})
		}
	}
	slices.SortStableFunc(all, func(a, b move) int { return b.Share - a.Share })
	m.Moved = append(m.Moved, all...)
}

// shares returns for each place with moves how many percent of its client networks move.
func (m *moves) shares() map[string]int {
	out := map[string]int{}
	for _, v := range m.Moved {
		out[v.Place] += v.Share
	}
	return out
}

// spread returns the share of the client networks of a place that each candidate takes. It follows a ranking down to the
// first candidate that takes everybody. Which networks a rollout selects differs from store to store, so shares multiply.
func spread(s *route.Snapshot, r *route.Ranking) []float64 {
	out, left := make([]float64, len(s.Candidates)), 1.0
	for _, e := range r.All {
		takes := left * float64(s.Candidates[e.Candidate].Rollout) / 100
		out[e.Candidate] = takes
		left -= takes
	}
	return out
}

// maxMoves is how many kinds of moves are listed, and maxPlaces how many places of each.
const maxMoves, maxPlaces = 10, 3

// writeText writes how many places move, and together those that move alike.
func (m *moves) writeText(w io.Writer) error {
	fmt.Fprintf(w, "At %d of %d places this moves clients.\n", len(m.shares()), m.Places)
	places := map[move][]string{}
	for _, v := range m.Moved {
		alike := v
		alike.Place = ""
		places[alike] = append(places[alike], v.Place)
	}
	kinds := slices.SortedFunc(maps.Keys(places), func(a, b move) int {
		return cmp.Or(len(places[b])-len(places[a]), strings.Compare(places[a][0], places[b][0]))
	})
	t := cli.Table{}
	for _, k := range kinds[:min(maxMoves, len(kinds))] {
		at := strings.Join(places[k][:min(maxPlaces, len(places[k]))], ", ")
		if more := len(places[k]) - maxPlaces; more > 0 {
			at += fmt.Sprintf(" and %d more", more)
		}
		t.Row("  "+k.Was+" → "+k.Is, fmt.Sprintf("%d%% of the client networks", k.Share), at)
	}
	_, err := t.WriteTo(w)
	if more := len(kinds) - maxMoves; more > 0 && err == nil {
		_, err = fmt.Fprintf(w, "  and %d more: --output json lists all\n", more)
	}
	return err
}
