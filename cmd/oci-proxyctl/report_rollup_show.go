package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/rollup/refresh"
)

// rollupPlan is what --dry-run shows.
type rollupPlan struct {
	Units  []*refresh.Unit `json:"units"`
	Files  int             `json:"files"` // that would be made
	Bytes  int64           `json:"bytes"` // of logs that would be read
	Disk   int64           `json:"diskBytes"`
	Others int             `json:"others"`
}

func (a *app) showRollupPlan(p *refresh.Plan) error {
	due, bytes := p.Due()
	need, left, dir := p.Disk()
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, rollupPlan{p.Units, len(due), bytes, need, p.Others})
	}
	t := cli.Table{Header: []string{"DAY", "LOGS", "LOG OBJECTS", "BYTES", "STATE", "WHY"}}
	for _, u := range p.Units {
		t.Row(u.Day, u.Logs, humanize.Comma(int64(u.LogObjects)), size(u.Bytes), string(u.State), u.Why)
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s to make from %s of logs; up to %s of disk in %s, which has %s left.\n",
		cli.Count(int64(len(due)), "file"), size(bytes), size(need), dir, size(left))
	return err
}

// writeRollup shows what a run did.
func writeRollup(w io.Writer, r *refresh.Report) error {
	facts := cli.Table{}
	facts.Row("files made", fmt.Sprintf("%s with %s, %s", humanize.Comma(int64(r.Made)), cli.Count(r.Rows, "row"), size(r.Written)))
	facts.Row("up to date", humanize.Comma(int64(r.Same)))
	if r.ByOther > 0 {
		facts.Row("made by another run", humanize.Comma(int64(r.ByOther)))
	}
	if r.Others > 0 {
		facts.Row("of other shards", humanize.Comma(int64(r.Others)))
	}
	c := &r.Counts
	facts.Row("logs read", fmt.Sprintf("%s, %s, %s", cli.Count(c.LogObjects, "log object"), size(c.Bytes), cli.Count(c.Lines, "line")))
	facts.Row("counted", cli.Count(c.Counted, "request"))
	facts.Row("duplicates", fmt.Sprintf("%s, with the same request id within %s; not noticed: %s (%s)", humanize.Comma(c.Duplicates), r.Window, r.Missed, cli.Count(c.NoID, "line")))
	for _, f := range []struct {
		name  string
		count int64
	}{
		{"malformed lines", c.Malformed}, {"other events", c.Other}, {"downloads without a size", r.Unsized}, {"damaged log objects", r.Damaged},
		{"lines of far days", r.Far},
	} {
		if f.count > 0 {
			facts.Row(f.name, humanize.Comma(f.count))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Unknown)) {
		facts.Row("unknown field", fmt.Sprintf("%s, in %s", cli.OneLine(name), cli.Count(r.Unknown[name], "line")))
	}
	if _, err := facts.WriteTo(w); err != nil {
		return err
	}
	left := cli.Table{Header: []string{"LEFT OUT", "NAME", "LINES", "FIRST AT"}}
	for _, l := range r.Left {
		left.Row(string(l.Reason), l.Name, humanize.Comma(l.Lines), l.Example)
	}
	failed := cli.Table{Header: []string{"DAY", "LOGS", "STATE", "NOT ROLLED UP"}}
	for _, f := range r.Failed {
		failed.Row(f.Day, f.Logs, string(f.State), f.Err)
	}
	for _, t := range []*cli.Table{&left, &failed} {
		if t.Len() == 0 {
			continue
		}
		fmt.Fprintln(w)
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
	}
	for i, f := range r.Faults {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "malformed: %s\n", cli.OneLine(f))
	}
	return nil
}
