package report

import (
	"bytes"
	"fmt"
	"io"

	"ociproxy/internal/cli"
)

// WriteText writes the report for a terminal. top is how many rows a table may have; 0: all.
func (r *Report) WriteText(w io.Writer, top int) error {
	out := new(bytes.Buffer)
	fmt.Fprintf(out, "%s to %s\n", r.Begin, r.lastDay())
	for _, line := range r.headline() {
		fmt.Fprintln(out, line)
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(out, "warning: %s\n", cleanTo(maxWarning, text))
	}
	for _, s := range r.sections(top) {
		fmt.Fprintf(out, "\n%s\n", s.title)
		if s.about != "" {
			fmt.Fprintln(out, clean(s.about))
		}
		if len(s.rows) == 0 {
			fmt.Fprintln(out, s.none)
			continue
		}
		t := cli.Table{Header: s.header}
		for _, row := range s.rows {
			t.List(row...)
		}
		if _, err := t.WriteTo(out); err != nil {
			return err
		}
		if s.more > 0 {
			fmt.Fprintf(out, "and %s more: --top 0 or --output json has all\n", count(float64(s.more)))
		}
		for _, n := range s.notes {
			fmt.Fprintln(out, n)
		}
	}
	if r.Billed != nil {
		fmt.Fprint(out, "\nThe bill\n")
		if err := r.Billed.WriteText(out); err != nil {
			return err
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}
