package solve_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/plan/solve"
	"ociproxy/internal/plan/solve/solvetest"
)

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return float64(u.Utime.Nano()) / 1e9
}

func TestTune(t *testing.T) {
	which := os.Getenv("TUNE")
	if which == "" {
		t.Skip()
	}
	run := func(name string, p *solve.Problem) {
		if !strings.Contains(name, which) {
			return
		}
		begin := cpu()
		first := 0.0
		r, err := solve.Solve(t.Context(), p, solve.Options{Time: 90 * time.Second, Nodes: 4000, Progress: func(pr solve.Progress) {
			if first == 0 {
				first = 100 * (1 - pr.Bound/pr.Objective)
			}
		}})
		t.Logf("%-12s cpu %6.2f nodes %5d root gap %.3f gap %.4f open %d obj %.4f %v", name, cpu()-begin, r.Nodes, first, 100*r.Gap(), len(r.Open), r.Objective, err)
	}
	run("fast.80", solvetest.Map(1, 80, 400, 2))
	run("fast.120", solvetest.Map(1, 120, 400, 2))
	run("fast.200", solvetest.Map(1, 200, 600, 2))
	run("uniform.60", solvetest.Uniform(8, 60, 330))
	run("uniform.80", solvetest.Uniform(8, 80, 330))
	run("plane.a", solvetest.Plane(5, 200, 600, 0))
	run("plane.b", solvetest.Plane(5, 200, 600, 0.1))
	run("plane.c", solvetest.Plane(5, 100, 400, 0.3))
	ten := solvetest.Plane(6, 200, 600, 0)
	ten.Min, ten.Max = 10, 10
	run("plane.ten", ten)
	ten = solvetest.Plane(6, 200, 600, 0)
	ten.Min, ten.Max = 40, 40
	run("plane.forty", ten)
}
