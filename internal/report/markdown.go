package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown writes the report for a wiki or a comment on a pull request. top is how many rows a table may have; 0:
// all.
func (r *Report) WriteMarkdown(w io.Writer, top int) error {
	out := new(bytes.Buffer)
	fmt.Fprintf(out, "# What the registry cost, %s to %s\n\n", r.Begin, r.lastDay())
	for _, line := range r.headline() {
		fmt.Fprintf(out, "- %s\n", inMarkdown(line))
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(out, "- warning: %s\n", inMarkdown(cleanTo(maxWarning, text)))
	}
	for _, s := range r.sections(top) {
		fmt.Fprintf(out, "\n## %s\n\n", s.title)
		if s.about != "" {
			fmt.Fprintf(out, "%s\n\n", inMarkdown(clean(s.about)))
		}
		if len(s.rows) == 0 {
			fmt.Fprintln(out, inMarkdown(s.none))
			continue
		}
		out.WriteString("| " + strings.Join(s.header, " | ") + " |\n|")
		for _, number := range s.numbers {
			if number {
				out.WriteString("---:|")
			} else {
				out.WriteString("---|")
			}
		}
		for _, row := range s.rows {
			out.WriteString("\n|")
			for i, cell := range row {
				if i+1 == s.code {
					cell = codeInMarkdown(cell)
				} else {
					cell = inMarkdown(cell)
				}
				out.WriteString(" " + cell + " |")
			}
		}
		out.WriteString("\n")
		if s.more > 0 {
			fmt.Fprintf(out, "\nand %s more\n", count(float64(s.more)))
		}
		for i, n := range s.notes {
			if i == 0 {
				out.WriteString("\n")
			}
			fmt.Fprintf(out, "- %s\n", inMarkdown(n))
		}
	}
	if r.Billed != nil {
		var text bytes.Buffer
		if err := r.Billed.WriteText(&text); err != nil {
			return err
		}
		fmt.Fprint(out, "\n## The bill\n\n")
		for line := range strings.Lines(text.String()) { // an indented block has no end that text could contain
			out.WriteString("    " + line)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// inMarkdown makes text plain in Markdown: what has a meaning there is escaped, and addresses, mentions and numbers of
// issues do not become links.
func inMarkdown(text string) string { return markdownEscapes.Replace(text) }

var markdownEscapes = strings.NewReplacer(
	"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "|", "\\|", "~", "\\~", "$", "\\$",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "@", "&#64;", "#", "&#35;", "://", "&#58;//", "www.", "www&#46;",
)

// codeInMarkdown writes a command in a table. A cell with a backtick or a bar cannot be code.
func codeInMarkdown(text string) string {
	if strings.ContainsAny(text, "`|") {
		return inMarkdown(text)
	}
	return "`" + text + "`"
}
