package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// writeMarkdown writes a comment for a pull request: the verdict and the sums, and the rest folded.
func (d *replayed) writeMarkdown(w io.Writer) error {
	out := new(bytes.Buffer)
	verdict := "no limit was set"
	switch {
	case d.Incomplete != "":
		verdict = "incomplete"
	case len(d.Gates) > 0:
		verdict = "passed"
	}
	for _, g := range d.Gates {
		if !g.Passed {
			verdict = "failed"
		}
	}
	fmt.Fprintf(out, "### Replay: %s\n\n%s\n\n", verdict, inMarkdown(d.headline()))
	for _, g := range d.Gates {
		text := inMarkdown(d.gate(&g))
		if !g.Passed {
			text = "**" + text + "**"
		}
		fmt.Fprintf(out, "- %s\n", text)
	}
	for _, text := range d.Warnings {
		fmt.Fprintf(out, "- warning: %s\n", inMarkdown(text))
	}
	if len(d.Gates)+len(d.Warnings) > 0 {
		out.WriteString("\n") // or the table would be a part of the list
	}
	writeRows(out, []string{"", "old → new"}, d.summary())
	if len(d.Changes) > 0 {
		fmt.Fprintf(out, "\nChanged: %s\n", inMarkdown(strings.Join(d.changes(), "; ")))
	}
	if len(d.Moves) > 0 {
		var rows [][]string
		for _, m := range d.Moves[:min(maxTraffic, len(d.Moves))] {
			rows = append(rows, d.trafficRow(&m))
		}
		fmt.Fprintf(out, "\n<details><summary>What moves, %d of %d</summary>\n\n", len(rows), len(d.Moves))
		writeRows(out, d.trafficHeader(), rows)
		if len(d.Explain) > 0 {
			out.WriteString("\n```sh\n")
			for _, e := range d.Explain[:min(maxExplain, len(d.Explain))] {
				out.WriteString(e.Command + "\n")
			}
			out.WriteString("```\n")
		}
		out.WriteString("\n</details>\n")
	}
	_, err := w.Write(out.Bytes())
	return err
}

func writeRows(out *bytes.Buffer, header []string, rows [][]string) {
	line := func(cells []string) {
		for i := range cells {
			cells[i] = inMarkdown(cells[i])
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
	line(header)
	fmt.Fprintf(out, "|%s\n", strings.Repeat("---|", len(header)))
	for _, r := range rows {
		line(r)
	}
}

// inMarkdown makes text of a log or config harmless in a cell.
func inMarkdown(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "\n", " ", "\r", " ", "`", "'", "@", "@\u200b").Replace(text)
}
