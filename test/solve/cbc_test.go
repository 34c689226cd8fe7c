// Package solve compares the search for the best set of regions with cbc, which finds it in another way.
package solve

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/plan/solve"
	"ociproxy/internal/plan/solve/solvetest"
	"ociproxy/test/parts"
)

// TestSlowOptimumIsThatOfCBC: cbc proves the same optimum, for each kind of problem.
func TestSlowOptimumIsThatOfCBC(t *testing.T) {
	parts.Slow(t)
	cbc := parts.Find(t, "cbc")
	var all []solvetest.Instance
	for _, i := range solvetest.Instances(40, 330) {
		if strings.HasPrefix(i.Name, "map") {
			all = append(all, i)
		}
	}
	for _, i := range solvetest.Instances(200, 600) { // the others take cbc minutes
		if slices.Contains([]string{"map_200x600", "map_12_sites_200x600"}, i.Name) {
			all = append(all, i)
		}
	}
	for _, i := range solvetest.Instances(16, 60) {
		if !strings.HasPrefix(i.Name, "map") {
			all = append(all, i)
		}
	}
	for _, i := range all {
		t.Run(i.Name, func(t *testing.T) {
			got, err := solve.Solve(t.Context(), i.Problem, solve.Options{})
			if err != nil || !got.Proven {
				t.Fatalf("%+v, %v", got, err)
			}
			want, _, err := solvetest.CBC(t.Context(), t.TempDir(), cbc, i.Problem)
			if err != nil {
				t.Fatal(err)
			}
			// cbc's tolerance for rows and whole numbers is 1e-6.
			if off := math.Abs(got.Objective/want - 1); off > 1e-6 {
				t.Errorf("%v, cbc has %v", got.Objective, want)
			}
		})
	}
}
