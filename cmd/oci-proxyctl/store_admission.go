package main

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/admission"
	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
)

// writeAdmission shows a record: one line for each group of checks that passed, one for each other finding, the figures, the
// verdict, and what the run took.
func (a *app) writeAdmission(r *admission.Record) error {
	color := cli.UseColor(a.stdout, a.env)
	t := cli.Table{Header: []string{"CHECK", "RESULT", "DETAIL"}, Color: color, Painted: 1, Paint: judge.Paint}
	for group, names := range passed(r) {
		t.List(group, string(judge.OK), strings.Join(names, " "))
	}
	shown := map[string]int{}
	for _, f := range r.Findings {
		if f.Result == judge.OK {
			continue
		}
		if shown[f.Check]++; shown[f.Check] <= shownObjects {
			t.Row(f.Check, string(f.Result), aboutFinding(f))
		}
	}
	for _, check := range slices.Sorted(maps.Keys(shown)) {
		if n := shown[check] - shownObjects; n > 0 {
			t.Row(check, "", fmt.Sprintf("and %d more; --output json shows them", n))
		}
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	var told []string
	for _, f := range r.Findings {
		if f.Hint == "" || f.Result == judge.OK || slices.Contains(told, f.Check+f.Hint) {
			continue
		}
		told = append(told, f.Check+f.Hint)
		fmt.Fprintf(a.stdout, "hint: %s: %s (%s)\n", f.Check, cli.OneLine(f.Hint), f.Doc)
	}
	if err := a.writeFigures(&r.Figures); err != nil {
		return err
	}
	verdict, paint := "admitted", cli.Green
	switch {
	case r.Verdict != admission.Pass:
		verdict, paint = fmt.Sprintf("refused: %s, %s", cli.Count(int64(r.Errors), "error"), cli.Count(int64(r.Warnings), "warning")), cli.Red
	case r.Warnings > 0:
		verdict, paint = "admitted, with "+cli.Count(int64(r.Warnings), "warning"), cli.Yellow
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s is %s\ncost: %s requests, %s, %.1fs\n", r.Subject.Store, paint.In(verdict, color),
		humanize.Comma(r.Cost.Requests), size(r.Cost.Bytes), r.Cost.Seconds)
	return err
}

// shownObjects is how many findings of one check are shown. A store with a fault has it for many objects.
const shownObjects = 3

// passed yields the checks of which every finding is good, in groups: the parts before and after the first dot of an id.
func passed(r *admission.Record) iter.Seq2[string, []string] {
	var groups []string
	names := map[string][]string{}
	for _, f := range r.Findings {
		if slices.ContainsFunc(r.Findings, func(o admission.Finding) bool { return o.Check == f.Check && o.Result != judge.OK }) {
			continue
		}
		group, name, dotted := strings.Cut(f.Check, ".")
		if !dotted {
			name = f.Detail
		}
		if names[group] == nil {
			groups = append(groups, group)
		}
		if !slices.Contains(names[group], name) {
			names[group] = append(names[group], name)
		}
	}
	return func(yield func(string, []string) bool) {
		for _, group := range groups {
			if !yield(group, names[group]) {
				return
			}
		}
	}
}

// aboutFinding returns what a finding says, with its object.
func aboutFinding(f admission.Finding) string {
	if f.Object == "" {
		return f.Detail
	}
	return f.Object + ": " + f.Detail
}

func (a *app) writeFigures(f *admission.Figures) error {
	fmt.Fprintf(a.stdout, "\n%s of the inventory, %d read completely (%s)\n", cli.Count(int64(f.Sample.Objects), "object"), f.Sample.Whole, size(f.Sample.Bytes))
	seconds := func(s float64) string {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Microsecond).String()
	}
	if len(f.Speed) > 0 {
		t := cli.Table{Header: []string{"SERVER", "KIND", "READ", "FIRST BYTE", "THROUGHPUT"}}
		for _, s := range f.Speed {
			throughput := "too small to tell"
			if s.BytesPerSecond > 0 {
				throughput = size(int64(s.BytesPerSecond)) + "/s"
			}
			t.Row(s.Name, s.Kind, size(s.Bytes), seconds(s.FirstByte), throughput)
		}
		fmt.Fprintln(a.stdout)
		if _, err := t.WriteTo(a.stdout); err != nil {
			return err
		}
	}
	if len(f.Pulls) == 0 {
		return nil
	}
	t := cli.Table{Header: []string{"CLIENT", "IMAGE", "BLOBS", "FROM THE STORE", "BYTES", "TIME"}}
	for _, p := range f.Pulls {
		t.Row(p.Client, p.Image, fmt.Sprint(p.Blobs), fmt.Sprint(p.FromStore), size(p.Bytes), seconds(p.Seconds))
	}
	fmt.Fprintln(a.stdout)
	_, err := t.WriteTo(a.stdout)
	return err
}
