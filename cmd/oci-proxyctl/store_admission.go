package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/admission"
	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
)

// writeAdmission shows a record: one line for all checks that passed, one for each other finding, the figures, the
// verdict, and what the run took.
func (a *app) writeAdmission(r *admission.Record) error {
	color := cli.UseColor(a.stdout, a.env)
	t := cli.Table{Header: []string{"CHECK", "RESULT", "DETAIL"}, Color: color, Painted: 1, Paint: judge.Paint}
	var good []string
	for _, f := range r.Findings {
		bad := slices.ContainsFunc(r.Findings, func(o admission.Finding) bool { return o.Check == f.Check && o.Result != judge.OK })
		if !bad && !slices.Contains(good, f.Check) {
			good = append(good, f.Check)
		}
	}
	t.List(cli.Count(int64(len(good)), "check"), string(judge.OK), strings.Join(good, " "))
	for _, f := range r.Findings {
		if f.Result != judge.OK {
			t.Row(f.Check, string(f.Result), aboutFinding(f))
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
