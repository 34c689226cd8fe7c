package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"ociproxy/bench/process"
)

// suite is a set of tests that run together.
type suite struct {
	name string
	what string
	// warm and cold are how long it takes on two idle cores, with and without Go's build cache.
	warm, cold time.Duration
	slow       string // OCIPROXY_SLOW
	runs       []run
}

// run is one call of go test.
type run struct {
	dir   string // of the module
	flags []string
	plain bool // without the race detector
	// only and without choose packages by the ends of their paths.
	only, without []string
	// first are the ends of the paths of the packages that take longest, longest first. The run begins with them, so
	// that none of them is left alone at the end.
	first []string
}

var suites = []suite{
	{name: "unit", what: "the tests beside the code", warm: 4 * time.Minute, cold: 10 * time.Minute, runs: []run{{dir: ".", flags: []string{"-timeout=20m"}}}},
	{name: "parts", what: "the tests with real servers and clients", warm: 6 * time.Minute, cold: 10 * time.Minute,
		runs: []run{{dir: "test", flags: []string{"-timeout=20m"}}}},
	{name: "slow", what: "the slow ones of those", warm: 15 * time.Minute, cold: 20 * time.Minute, slow: "1", runs: []run{
		// The test of faults measures how long pulls take to recover, so nothing else may run beside it.
		{dir: "test", flags: []string{"-timeout=30m", "-run=^TestSlow"}, only: []string{"/faults"}},
		{dir: "test", flags: []string{"-timeout=30m", "-run=^TestSlow"}, without: []string{"/faults"},
			first: []string{"/storeconform", "/rollout", "/promote", "/images", "/mirror", "/probe", "/release", "/gates", "/truth"}},
		// A simulation with one goroutine for each day.
		{dir: ".", flags: []string{"-timeout=30m", "-run=^TestSlow"}, only: []string{"/reach"}, plain: true},
	}},
	{name: "kube", what: "the chart on a real Kubernetes API server", warm: time.Minute, cold: 7 * time.Minute, slow: "1", runs: []run{
		{dir: "test", flags: []string{"-timeout=20m", "-run=^TestKube"}, only: []string{"/chart"}},
	}},
	{name: "infra", what: "the Terraform modules, with stubs in place of the providers", warm: 3 * time.Minute, cold: 10 * time.Minute, slow: "1", runs: []run{
		{dir: "test", flags: []string{"-timeout=20m", "-run=^TestInfra"}, only: []string{"/infra", "/infra/iam", "/infra/token", "/onesource"}},
	}},
	{name: "exhaustive", what: "every case of the longest tables", warm: 90 * time.Minute, cold: 95 * time.Minute, slow: "all",
		runs: []run{{dir: ".", flags: []string{"-timeout=3h"}}, {dir: "test", flags: []string{"-timeout=3h", "-run=^Test(Slow|Infra)"}}}},
}

// test runs suites one after the other, even when one fails, and then reports what failed.
func test(ctx context.Context, _ string, args []string) error {
	flags := flag.NewFlagSet("suite test", flag.ContinueOnError)
	more := flags.String("flags", "", "further `flags` of go test")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: suite test [FLAG…] SUITE…")
		for _, s := range suites {
			fmt.Fprintf(flags.Output(), "  %-11s %s\n", s.name, s.what)
		}
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		return err
	}
	// Go's cache of test results depends on the directory for temporary files.
	if err := restoreTemp(); err != nil {
		return err
	}
	return runSuites(ctx, os.Stdout, chosen, strings.Fields(*more))
}

func runSuites(ctx context.Context, out io.Writer, chosen []suite, more []string) error {
	took := lastTimes()
	fmt.Fprintln(out, announce(chosen, took))
	r := newReport(out, slices.ContainsFunc(more, verbose))
	var summary []string
	for _, s := range chosen {
		begin, failed := time.Now(), len(r.failed)
		if err := s.run(ctx, r, more); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		long := time.Since(begin).Round(time.Second)
		result := "ok"
		if len(r.failed) > failed {
			result = "failed"
		}
		summary = append(summary, fmt.Sprintf("%s %s in %v", s.name, result, long))
		if len(more) == 0 {
			took[s.name] = max(long, time.Second) // 0 would mean unknown
		}
	}
	saveTimes(took)
	r.slowest(10)
	fmt.Fprintf(out, "\n%s\n", strings.Join(summary, ", "))
	return r.err()
}

