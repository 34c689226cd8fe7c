package show

import (
	"io"
	"strings"

	"ociproxy/internal/cli"
	"ociproxy/internal/probe"
)

// maxMarkdown is how many distinct faults a comment lists. GitHub refuses comments of more than 65,536 characters.
const maxMarkdown = 20

// Markdown writes a report as a comment for a pull request: the outcome and the faults, and the rest folded.
func Markdown(w io.Writer, r *probe.Report) error {
	out := &printer{w: w}
	word := "passed"
	switch {
	case r.Errors > 0:
		word = "failed"
	case r.Warnings > 0:
		word = "passed with warnings"
	case r.Skipped > 0:
		word = "was cut short"
	}
	out.line("### Probe of %s %s", cell(r.Name), word)
	out.line("")
	out.line("%s. %s", cell(header(r)), cell(verdict(r)+"."))
	if all := faults(r); len(all) > 0 {
		out.line("")
		out.line("| | check | host | what | who |")
		out.line("|---|---|---|---|---|")
		for i, f := range all {
			if i == maxMarkdown {
				break
			}
			what := cell(clip(f.Detail))
			if f.Hint != "" {
				what += "<br>*" + cell(clip(f.Hint)) + "*"
			}
			out.line("| %s | `%s` | %s | %s | %s |", f.Result, f.names(), cell(f.Host), what, cell(or(f.who(r), "self")))
		}
		if len(all) > maxMarkdown {
			out.line("")
			out.line("And %s.", cli.Count(int64(len(all)-maxMarkdown), "other fault"))
		}
	}
	m := newMatrix(r)
	out.fold("All checks")
	row := []string{"check", "result", "passed"}
	for i, c := range m.columns {
		row = append(row, cell(c.title(i)))
	}
	out.line("| %s |", strings.Join(row, " | "))
	out.line("|%s", strings.Repeat("---|", len(row)))
	for _, check := range m.checks {
		row := []string{"`" + check + "`", string(m.worst(check)), m.passed(check)}
		for _, c := range m.columns {
			row = append(row, string(m.cell(check, c)))
		}
		out.line("| %s |", strings.Join(row, " | "))
	}
	for i, c := range m.columns {
		if len(c.classes) > 1 {
			out.line("")
			out.line("%s: %s", cell(c.title(i)), cell(some(c.classes, 12)))
		}
	}
	out.unfold()
	out.fold("Hosts and cost")
	out.line("| host | kind | protocol | certificate | first byte | throughput |")
	out.line("|---|---|---|---|---|---|")
	for _, h := range r.Hosts {
		cells := hostRow(r, h)
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		out.line("| %s |", strings.Join(cells, " | "))
	}
	out.line("")
	out.line("%s", cell(cost(r)))
	out.unfold()
	return out.err
}

func (p *printer) fold(summary string) {
	p.line("")
	p.line("<details><summary>%s</summary>", summary)
	p.line("")
}

func (p *printer) unfold() {
	p.line("")
	p.line("</details>")
}

// escape takes the meaning from the characters that Markdown and HTML give one to, except for those that are common in
// names and harmless within a line. What servers say must not become a link or a mention of a person.
var escape = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", "|", `\|`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "!", `\!`, `\`, `\\`, "@", "@\u200b", "#", `\#`,
	"://", ":\u200b//", "www.", "www\u200b.")

func cell(s string) string { return escape.Replace(cli.OneLine(s)) }

// clip keeps a cell short.
func clip(s string) string {
	const most = 300
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
