package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/bench/process"
)

// plan says how often tests are run.
type plan struct {
	runs, rest, suites int
	jobs, busy         int
	quick, limit       time.Duration
	keep, list         string
}

// flaky runs tests many times while the cores are busy, and reports which tests ever failed.
func flaky(ctx context.Context, dir string, args []string) error {
	p := plan{}
	flags := flag.NewFlagSet("scripts/flaky.sh", flag.ContinueOnError)
	flags.DurationVar(&p.quick, "quick", time.Second, "a test is quick that takes less")
	flags.IntVar(&p.runs, "runs", 100, "runs of each quick test beside the code, and of those in the list of those that ever failed by chance")
	flags.IntVar(&p.rest, "rest", 10, "runs of each other test beside the code")
	flags.IntVar(&p.suites, "suites", 2, "runs of each test with real parts, the slow ones too")
	flags.IntVar(&p.busy, "busy", runtime.NumCPU(), "busy loops beside the tests")
	flags.IntVar(&p.jobs, "jobs", runtime.NumCPU(), "packages side by side")
	flags.DurationVar(&p.limit, "limit", 0, "ends the whole; what was not run by then is red (default four times what it will take by its own reckoning)")
	flags.StringVar(&p.keep, "keep", filepath.Join(".cache", "flaky"), "directory for the output of red runs and for the table")
	flags.StringVar(&p.list, "list", filepath.Join("scripts", "flaky.txt"), "tests that ever failed by chance")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `usage: scripts/flaky.sh [FLAG…] [PACKAGE…]

Runs tests with the race detector beside busy loops, and prints how often each ran, how often it was red, and its longest run.
A PACKAGE is ./internal/x, ./test/x or a pattern with ...; without one, all of both modules. It fails when anything was
red once. It first says how long it will take: hours, for all.

`)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	f := &flakes{plan: p, dir: dir, table: map[name]*row{}}
	if err := f.find(ctx, flags.Args()); err != nil {
		return err
	}
	if err := f.prepare(ctx); err != nil {
		return err
	}
	begin := time.Now()
	err := f.run(ctx)
	if e := f.print(os.Stdout, time.Since(begin)); err == nil {
		err = e
	}
	return err
}

// flakes is one run of the flaky command.
type flakes struct {
	plan
	dir    string
	units  []*binary // tests beside the code
	suites []*binary // of the test module
	listed []name

	mu    sync.Mutex
	table map[name]*row
	kept  []string // files with the output of red runs
}

// binary is the compiled tests of a package.
type binary struct {
	pkg
	file  string
	long  time.Duration // duration of one run of all tests
	tests []timed
	red   bool // a run failed, so not all tests may have run
	env   []string
}

// name identifies a test.
type name struct{ pkg, test string }

// row is what is known about a test.
type row struct {
	runs, failures int
	longest        time.Duration
}

// find finds the packages. patterns are as on the command line.
func (f *flakes) find(ctx context.Context, patterns []string) error {
	unit, suite := []string{"./..."}, []string{"./..."}
	if len(patterns) > 0 {
		unit, suite = nil, nil
	}
	for _, pattern := range patterns {
		if inner, ok := strings.CutPrefix(pattern, "./test/"); ok {
			suite = append(suite, "./"+inner)
		} else if pattern == "./test" {
			suite = append(suite, ".")
		} else {
			unit = append(unit, pattern)
		}
	}
	for _, part := range []struct {
		dir      string
		patterns []string
		into     *[]*binary
		env      []string
	}{
		{".", unit, &f.units, []string{"TMPDIR=" + f.dir}},
		// The tests of the test module make their own temporary directory, whose name must be short.
		{"test", suite, &f.suites, []string{"OCIPROXY_SLOW=1", "OCIPROXY_REQUIRE_PARTS=1"}},
	} {
		if len(part.patterns) == 0 || part.dir == "test" && f.plan.suites == 0 {
			continue
		}
		list, err := packages(ctx, part.dir, part.patterns...)
		if err != nil {
			return err
		}
		for _, p := range list {
			*part.into = append(*part.into, &binary{pkg: p, env: part.env})
		}
	}
	if len(f.units)+len(f.suites) == 0 {
		return errors.New("no package has tests")
	}
	var err error
	f.listed, err = readList(f.list)
	return err
}

// readList reads the list of tests that ever failed by chance. Each line has a package and a test; comments begin
// with #.
func readList(file string) ([]name, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []name
	for line := range strings.Lines(string(text)) {
		words, _, _ := strings.Cut(line, "#")
		switch fields := strings.Fields(words); len(fields) {
		case 0:
		case 2:
			list = append(list, name{fields[0], fields[1]})
		default:
			return nil, fmt.Errorf("%s: %q is not a package and a test", file, strings.TrimSpace(line))
		}
	}
	return list, nil
}

