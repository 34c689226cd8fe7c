package main

import (
	"errors"
	"testing"

	"ociproxy/internal/cli"
	"ociproxy/internal/provision"
)

// A bucket of which something is not known does not end with 0, which says that it is as it should be.
func TestCreatedExit(t *testing.T) {
	for _, c := range []struct {
		state       provision.State
		unsure      bool
		dry, really int
	}{
		{provision.Good, false, cli.CodeOK, cli.CodeOK},
		{provision.Changed, false, cli.CodeOK, cli.CodeOK},
		{provision.Unsupported, false, cli.CodeOK, cli.CodeOK},
		{provision.ByHand, false, cli.CodeOK, cli.CodeOK},
		{provision.Missing, false, cli.CodeDifferent, cli.CodePartial},
		{provision.Missing, true, cli.CodeOK, cli.CodePartial},
		{provision.Blocked, false, cli.CodeDifferent, cli.CodeDifferent},
		{provision.Unknown, false, cli.CodePartial, cli.CodePartial},
		{provision.Failed, false, cli.CodePartial, cli.CodePartial},
	} {
		for _, dry := range []bool{true, false} {
			want := map[bool]int{true: c.dry, false: c.really}[dry]
			doc := created{DryRun: dry, Report: &provision.Report{Findings: []provision.Finding{{State: provision.Good}, {State: c.state, Unsure: c.unsure}}}}
			if dry {
				doc.Changes = doc.Count(provision.Missing) - doc.unsure()
			}
			got := cli.CodeOK
			if err := doc.exit(); err != nil {
				var e *cli.Error
				if got = -1; errors.As(err, &e) {
					got = e.Code
				}
			}
			if got != want {
				t.Errorf("%s, unsure %v, dry run %v: exit %d, want %d", c.state, c.unsure, dry, got, want)
			}
		}
	}
}
