package show

import (
	"fmt"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/probe"
)

// severity orders results. A check that was not made says less than one that passed.
var severity = []judge.Result{"", judge.OK, judge.Info, probe.Skipped, judge.Warning, judge.Failed}

// worse returns the worse one of two results.
func worse(a, b judge.Result) judge.Result {
	if slices.Index(severity, b) > slices.Index(severity, a) {
		return b
	}
	return a
}

// matrix has the worst result of each check for each class of clients.
type matrix struct {
	checks  []string // those that were made, in the order of the report
	columns []column
	cells   map[string]map[string]judge.Result // by check and class
}

// column is a set of classes with the same faults in every check.
type column struct {
	classes []string
	rest    bool // the classes that did not fit, with different results
}

// maxColumns is how many columns of classes fit on a screen.
const maxColumns = 6

// newMatrix folds the findings of a report.
func newMatrix(r *probe.Report) *matrix {
	m := &matrix{cells: map[string]map[string]judge.Result{}}
	for _, f := range r.Findings {
		row := m.cells[f.Check]
		if row == nil {
			row = map[string]judge.Result{}
			m.cells[f.Check] = row
			m.checks = append(m.checks, f.Check)
		}
		row[f.As] = worse(row[f.As], f.Result)
	}
	same := map[string]int{} // by results: index of the column
	for _, class := range r.Classes {
		var key strings.Builder
		if class == probe.Self.Name {
			key.WriteString(class + "\n") // it is asked more than the others
		}
		for _, check := range m.checks {
			// Some checks are made once for each host, as the first class that is sent there. So not to be asked is no
			// difference from being all right.
			if result := m.cells[check][class]; result != judge.OK && result != judge.Info {
				key.WriteString(string(result))
			}
			key.WriteByte('\n')
		}
		i, known := same[key.String()]
		if !known {
			i = len(m.columns)
			same[key.String()] = i
			m.columns = append(m.columns, column{})
		}
		m.columns[i].classes = append(m.columns[i].classes, class)
	}
	if len(m.columns) > maxColumns {
		// The machine of the probe stays first. The columns of most classes stay as they are.
		first, others := m.columns[0], m.columns[1:]
		slices.SortStableFunc(others, func(a, b column) int { return len(b.classes) - len(a.classes) })
		rest := column{rest: true}
		for _, c := range others[maxColumns-2:] {
			rest.classes = append(rest.classes, c.classes...)
		}
		m.columns = append(append([]column{first}, others[:maxColumns-2]...), rest)
	}
	return m
}

// cell returns the worst result of a check for a column's classes.
func (m *matrix) cell(check string, c column) (worst judge.Result) {
	for _, class := range c.classes {
		worst = worse(worst, m.cells[check][class])
	}
	return worst
}

// worst returns the worst result of a check.
func (m *matrix) worst(check string) (worst judge.Result) {
	for _, result := range m.cells[check] {
		worst = worse(worst, result)
	}
	return worst
}

// passed returns for how many classes, of those that were asked, a check gave no error and no warning.
func (m *matrix) passed(check string) string {
	n := 0
	for _, result := range m.cells[check] {
		if result == judge.OK || result == judge.Info {
			n++
		}
	}
	return fmt.Sprintf("%d of %d", n, len(m.cells[check]))
}

func (c column) title(number int) string {
	switch {
	case len(c.classes) == 1:
		return c.classes[0]
	case c.rest:
		return fmt.Sprintf("%d others", len(c.classes))
	default:
		return fmt.Sprintf("%d classes (%c)", len(c.classes), 'A'+rune(number))
	}
}

// some names at most n of a list.
func some(list []string, n int) string {
	if len(list) <= n {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], ", "), len(list)-n)
}

// fault is a distinct fault, and all that have it.
type fault struct {
	probe.Finding // the first
	checks        []string
	classes       []string
	images        []string
}

// names says which checks have the fault: several, when they were not made for one reason.
func (f *fault) names() string { return some(f.checks, 8) }

// faults returns the distinct errors, then the warnings, then what was not asked, each in the order of the report.
func faults(r *probe.Report) []*fault {
	type key struct {
		check, host, detail string
		result              judge.Result
	}
	seen := map[key]*fault{}
	var all []*fault
	for _, f := range r.Findings {
		if f.Result == judge.OK || f.Result == judge.Info {
			continue
		}
		k := key{f.Check, f.Host, f.Detail, f.Result}
		if f.Result == probe.Skipped {
			k.check, k.host, f.Host = "", "", ""
		}
		one := seen[k]
		if one == nil {
			one = &fault{Finding: f}
			seen[k] = one
			all = append(all, one)
		}
		if !slices.Contains(one.checks, f.Check) {
			one.checks = append(one.checks, f.Check)
		}
		if !slices.Contains(one.classes, f.As) {
			one.classes = append(one.classes, f.As)
		}
		if f.Image != "" && !slices.Contains(one.images, f.Image) {
			one.images = append(one.images, f.Image)
		}
	}
	slices.SortStableFunc(all, func(a, b *fault) int {
		return slices.Index(severity, b.Result) - slices.Index(severity, a.Result)
	})
	return all
}

// who says which classes have a fault.
func (f *fault) who(r *probe.Report) string {
	switch {
	case len(r.Classes) == 1:
		return ""
	case len(f.classes) == len(r.Classes):
		return fmt.Sprintf("as all %d classes", len(r.Classes))
	case len(f.classes) == 1:
		return "as " + f.classes[0]
	}
	return fmt.Sprintf("as %d of %d classes: %s", len(f.classes), len(r.Classes), some(f.classes, 4))
}

// verdict is the outcome in one line.
func verdict(r *probe.Report) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{r.Errors, "error"}, {r.Warnings, "warning"}} {
		if p.n > 0 {
			parts = append(parts, cli.Count(int64(p.n), p.what))
		}
	}
	if r.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d not asked", r.Skipped))
	}
	passed := cli.Count(int64(r.Passed), "answer was right", "answers were right")
	if len(parts) == 0 {
		return passed
	}
	return strings.Join(parts, ", ") + "; " + passed
}
