package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

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

// move is a place whose clients go elsewhere.
type move struct {
	Place string `json:"place"` // "unknown" for clients that the server cannot locate
	Was   string `json:"was"`   // the first candidate, with its rollout above 0
	Is    string `json:"is"`
	Share int    `json:"share"` // percent of the client networks of the place that move, about
}

// movesOf compares two configs. The error says why one of them cannot be ranked here.
func movesOf(is, was *config.Config) (*moves, error) {
	next, err := snapshot.Of(is)
	if err != nil {
		return nil, err
	}
	old, err := snapshot.Of(was)
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
		a, b := spread(old, old.Ranking(client)), spread(next, next.Ranking(client))
		share := 0.0
		for i := range a.shares { // both configs have the same candidates, in the same order
			share += math.Abs(a.shares[i]-b.shares[i]) / 2
		}
		if share == 0 {
			continue
		}
		name := p.String()
		if p.IsZero() {
			name = "unknown"
		}
		m.Moved = append(m.Moved, move{Place: name, Was: a.first, Is: b.first, Share: max(1, int(math.Round(share*100)))})
	}
	slices.SortFunc(m.Moved, func(a, b move) int { return strings.Compare(a.Place, b.Place) })
	return m, nil
}

// shares is how the client networks of a place are spread over the candidates.
type shares struct {
	shares []float64 // by candidate
	first  string    // the first one that takes any; "none"
}

// spread follows a ranking down to the first candidate that takes everybody. Which networks a rollout selects differs
// from store to store, so shares multiply.
func spread(s *route.Snapshot, r *route.Ranking) shares {
	out, left := shares{shares: make([]float64, len(s.Candidates)), first: "none"}, 1.0
	for _, e := range r.All {
		c := &s.Candidates[e.Candidate]
		takes := left * float64(c.Rollout) / 100
		if takes > 0 && out.first == "none" {
			out.first = c.Name
		}
		out.shares[e.Candidate] = takes
		left -= takes
	}
	return out
}

// maxMoves is how many kinds of moves are listed, and maxPlaces how many places of each.
const maxMoves, maxPlaces = 10, 3

// writeText writes how many places move, and together those that move alike.
func (m *moves) writeText(w io.Writer) error {
	fmt.Fprintf(w, "At %d of %d places this moves clients.\n", len(m.Moved), m.Places)
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
		to := k.Was + " → " + k.Is
		if k.Was == k.Is {
			to = k.Is + " stays first"
		}
		at := strings.Join(places[k][:min(maxPlaces, len(places[k]))], ", ")
		if more := len(places[k]) - maxPlaces; more > 0 {
			at += fmt.Sprintf(" and %d more", more)
		}
		t.Row("  "+to, fmt.Sprintf("%d%% of the client networks", k.Share), at)
	}
	_, err := t.WriteTo(w)
	if more := len(kinds) - maxMoves; more > 0 && err == nil {
		_, err = fmt.Fprintf(w, "  and %d more: --output json lists all\n", more)
	}
	return err
}
