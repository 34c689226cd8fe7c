// Command plan measures the exact search for the best set of sites: seconds, nodes of the tree, whether the optimum was
// proven, and how long cbc takes for the same problem on the same machine in the same run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/internal/plan/solve"
	"ociproxy/internal/plan/solve/solvetest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench plan:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// instance is a problem with its name. The names say kind, sites × clients.
type instance struct {
	name    string
	problem *solve.Problem
}

func instances() (out []instance) {
	add := func(name string, p *solve.Problem, change func(p *solve.Problem)) {
		if change != nil {
			change(p)
		}
		out = append(out, instance{name, p})
	}
	for _, size := range [][2]int{{40, 330}, {200, 600}} {
		n, m := size[0], size[1]
		s := func(kind string) string { return fmt.Sprintf("%s_%dx%d", kind, n, m) }
		add(s("map"), solvetest.Map(1, n, m, 0.2), nil)
		add(s("map_money"), solvetest.Map(1, n, m, 0), nil)
		add(s("map_slow"), solvetest.Map(1, n, m, 0.02), nil)
		add(s("map_fast"), solvetest.Map(1, n, m, 2), nil)
		add(s("map_12_sites"), solvetest.Map(2, n, m, 0.2), func(p *solve.Problem) { p.Min, p.Max = 12, 12 })
		add(s("map_groups"), solvetest.Map(3, n, m, 0.2), func(p *solve.Problem) {
			g := make([]solve.Group, 4)
			for i := range p.Sites {
				g[i%4].Sites = append(g[i%4].Sites, i)
			}
			for i := range g {
				g[i].Min, g[i].Max = 2, 3
			}
			p.Groups = g
		})
		add(s("map_budget"), solvetest.Map(4, n, m, math.Inf(1)), func(p *solve.Problem) {
			free := *p
			free.PerMS = 0
			r, err := solve.Solve(context.Background(), &free, solve.Options{Time: 20 * time.Second})
			if err == nil {
				p.Budget = r.USD * 1.05
			}
		})
		add(s("plane"), solvetest.Plane(5, n, m, 0), nil)
		add(s("plane_10_sites"), solvetest.Plane(6, n, m, 0), func(p *solve.Problem) { p.Min, p.Max = 10, 10 })
		add(s("plane_noise"), solvetest.Plane(7, n, m, 0.1), nil)
		add(s("uniform"), solvetest.Uniform(8, n, m), nil)
	}
	return out
}

func run() error {
	limit := flag.Duration("limit", time.Minute, "the most time for one problem, of each solver")
	only := flag.String("only", "", "only the problems whose name has this in it")
	cbc := flag.Bool("cbc", true, "also solve with cbc")
	flag.Parse()
	program, err := exec.LookPath("cbc")
	if err != nil && *cbc {
		return fmt.Errorf("%w (Debian's package coinor-cbc; -cbc=false does without)", err)
	}
	dir, err := os.MkdirTemp("", "bench-plan-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var out []figures.Figure
	for _, i := range instances() {
		if !strings.Contains(i.name, *only) {
			continue
		}
		fig := func(name string, value float64, unit string) {
			f := figures.Figure{Name: "plan." + i.name + "." + name, Value: value, Unit: unit}
			out = append(out, f)
			fmt.Printf("%s %.3f %s\n", f.Name, f.Value, f.Unit)
		}
		begin := time.Now()
		res, err := solve.Solve(context.Background(), i.problem, solve.Options{Time: *limit})
		took := time.Since(begin).Seconds()
		if err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
		fig("time", took, "s")
		fig("nodes", float64(res.Nodes), "1")
		fig("gap", 100*res.Gap(), "%")
		fig("open", float64(len(res.Open)), "1")
		if *cbc {
			ctx, cancel := context.WithTimeout(context.Background(), *limit)
			begin = time.Now()
			value, err := solvetest.CBC(ctx, dir, program, i.problem)
			theirs := time.Since(begin).Seconds()
			cancel()
			fig("cbc", theirs, "s")
			if err == nil {
				fig("times_cbc", theirs/took, "1")
				if off := value/res.Objective - 1; math.Abs(off) > 1e-6 && res.Proven {
					err = errors.New("cbc found another optimum")
					return fmt.Errorf("%s: %w: %v, not %v", i.name, err, value, res.Objective)
				}
			}
		}
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "plan.json"), out)
}
