package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ociproxy/bench/process"
)

// target is a fuzz target of a package.
type target struct {
	pkg
	binary string
	fuzz   string // the target's name
}

func (t target) String() string { return strings.TrimPrefix(t.ImportPath, "ociproxy/") + " " + t.fuzz }

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// fuzz runs the targets in parallel. The failing inputs of a target are below testdata/fuzz in its package.
func fuzz(ctx context.Context, dir string, args []string) error {
	flags := flag.NewFlagSet("suite fuzz", flag.ContinueOnError)
	long := flags.Duration("time", 20*time.Second, "for each target, beyond its seeds")
	jobs := flags.Int("jobs", 2, "targets side by side, each on one core")
	seeds := flags.Bool("seeds", false, "begin with the seeds alone, not with what earlier runs found interesting: as long on every machine")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: suite fuzz [FLAG…] [FuzzTARGET|PACKAGE…]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	targets, err := findTargets(ctx, flags.Args())
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "fuzz: %d targets, %v each, %d at a time: %v, and what compiling takes (a minute or two with a cold cache)\n",
		len(targets), *long, *jobs, (time.Duration((len(targets)+*jobs-1) / *jobs) * (*long + time.Second)).Round(time.Second))
	if err := compileTargets(ctx, dir, targets); err != nil {
		return err
	}
	corpus, err := goEnv(ctx, "GOCACHE")
	if err != nil {
		return err
	}
	if corpus = filepath.Join(corpus, "fuzz"); *seeds {
		corpus = filepath.Join(dir, "corpus")
	}
	var failed []string
	var mu sync.Mutex
	each(*jobs, targets, func(t target) {
		line, err := t.run(ctx, *long, filepath.Join(corpus, t.ImportPath))
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			failed = append(failed, t.String())
			line = err.Error()
		}
		fmt.Printf("%-42v %s\n", t, line)
	})
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d targets failed: %s\nhint: the input is in testdata/fuzz of the package; it is committed as a seed with what mends it",
			len(failed), len(targets), strings.Join(failed, ", "))
	}
	return ctx.Err()
}

// findTargets lists the targets of the module. names has targets and packages; if it is empty, all are listed.
func findTargets(ctx context.Context, names []string) ([]target, error) {
	isTarget := func(name string) bool { return strings.HasPrefix(name, "Fuzz") }
	patterns := slices.DeleteFunc(slices.Clone(names), isTarget)
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	all, err := packages(ctx, ".", patterns...)
	if err != nil {
		return nil, err
	}
	var out []target
	for _, p := range all {
		for _, file := range p.tests() {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				return nil, err
			}
			for _, m := range fuzzFunc.FindAllSubmatch(text, -1) {
				t := target{pkg: p, fuzz: string(m[1])}
				if !slices.ContainsFunc(names, isTarget) || slices.Contains(names, t.fuzz) {
					out = append(out, t)
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no such fuzz target")
	}
	return out, nil
}

// compileTargets compiles each package once, with instrumentation for coverage.
func compileTargets(ctx context.Context, dir string, targets []target) error {
	for i := range targets {
		if i > 0 && targets[i].ImportPath == targets[i-1].ImportPath {
			targets[i].binary = targets[i-1].binary
			continue
		}
		var err error
		if targets[i].binary, err = targets[i].compile(ctx, dir, "-fuzz=."); err != nil {
			return err
		}
	}
	return nil
}

var fuzzStats = regexp.MustCompile(`^fuzz: elapsed: .* execs: (\d+) .* new interesting: (\d+) `)

// run fuzzes and returns how much was tried. The error contains everything that was printed.
//
// It ends the target by an interrupt and not with -test.fuzztime, which fails by chance at its end before Go 1.27
// (go.dev/issue/75804). Minimizing is bounded because Go spends up to a minute with each new interesting input, and
// tries nothing else meanwhile. A target with seeds of some kilobytes then makes only 16 executions a minute.
func (t target) run(ctx context.Context, long time.Duration, corpus string) (string, error) {
	cmd := process.Command(ctx, t.binary, "-test.run=^$", "-test.fuzz=^"+t.fuzz+"$", "-test.parallel=1", "-test.fuzzminimizetime=10x",
		"-test.fuzzcachedir="+corpus)
	cmd.Dir = t.Dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return "", err
	}
	said, execs, found := strings.Builder{}, 0, 0
	var ends []*time.Timer
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if strings.Contains(line, "now fuzzing") {
			ends = append(ends,
				time.AfterFunc(long, func() { _ = cmd.Process.Signal(os.Interrupt) }),
				time.AfterFunc(long+time.Minute, func() { _ = cmd.Cancel() })) // in case it hangs
		}
		if m := fuzzStats.FindStringSubmatch(line); m != nil {
			execs, _ = strconv.Atoi(m[1])
			found, _ = strconv.Atoi(m[2])
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
	}
	err = cmd.Wait()
	for _, end := range ends {
		end.Stop()
	}
	if err == nil && execs == 0 {
		err = errors.New("nothing was tried")
	}
	if err != nil {
		return "", fmt.Errorf("failed: %w\n%s", err, said.String())
	}
	// Use CPU time: the machine's other load says nothing about the target.
	took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return fmt.Sprintf("%9d executions, %6.0f a CPU second, %5d new inputs", execs, float64(execs)/took.Seconds(), found), nil
}

// each calls do for all elements, n at a time.
func each[T any](n int, all []T, do func(T)) {
	queue := make(chan T)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for one := range queue {
				do(one)
			}
		})
	}
	for _, one := range all {
		queue <- one
	}
	close(queue)
	wg.Wait()
}

func goEnv(ctx context.Context, name string) (string, error) {
	out, err := process.Command(ctx, "go", "env", name).Output()
	return strings.TrimSpace(string(out)), err
}
