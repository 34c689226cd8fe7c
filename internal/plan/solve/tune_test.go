package solve_test

import (
	"os"
	"testing"
	"time"

	"ociproxy/internal/plan/solve"
	"ociproxy/internal/plan/solve/solvetest"
)

func TestTune(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	p := solvetest.Map(1, 200, 600, 2)
	if os.Getenv("TUNE") == "plane" {
		p = solvetest.Plane(7, 200, 600, 0.1)
	}
	if os.Getenv("TUNE") == "uniform" {
		p = solvetest.Uniform(8, 200, 600)
	}
	begin := time.Now()
	r, err := solve.Solve(t.Context(), p, solve.Options{Time: 30 * time.Second, Progress: func(pr solve.Progress) {
		if pr.Nodes < 200 || pr.Nodes%512 == 1 {
			t.Log(time.Since(begin), pr.Nodes, pr.Objective, pr.Bound, 100*(1-pr.Bound/pr.Objective))
		}
	}})
	t.Log(r, err, time.Since(begin))
}
