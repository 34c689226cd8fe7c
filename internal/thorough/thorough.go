// Package thorough is for tests beside the code: it says how many cases of a long table to try. It knows no test and
// no other package.
//
// With OCIPROXY_SLOW=all, as `make test-exhaustive` sets it, tests try all cases; otherwise they try as many as take
// a few seconds. The selection is the same in every run.
package thorough

import "os"

// On reports whether tests try all cases.
func On() bool { return os.Getenv("OCIPROXY_SLOW") == "all" }

// Step returns the distance between the cases to try: n, or 1 to try all.
func Step(n int) int {
	if On() {
		return 1
	}
	return n
}

// Rounds returns the number of rounds of a random test: few, or all.
func Rounds[N int | uint64](few, all N) N {
	if On() {
		return all
	}
	return few
}
