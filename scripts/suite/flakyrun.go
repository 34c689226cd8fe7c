package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"ociproxy/bench/process"
)

// verdictLine is what -test.v=test2json prints at the end of a test. The control character before it cannot occur in
// what a test prints.
var verdictLine = regexp.MustCompile(`\x16 *--- (PASS|FAIL|SKIP): ([^\s/]+)(/\S+)? \(([0-9.]+)s\)`)

// wholePackage stands for a fault that belongs to no test: a leak found at the end, or a run that took too long.
const wholePackage = "(the package)"

// once runs tests of a package n times in one process, adds the results to the table, and returns the times. If names
// is nil, it runs all tests.
func (f *flakes) once(ctx context.Context, b *binary, names []string, n int, limit time.Duration) []timed {
	args := []string{"-test.v=test2json", "-test.count=" + strconv.Itoa(n), "-test.timeout=" + limit.String()}
	if names != nil {
		args = append(args, "-test.run=^("+strings.Join(names, "|")+")$")
	}
	cmd := process.Command(ctx, b.file, args...)
	cmd.Dir, cmd.Env = b.Dir, append(os.Environ(), b.env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil // it was killed, which says nothing about the tests
	}
	seen := verdicts(&said)
	f.mu.Lock()
	defer f.mu.Unlock()
	failed := false
	for _, v := range seen {
		r := f.row(name{short(b.ImportPath), v.test})
		switch v.result {
		case "PASS":
			r.runs++
		case "FAIL":
			r.runs++
			r.failures++
			failed = true
		}
		r.longest = max(r.longest, time.Duration(v.seconds*float64(time.Second)))
	}
	if err == nil {
		return timesOf(seen)
	}
	if !failed {
		r := f.row(name{short(b.ImportPath), wholePackage})
		r.runs++
		r.failures++
	}
	b.red = true
	f.keepOutput(b, said.Bytes(), err)
	return timesOf(seen)
}

func (f *flakes) row(n name) *row {
	r := f.table[n]
	if r == nil {
		r = &row{}
		f.table[n] = r
	}
	return r
}

type ran struct {
	timed
	result string
}

// verdicts returns the verdicts of top-level tests. A test whose subtests run in parallel reports almost no time, so
// verdicts uses the time of its longest subtest.
func verdicts(said *bytes.Buffer) (seen []ran) {
	inside := map[string]float64{}
	for lines := bufio.NewReader(bytes.NewReader(said.Bytes())); ; {
		line, err := lines.ReadString('\n')
		for _, m := range verdictLine.FindAllStringSubmatch(line, -1) {
			seconds, _ := strconv.ParseFloat(m[4], 64) // the pattern allows only digits and a point
			seconds = max(seconds, inside[m[2]])
			if m[3] != "" {
				inside[m[2]] = seconds
				continue
			}
			delete(inside, m[2])
			seen = append(seen, ran{timed{test: m[2], seconds: seconds}, m[1]})
		}
		if err != nil {
			return seen
		}
	}
}

func timesOf(seen []ran) (out []timed) {
	for _, v := range seen {
		out = append(out, v.timed)
	}
	return out
}

// keepOutput writes the output of a red run into a file.
func (f *flakes) keepOutput(b *binary, said []byte, err error) {
	file := filepath.Join(f.keep, fmt.Sprintf("%s.%d.txt", b.name(), len(f.kept)+1))
	text := append(bytes.ReplaceAll(said, []byte{0x16}, nil), fmt.Sprintf("%s: %v\n", b.ImportPath, err)...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		fmt.Fprintf(os.Stderr, "flaky: %v\n%s", err, text)
		return
	}
	f.kept = append(f.kept, file)
	fmt.Fprintf(os.Stderr, "flaky: red: %s\n", file)
}

// print writes the table, with red tests last, to out and into a file. The error is not nil if anything was red.
func (f *flakes) print(out io.Writer, took time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(f.table), func(a, b name) int {
		x, y := f.table[a], f.table[b]
		return cmp.Or(cmp.Compare(x.failures, y.failures), cmp.Compare(x.longest, y.longest), cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test))
	})
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "runs\tfailures\tlongest\t  test")
	runs, failures, never := 0, 0, 0
	for _, n := range names {
		r := f.table[n]
		fmt.Fprintf(table, "%d\t%d\t%.2fs\t  %s %s\n", r.runs, r.failures, r.longest.Seconds(), n.pkg, n.test)
		runs, failures = runs+r.runs, failures+r.failures
		if r.runs == 0 {
			never++
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\n%d tests, %d runs, %d failures in %v; %d tests were always skipped\n", len(names), runs, failures, took.Round(time.Second), never)
	if _, err := io.WriteString(out, text.String()); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.keep, "table.txt"), []byte(text.String()), 0o600); err != nil {
		return err
	}
	if failures > 0 {
		return fmt.Errorf("red at least once; what was said is in\n  %s", strings.Join(f.kept, "\n  "))
	}
	if runs == 0 {
		return errors.New("nothing was run")
	}
	return nil
}
