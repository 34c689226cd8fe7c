package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action      string
	Package     string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// report prints the events of go test as go test does without -json: one line for a package that passed, and the
// output of the failed tests for a package that failed. It remembers what failed and how long tests took.
type report struct {
	out      io.Writer
	verbose  bool // print everything at once, as with -v
	packages map[string]*packageLog
	times    []timed
	failed   []string
}

// timed is a test that ran, including its subtests.
type timed struct {
	pkg, test string
	seconds   float64
}

// packageLog is the output of a package until it ends.
type packageLog struct {
	text strings.Builder // output that belongs to no test
	// printed is what passed tests printed outside of the log. A data race may be reported under any test's name.
	printed strings.Builder
	tests   map[string]*testLog
	order   []string // in the order in which the tests began
}

type testLog struct {
	text   strings.Builder
	result string // pass, fail, skip; empty: not ended yet
}

func newReport(out io.Writer, verbose bool) *report {
	return &report{out: out, verbose: verbose, packages: map[string]*packageLog{}}
}

// read reads events until the end. It prints lines that are not events unchanged.
func (r *report) read(in io.Reader) error {
	failed := len(r.failed)
	defer func() {
		if len(r.failed) > failed {
			fmt.Fprintln(r.out, "FAIL")
		}
	}()
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		var e event
		if len(line) > 0 && json.Unmarshal(line, &e) == nil && e.Action != "" {
			r.take(e)
		} else {
			_, _ = r.out.Write(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	if e.Package == "" { // from the compiler
		fmt.Fprint(r.out, e.Output)
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &packageLog{tests: map[string]*testLog{}}
		r.packages[e.Package] = p
	}
	if r.verbose {
		fmt.Fprint(r.out, e.Output)
	}
	switch ended := e.Action == "pass" || e.Action == "fail" || e.Action == "skip"; {
	case e.Test != "":
		t := p.test(e.Test)
		t.text.WriteString(e.Output)
		if ended {
			t.result = e.Action
			if !strings.Contains(e.Test, "/") {
				r.times = append(r.times, timed{short(e.Package), e.Test, e.Elapsed})
				p.forget(e.Test)
			}
		}
	case !ended:
		p.text.WriteString(e.Output)
	default:
		r.end(e, p)
		delete(r.packages, e.Package)
	}
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "ociproxy/") }

func (p *packageLog) test(name string) *testLog {
	t := p.tests[name]
	if t == nil {
		t = &testLog{}
		p.tests[name] = t
		p.order = append(p.order, name)
	}
	return t
}

// forget drops the log of a passed test.
func (p *packageLog) forget(name string) {
	if t := p.tests[name]; t.result == "fail" {
		return
	}
	gone := func(n string) bool { return n == name || strings.HasPrefix(n, name+"/") }
	for _, n := range p.order {
		if gone(n) {
			p.printed.WriteString(logged.ReplaceAllString(p.tests[n].text.String(), ""))
			delete(p.tests, n)
		}
	}
	p.order = slices.DeleteFunc(p.order, gone)
}

// end prints the package's result.
func (r *report) end(e event, p *packageLog) {
	var failed []string
	for _, name := range p.order {
		t := p.tests[name]
		if e.Action != "fail" {
			continue
		}
		if t.result == "pass" || t.result == "skip" {
			p.printed.WriteString(logged.ReplaceAllString(t.text.String(), ""))
			continue
		}
		if !r.verbose {
			fmt.Fprint(r.out, t.said(p.depth(name)))
		}
		if !strings.Contains(name, "/") {
			failed = append(failed, name)
		}
	}
	if !r.verbose && e.Action == "fail" {
		fmt.Fprint(r.out, p.printed.String())
	}
	for line := range strings.Lines(p.text.String()) {
		if !r.verbose && (e.Action == "fail" || strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "? ")) {
			fmt.Fprint(r.out, line)
		}
	}
	if e.Action != "fail" {
		return
	}
	if len(failed) == 0 {
		failed = []string{"(no test)"}
		if e.FailedBuild != "" {
			failed = []string{"(it does not compile)"}
		}
	}
	for _, name := range failed {
		r.failed = append(r.failed, fmt.Sprintf("%s %s", short(e.Package), name))
	}
}

var (
	progress = regexp.MustCompile(`(?m)^=== (?:RUN|PAUSE|CONT|NAME) .*\n`)
	verdict  = regexp.MustCompile(`(?m)^ *--- FAIL: .*\n`)
	// logged matches what go test without -v does not print for a passed test.
	logged   = regexp.MustCompile(`(?m)^(?:=== (?:RUN|PAUSE|CONT|NAME) | *--- (?:PASS|SKIP): |    ).*\n`)
	indented = regexp.MustCompile(`(?m)^(?:    |--- )`)
)

// depth returns how many parent tests a subtest has.
func (p *packageLog) depth(name string) (n int) {
	for i, c := range name {
		if c == '/' && p.tests[name[:i]] != nil {
			n++
		}
	}
	return n
}

// said returns what go test prints for a failed test: the verdict, then its output, with each subtest indented
// further.
func (t *testLog) said(depth int) string {
	return indented.ReplaceAllString(t.verdictFirst(), strings.Repeat("    ", depth)+"$0")
}

func (t *testLog) verdictFirst() string {
	text := progress.ReplaceAllString(t.text.String(), "")
	at := verdict.FindStringIndex(text)
	if at == nil {
		return text
	}
	return text[at[0]:at[1]] + text[:at[0]] + text[at[1]:]
}

// slowest prints the n slowest tests.
func (r *report) slowest(n int) {
	if len(r.times) == 0 {
		return
	}
	slices.SortStableFunc(r.times, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	fmt.Fprintln(r.out, "\nslowest tests:")
	for _, t := range r.times[:min(n, len(r.times))] {
		fmt.Fprintf(r.out, "%7.1f s  %s %s\n", t.seconds, t.pkg, t.test)
	}
}

// err returns an error with everything that failed, or nil.
func (r *report) err() error {
	if len(r.failed) == 0 {
		return nil
	}
	return fmt.Errorf("these failed:\n  %s", strings.Join(r.failed, "\n  "))
}
