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
	for _, i := range append(solvetest.Instances(40, 330), solvetest.Instances(200, 600)...) {
		if !strings.Contains(i.Name, *only) {
			continue
		}
		fig := func(name string, value float64, unit string) {
			f := figures.Figure{Name: "plan." + i.Name + "." + name, Value: value, Unit: unit}
			out = append(out, f)
			fmt.Printf("%s %.3f %s\n", f.Name, f.Value, f.Unit)
		}
		begin := time.Now()
		res, err := solve.Solve(context.Background(), i.Problem, solve.Options{Time: *limit})
		took := time.Since(begin).Seconds()
		if err != nil {
			return fmt.Errorf("%s: %w", i.Name, err)
		}
		fig("time", took, "s")
		fig("nodes", float64(res.Nodes), "1")
		fig("gap", 100*res.Gap(), "%")
		fig("open", float64(len(res.Open)), "1")
		if *cbc {
			ctx, cancel := context.WithTimeout(context.Background(), *limit)
			begin = time.Now()
			value, err := solvetest.CBC(ctx, dir, program, i.Problem)
			theirs := time.Since(begin).Seconds()
			cancel()
			fig("cbc", theirs, "s")
			if err == nil {
				fig("times_cbc", theirs/took, "1")
				if off := value/res.Objective - 1; math.Abs(off) > 1e-6 && res.Proven {
					err = errors.New("cbc found another optimum")
					return fmt.Errorf("%s: %w: %v, not %v", i.Name, err, value, res.Objective)
				}
			}
		}
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "plan.json"), out)
}
