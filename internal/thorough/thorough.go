// Package thorough is for tests beside the code: it says how many cases of a long table to try. It knows no test and
// no other package.
//
// With OCIPROXY_SLOW=all, as `make test-exhaustive` sets it, tests try all cases; otherwise they try as many as take
// a few seconds. The selection is the same in every run.
package thorough

import "os"

// On reports whether everything is tried.
func On() bool { return os.Getenv("OCIPROXY_SLOW") == "all" }

// Step is how far the cases that are tried lie apart: n, or 1 when all are.
func Step(n int) int {
	if On() {
		return 1
	}
	return n
}

// Rounds is how many rounds a random test makes: few, or all.
func Rounds[N int | uint64](few, all N) N {
	if On() {
		return all
	}
	return few
}
