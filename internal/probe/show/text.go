package show

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/probe"
)

// maxFaults is how many distinct faults are shown in full. The rest is counted; JSON has everything.
const maxFaults = 40

// Text writes a report for people. With color, results are coloured.
func Text(w io.Writer, r *probe.Report, color bool) error {
	out := &printer{w: w}
	out.line("%s", header(r))
	out.line("")
	m := newMatrix(r)
	t := cli.Table{Header: []string{"CHECK", "RESULT", "PASSED"}, Color: color, Painted: 1, Paint: judge.Paint}
	folded := len(r.Classes) > 1
	if folded {
		for i, c := range m.columns {
			t.Header = append(t.Header, c.title(i))
		}
	}
	for _, check := range m.checks {
		row := []string{check, string(m.worst(check)), m.passed(check)}
		if folded {
			for _, c := range m.columns {
				row = append(row, string(m.cell(check, c)))
			}
		}
		t.List(row...)
	}
	out.table(&t)
	for i, c := range m.columns {
		if len(c.classes) > 1 {
			out.line("%s: %s", c.title(i), some(c.classes, 12))
		}
	}
	out.faults(r, color)
	out.line("")
	out.hosts(r)
	out.line("")
	out.line("%s", cost(r))
	out.line("%s.", verdict(r))
	return out.err
}

func header(r *probe.Report) string {
	from := ""
	if r.Vantage != "" {
		from = " from " + r.Vantage
	}
	return fmt.Sprintf("%s%s, asked as %s: %s", r.Name, from,
		cli.Count(int64(len(r.Classes)), "class of client", "classes of clients"), some(r.Images, 4))
}

// cost says what a run took and what it might have taken.
func cost(r *probe.Report) string {
	return fmt.Sprintf("%s, %s, %s; the bounds were %s, %s, %s.",
		cli.Count(r.Cost.Requests, "request"), judge.Size(r.Cost.Bytes), seconds(r.Cost.Seconds),
		cli.Count(r.Limits.Requests, "request"), judge.Size(r.Limits.Bytes), seconds(r.Limits.Seconds))
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// printer writes lines and remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) table(t *cli.Table) {
	if p.err == nil {
		_, p.err = t.WriteTo(p.w)
	}
}

func (p *printer) faults(r *probe.Report, color bool) {
	hinted := map[string]bool{}
	all := faults(r)
	for i, f := range all {
		if i == maxFaults {
			p.line("")
			p.line("and %s; --output json has all.", cli.Count(int64(len(all)-i), "other fault"))
			return
		}
		p.line("")
		at := ""
		if f.Host != "" {
			at = " at " + cli.OneLine(f.Host)
		}
		p.line("%s  %s%s: %s", judge.Paint(string(f.Result)).In(string(f.Result), color), f.names(), at, cli.OneLine(f.Detail))
		if who := f.who(r); who != "" {
			p.line("  %s", who)
		}
		if len(f.images) > 0 {
			p.line("  image: %s", some(f.images, 4))
		}
		if f.Hint != "" && !hinted[f.Hint] {
			hinted[f.Hint] = true
			p.line("  hint: %s", cli.OneLine(f.Hint))
		}
		if f.Result != probe.Skipped { // that is about the run, not about the check
			p.line("  see %s", f.Doc)
		}
	}
}

func (p *printer) hosts(r *probe.Report) {
	t := cli.Table{Header: []string{"HOST", "KIND", "PROTOCOL", "CERTIFICATE", "FIRST BYTE", "THROUGHPUT"}}
	for _, h := range r.Hosts {
		t.List(hostRow(r, h)...)
	}
	p.table(&t)
}

// hostRow returns what is known of a host.
func hostRow(r *probe.Report, h probe.HostReport) []string {
	certificate, first, speed := "", "", ""
	if !h.TLSUntil.IsZero() {
		certificate = fmt.Sprintf("%.0f days left", h.TLSUntil.Sub(r.Started).Hours()/24)
	}
	if h.FirstByte > 0 {
		first = seconds(h.FirstByte)
	}
	if h.BytesPerSecond > 0 {
		speed = humanize.IBytes(uint64(h.BytesPerSecond)) + "/s"
	}
	return []string{h.Host, h.Kind, h.Proto, certificate, first, speed}
}

// title names a check in words.
func title(id string) string {
	for _, c := range probe.Checks() {
		if c.ID == id {
			return c.Title
		}
	}
	return strings.ReplaceAll(id, ".", " ")
}

// maxBrief is how many faults of a run Brief names.
const maxBrief = 10

// Brief writes a report as one line, and one more for each distinct fault. It is for runs that repeat.
func Brief(w io.Writer, r *probe.Report, now time.Time) error {
	out := &printer{w: w}
	out.line("%s  %s; %s, %s, %s", now.UTC().Format(time.DateTime), verdict(r),
		cli.Count(r.Cost.Requests, "request"), judge.Size(r.Cost.Bytes), seconds(r.Cost.Seconds))
	all := faults(r)
	for i, f := range all {
		if i == maxBrief {
			out.line("  and %s", cli.Count(int64(len(all)-i), "other fault"))
			break
		}
		line := fmt.Sprintf("  %s  %s: %s", f.Result, f.names(), cli.OneLine(f.Detail))
		if who := f.who(r); who != "" {
			line += " (" + who + ")"
		}
		out.line("%s", line)
	}
	return out.err
}