func suiteNamed(name string) suite {
	return suites[slices.IndexFunc(suites, func(s suite) bool { return s.name == name })]
}

// expected returns how long the suite took the last time here, or its usual time if that is unknown.
func (s suite) expected() time.Duration { return cmp.Or(lastTimes()[s.name], s.warm) }

func choose(names []string) ([]suite, error) {
	var chosen []suite
	for _, name := range names {
		i := slices.IndexFunc(suites, func(s suite) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no suite %q", name)
		}
		chosen = append(chosen, suites[i])
	}
	if len(chosen) == 0 {
		return nil, errors.New("which suite? (-h lists them)")
	}
	return chosen, nil
}

func verbose(flag string) bool { return flag == "-v" || flag == "--v" || flag == "-v=true" }

// announce says in advance how long the suites will take.
func announce(chosen []suite, took map[string]time.Duration) string {
	var names []string
	var last, warm, cold time.Duration
	known := true
	for _, s := range chosen {
		names = append(names, s.name)
		last, warm, cold = last+took[s.name], warm+s.warm, cold+s.cold
		known = known && took[s.name] > 0
	}
	about := fmt.Sprintf("about %s on two idle cores, %s when nothing is built yet", minutes(warm), minutes(cold))
	if known {
		about = fmt.Sprintf("%s the last time here", minutes(last))
	}
	return fmt.Sprintf("test: %s: %s", strings.Join(names, ", then "), about)
}

func minutes(d time.Duration) string {
	if d < 100*time.Second {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// run runs the suite. The error means that nothing could be run. Failed tests are in the report.
func (s suite) run(ctx context.Context, r *report, more []string) error {
	for _, one := range s.runs {
		args := slices.Concat([]string{"test", "-json"}, one.flags, more)
		if !one.plain {
			args = slices.Insert(args, 2, "-race")
		}
		list, err := one.packages(ctx)
		if err != nil {
			return err
		}
		cmd := process.Command(ctx, "go", append(args, list...)...)
		cmd.Dir, cmd.Stderr = one.dir, os.Stderr
		// Use an interrupt: go test then removes what it has built, and waits for the tests.
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
		// With the race detector a program sleeps for a second before it ends.
		cmd.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, os.Environ()...)
		if s.slow != "" {
			cmd.Env = append(cmd.Env, "OCIPROXY_SLOW="+s.slow)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		stop, err := process.Start(cmd)
		if err != nil {
			return err
		}
		failed := len(r.failed)
		err = errors.Join(r.read(out), cmd.Wait())
		stop()
		if err != nil && len(r.failed) == failed {
			r.failed = append(r.failed, fmt.Sprintf("go test in %s: %v", one.dir, err))
		}
	}
	return nil
}

// packages returns the packages to pass to go test.
func (r run) packages(ctx context.Context) ([]string, error) {
	if r.only == nil && r.without == nil {
		return []string{"./..."}, nil
	}
	all, err := packages(ctx, r.dir, "./...")
	var list []string
	for _, p := range all {
		ends := func(with string) bool { return strings.HasSuffix(p.ImportPath, with) }
		if slices.ContainsFunc(r.only, ends) || r.without != nil && !slices.ContainsFunc(r.without, ends) {
			list = append(list, p.ImportPath)
		}
	}
	rank := func(path string) int {
		i := slices.IndexFunc(r.first, func(end string) bool { return strings.HasSuffix(path, end) })
		if i < 0 {
			return len(r.first)
		}
		return i
	}
	slices.SortStableFunc(list, func(a, b string) int { return rank(a) - rank(b) })
	return list, err
}
