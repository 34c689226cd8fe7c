// Command plan measures the exact search for the best set of sites: seconds, nodes of the tree, whether the optimum was
// proven, and how much longer cbc takes for the same problem on the same machine in the same run. Both are measured in
// seconds of a processor (cpu), because a busy machine makes others meaningless; time is what an operator waits.
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
	"syscall"
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

// bench is one run.
type bench struct {
	limit  time.Duration
	cbc    string // the program; empty: without
	dir    string
	prefix string
	out    []figures.Figure
}

func (b *bench) fig(name string, value float64, unit string) {
	f := figures.Figure{Name: b.prefix + name, Value: value, Unit: unit}
	b.out = append(b.out, f)
	fmt.Fprintf(os.Stderr, "%s %.3f %s\n", f.Name, f.Value, f.Unit)
}

// clock measures both kinds of seconds.
func (b *bench) clock(f func() error) (cpu float64, err error) {
	begin, used := time.Now(), processor()
	err = f()
	cpu = processor() - used
	b.fig("time", time.Since(begin).Seconds(), "s")
	b.fig("cpu", cpu, "s")
	return cpu, err
}

// processor returns how many seconds this process has had a processor.
func processor() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func run() (err error) {
	limit := flag.Duration("limit", time.Minute, "the most time for one problem, of each solver")
	only := flag.String("only", "", "only the problems whose name has this in it")
	cbc := flag.Bool("cbc", true, "also solve with cbc")
	flag.Parse()
	b := bench{limit: *limit}
	if *cbc {
		if b.cbc, err = exec.LookPath("cbc"); err != nil {
			return fmt.Errorf("%w (Debian's package coinor-cbc; -cbc=false does without)", err)
		}
	}
	if b.dir, err = os.MkdirTemp("", "bench-plan-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	small, large := solvetest.Instances(40, 330), solvetest.Instances(200, 600)
	for _, i := range append(small, large...) {
		if strings.Contains(i.Name, *only) {
			b.prefix = "plan." + i.Name + "."
			if err := b.one(i.Problem); err != nil {
				return fmt.Errorf("%s: %w", i.Name, err)
			}
		}
	}
	for _, s := range []struct {
		name  string
		solve func(context.Context, *solve.Problem, solve.Options) ([]solve.Result, error)
	}{{"every_number_40x330", solve.ByCount}, {"frontier_40x330", solve.Frontier}} {
		if strings.Contains(s.name, *only) {
			b.prefix = "plan." + s.name + "."
			if err := b.series(small[0].Problem, s.solve); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "plan.json"), b.out)
}

// one solves a problem with both.
func (b *bench) one(p *solve.Problem) error {
	var res solve.Result
	cpu, err := b.clock(func() (err error) {
		res, err = solve.Solve(context.Background(), p, solve.Options{Time: b.limit})
		return err
	})
	if err != nil {
		return err
	}
	b.fig("nodes", float64(res.Nodes), "1")
	b.fig("gap", 100*res.Gap(), "%")
	if b.cbc == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.limit)
	defer cancel()
	value, took, err := solvetest.CBC(ctx, b.dir, b.cbc, p)
	if err != nil {
		b.fig("cbc_in_vain", took.Seconds(), "s")
		return nil
	}
	b.fig("cbc", took.Seconds(), "s")
	b.fig("vs_cbc", took.Seconds()/cpu, "1")
	if off := value/res.Objective - 1; math.Abs(off) > 1e-6 && res.Proven {
		return fmt.Errorf("cbc has the optimum %v, not %v", value, res.Objective)
	}
	return nil
}

// series solves many problems at once.
func (b *bench) series(p *solve.Problem, all func(context.Context, *solve.Problem, solve.Options) ([]solve.Result, error)) error {
	var sets int
	worst := 0.0
	_, err := b.clock(func() error {
		results, err := all(context.Background(), p, solve.Options{Time: b.limit})
		sets = len(results)
		for i := range results {
			worst = max(worst, 100*results[i].Gap())
		}
		return err
	})
	b.fig("sets", float64(sets), "1")
	b.fig("gap", worst, "%")
	return err
}
