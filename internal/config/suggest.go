package config

import "strings"

// Suggest is the known word nearest to what was written, or "" when none is near enough to be meant. Case, `-`, `_` and
// a plural s cost nothing much: those are the usual slips.
func Suggest(word string, known []string) string {
	best, bound := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(fold(word), fold(k)); d < bound || d == bound && best == "" {
			best, bound = k, d
		}
	}
	if best == word {
		return ""
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s))
}

// distance is the number of letters to insert, delete, change or swap with their neighbour (optimal string alignment).
func distance(a, b string) int {
	const longest = 80 // a word longer than this is no slip of a known one
	if len(a) > longest || len(b) > longest {
		return longest
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
