package objectives

import (
	"fmt"
	"strings"
)

// Severity says who is told of an alert, and when.
type Severity string

// The severities. At most five alerts of all files are pages: docs/objectives.md lists them.
const (
	Page   Severity = "page"   // clients have failures now: at once, at night too
	Ticket Severity = "ticket" // in working hours
)

// rule is a recording rule or an alert.
type rule struct {
	record, alert string // one of them
	why           string // a comment; "" for none
	expr          string
	hold          string // how long it must be true; "" for at once
	severity      Severity
	summary       string
	runbook       string // an anchor of docs/runbook-objectives.md
}

// file is one file of rules.
type file struct {
	name  string // without its ending
	about string // a comment
	group string
	rules []rule
}

// text writes the file as YAML. Every text in it is plain or a block, so nothing needs escapes.
func (f *file) text() string {
	var b strings.Builder
	for line := range strings.Lines(f.about) {
		fmt.Fprintf(&b, "%s\n", strings.TrimRight("# "+line, " \n"))
	}
	fmt.Fprintf(&b, "#\n# Written by go generate ./internal/objectives. Do not edit: change the objectives there.\ngroups:\n  - name: %s\n    rules:\n", f.group)
	for i := range f.rules {
		f.rules[i].write(&b)
	}
	return b.String()
}

func (r *rule) write(b *strings.Builder) {
	if r.record != "" {
		fmt.Fprintf(b, "      - record: %s\n", r.record)
	} else {
		fmt.Fprintf(b, "      - alert: %s\n", r.alert)
	}
	for line := range strings.Lines(r.why) {
		fmt.Fprintf(b, "        # %s\n", strings.TrimSuffix(line, "\n"))
	}
	fmt.Fprint(b, "        expr: |\n")
	for line := range strings.Lines(r.expr) {
		fmt.Fprintf(b, "          %s\n", strings.TrimSuffix(line, "\n"))
	}
	if r.alert == "" {
		return
	}
	if r.hold != "" {
		fmt.Fprintf(b, "        for: %s\n", r.hold)
	}
	fmt.Fprintf(b, "        labels: {severity: %s}\n        annotations:\n          summary: %q\n          runbook: docs/runbook-objectives.md#%s\n\n",
		r.severity, r.summary, r.runbook)
}

// window is a pair of windows of a burn rate. The long one keeps short faults from being alerts, and the short one ends the
// alert soon after the fault.
type window struct {
	long, short string
	burn        float64
}

// The burn rates: 14.4 spends the budget of 30 days in two days, 6 in five.
var (
	fast = window{"1h", "5m", 14.4}
	slow = window{"6h", "30m", 6}
)

// windows are all lengths for which errors are recorded.
var windows = []string{"5m", "30m", "1h", "6h"}

// burns returns the condition that errors spend a budget too fast. series is the beginning of the name of recorded ratios.
func burns(series string, budget float64, w window) string {
	bound := fmt.Sprintf("%g * %g", w.burn, budget)
	return fmt.Sprintf("%[1]s:ratio_rate%[2]s > %[4]s\nand %[1]s:ratio_rate%[3]s > %[4]s", series, w.long, w.short, bound)
}
