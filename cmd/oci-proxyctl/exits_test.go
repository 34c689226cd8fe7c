package main

import (
	"testing"

	"ociproxy/internal/cli"
)

// TestEachCommandTellsItsExitCodes: scripts depend on them, and those of other commands mislead.
func TestEachCommandTellsItsExitCodes(t *testing.T) {
	if untold := cli.Untold((&app{env: func(string) string { return "" }}).root()); len(untold) > 0 {
		t.Errorf("of these the help does not tell what it should: %q", untold)
	}
}