// prepare installs parts, compiles everything and runs the tests beside the code once. The busy loops do not run yet.
func (f *flakes) prepare(ctx context.Context) error {
	if len(f.suites) > 0 {
		parts := process.Command(ctx, filepath.Join("scripts", "parts.sh"), "unit", "test", "slow")
		parts.Stdout, parts.Stderr = os.Stderr, os.Stderr
		if err := parts.Run(); err != nil {
			return fmt.Errorf("scripts/parts.sh: %w", err)
		}
	}
	if err := os.RemoveAll(f.keep); err != nil {
		return err
	}
	if err := os.MkdirAll(f.keep, 0o755); err != nil {
		return err
	}
	all := slices.Concat(f.units, f.suites)
	fmt.Fprintf(os.Stderr, "flaky: compiles %d packages and runs those beside the code once, to see how long their tests take\n", len(all))
	var failed error
	each(f.jobs, all, func(b *binary) {
		file, err := b.compile(ctx, f.dir, "-race")
		b.file = file
		f.mu.Lock()
		defer f.mu.Unlock()
		failed = errors.Join(failed, err)
	})
	if failed != nil {
		return failed
	}
	each(f.jobs, f.units, func(b *binary) {
		begin := time.Now()
		b.tests = f.once(ctx, b, nil, 1, time.Hour)
		b.long = time.Since(begin)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.checkList()
}

// checkList checks that all listed tests exist. Otherwise a renamed test would be left out without notice.
func (f *flakes) checkList() error {
	for _, n := range f.listed {
		for _, b := range f.units {
			if !b.red && short(b.ImportPath) == n.pkg && !slices.ContainsFunc(b.tests, func(t timed) bool { return t.test == n.test }) {
				return fmt.Errorf("%s names %s %s, which is not there", f.list, n.pkg, n.test)
			}
		}
	}
	return nil
}

// batch is some tests of a package and how often they run.
type batch struct {
	*binary
	names []string // nil: all
	runs  int
	long  time.Duration // of one run
}

// batches splits a package's tests into those that run often, and the rest.
func (f *flakes) batches(b *binary) []batch {
	often, rest := batch{binary: b, runs: f.runs}, batch{binary: b, runs: f.rest}
	for _, t := range b.tests {
		long := time.Duration(t.seconds * float64(time.Second))
		of := &rest
		if long < f.quick || slices.Contains(f.listed, name{short(b.ImportPath), t.test}) {
			of = &often
		}
		of.names, of.long = append(of.names, t.test), of.long+long
	}
	return slices.DeleteFunc([]batch{often, rest}, func(b batch) bool { return len(b.names) == 0 || b.runs == 0 })
}

// run runs everything beside the busy loops.
func (f *flakes) run(ctx context.Context) error {
	var units, suites []batch
	var long time.Duration
	for _, b := range f.units {
		for _, one := range f.batches(b) {
			units, long = append(units, one), long+one.long*time.Duration(one.runs)
		}
	}
	for _, b := range f.suites {
		suites = append(suites, batch{binary: b, runs: f.plan.suites, long: 10 * time.Minute})
	}
	// The busy loops take half of each core's time.
	about := 2 * long / time.Duration(f.jobs)
	if len(suites) > 0 {
		about += 2 * time.Duration(f.plan.suites) * (suiteNamed("parts").expected() + suiteNamed("slow").expected())
	}
	limit := f.limit
	if limit == 0 {
		limit = 4*about + 10*time.Minute
	}
	fmt.Fprintf(os.Stderr, "flaky: about %s, ends after %s at the latest; red runs are kept in %s\n", minutes(about), minutes(limit), f.keep)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop, err := f.spin(ctx)
	defer stop()
	if err != nil {
		return err
	}
	each(f.jobs, units, func(b batch) { f.repeat(ctx, b) })
	// The test of faults measures how long pulls take to recover, so no other test may run beside it.
	isAlone := func(b batch) bool { return strings.HasSuffix(b.ImportPath, "/faults") }
	for _, b := range suites {
		if isAlone(b) {
			f.repeat(ctx, b)
		}
	}
	each(f.jobs, slices.DeleteFunc(suites, isAlone), func(b batch) { f.repeat(ctx, b) })
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("not finished within %v", limit)
	}
	return ctx.Err()
}

// spin starts the busy loops, each in its own process. stop ends them, also after an error.
func (f *flakes) spin(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, one := range stops {
			one()
		}
	}
	self, err := os.Executable()
	for range f.busy {
		if err != nil {
			break
		}
		var one func()
		one, err = process.Start(process.Command(ctx, self, "spin"))
		stops = append(stops, one)
	}
	return stop, err
}

// spinForever is the work of a busy loop's process.
func spinForever() {
	runtime.GOMAXPROCS(1)
	for { //nolint:staticcheck // an empty loop is meant
	}
}

// repeat runs a batch. It uses a new process for every few runs, for two reasons: what a test leaves behind in its
// process could hide or cause a fault, and a test that ends its process early must not end all runs.
func (f *flakes) repeat(ctx context.Context, b batch) {
	const perProcess = 10
	begin := time.Now()
	for left := b.runs; left > 0; left -= perProcess {
		n := min(left, perProcess)
		f.once(ctx, b.binary, b.names, n, 10*time.Minute+20*b.long*time.Duration(n))
		if ctx.Err() != nil {
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	what := "all tests"
	if b.names != nil {
		what = fmt.Sprintf("%d tests", len(b.names))
	}
	failures := 0
	for n, r := range f.table {
		if n.pkg == short(b.ImportPath) {
			failures += r.failures
		}
	}
	fmt.Fprintf(os.Stderr, "flaky: %s: %d times %s in %v, %d failures\n", short(b.ImportPath), b.runs, what, time.Since(begin).Round(time.Second), failures)
}
