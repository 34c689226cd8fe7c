package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ociproxy/internal/cli"
	"ociproxy/internal/replay"
)

// maxMoves is how many kinds of moves are listed, and maxPlaces how many places of each.
const maxMoves, maxPlaces = 10, 3

// writeMoves writes how many places move, and together those that move alike.
func writeMoves(w io.Writer, m *replay.Moves) error {
	fmt.Fprintf(w, "At %d of %d places this moves clients.\n", len(m.Shares()), m.Places)
	places := map[replay.Move][]string{}
	for _, v := range m.Moved {
		alike := v
		alike.Place = ""
		places[alike] = append(places[alike], v.Place)
	}
	kinds := slices.SortedFunc(maps.Keys(places), func(a, b replay.Move) int {
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
