package show

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/page"
	"ociproxy/internal/plan"
)

// Rows of the tables for people. JSON has all.
const (
	planRows  = 10 // of the tables of single regions
	planMoves = 3  // clients in a cell
)

// sheet is a page for people: text for a terminal, Markdown, or a page for a browser.
type sheet struct {
	bytes.Buffer
	markdown bool
	page     *page.Page // in place of the buffer; nil: text or Markdown
}

func (s *sheet) title(text string) {
	switch {
	case s.page != nil:
		s.page.Sections = append(s.page.Sections, page.Section{ID: fmt.Sprintf("s%d", len(s.page.Sections)+1), Title: cli.OneLine(text)})
	case s.markdown:
		fmt.Fprintf(s, "\n### %s\n\n", inMarkdown(text))
	default:
		fmt.Fprintf(s, "\n%s\n", text)
	}
}

func (s *sheet) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch {
	case s.page != nil:
		s.note(cli.OneLine(text))
		return
	case s.markdown:
		text = inMarkdown(text) + "\n"
	}
	s.WriteString(text + "\n")
}

// note puts a sentence where it is in the text: above the sections, or above or below the table of the last one.
func (s *sheet) note(text string) {
	p := s.page
	if len(p.Sections) == 0 {
		p.About += " " + text
		return
	}
	if last := &p.Sections[len(p.Sections)-1]; len(last.Rows) > 0 {
		last.Notes = append(last.Notes, text)
	} else {
		last.About = strings.TrimSpace(last.About + " " + text)
	}
}

// warn says what a person should know before reading on.
func (s *sheet) warn(text string) {
	if s.page != nil {
		s.page.Warnings = append(s.page.Warnings, cli.OneLine(text))
		return
	}
	s.say("%s", text)
}

// table writes a table. A header that begins with # is that of numbers.
func (s *sheet) table(header []string, rows [][]string) {
	var names []string
	var numbers []bool
	for _, h := range header {
		name, number := strings.CutPrefix(h, "#")
		names, numbers = append(names, name), append(numbers, number)
	}
	switch {
	case s.page != nil:
		last := &s.page.Sections[len(s.page.Sections)-1]
		last.Header, last.Numbers, last.Rows = names, numbers, rows
		return
	case s.markdown:
		s.row(names)
		for _, number := range numbers {
			s.WriteString(map[bool]string{true: "|---:", false: "|---"}[number])
		}
		s.WriteString("|\n")
		for _, r := range rows {
			s.row(r)
		}
		return
	}
	t := cli.Table{}
	for _, h := range names {
		t.Header = append(t.Header, strings.ToUpper(h))
	}
	for _, r := range rows {
		t.List(r...)
	}
	_, _ = t.WriteTo(&s.Buffer) // a buffer takes everything
}

// row writes a row of a table in Markdown.
func (s *sheet) row(cells []string) {
	out := make([]string, len(cells))
	for i := range cells {
		out[i] = inMarkdown(cells[i])
	}
	fmt.Fprintf(s, "| %s |\n", strings.Join(out, " | "))
}

// inMarkdown makes names of a config harmless.
func inMarkdown(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "`", "'").Replace(cli.OneLine(text))
}

// code writes lines that must keep their form.
func (s *sheet) code(text string) {
	switch {
	case s.page != nil:
		s.page.Sections[len(s.page.Sections)-1].Pre += text
		return
	case s.markdown:
		fmt.Fprintf(s, "\n```text\n%s```\n", text)
		return
	}
	for line := range strings.Lines(text) {
		s.WriteString("  " + line)
	}
}

// Text writes the document for a terminal.
func (d *Doc) Text(w io.Writer) error { return d.to(w, &sheet{}) }

// Markdown writes it for a page or a comment.
func (d *Doc) Markdown(w io.Writer) error { return d.to(w, &sheet{markdown: true}) }

func (d *Doc) to(w io.Writer, s *sheet) error {
	d.write(s)
	_, err := io.Copy(w, &s.Buffer)
	return err
}

func (d *Doc) write(s *sheet) {
	if s.markdown {
		s.WriteString("## Plan of regions\n\n")
	}
	s.say("%s TB a month from %s; each store holds %s. %s",
		number(d.TBMonth), cli.Count(int64(d.Places), "place"), humanize.Bytes(uint64(d.Stored)), d.value())
	if d.Hot > 0 {
		s.say("New stores hold the most pulled digests: %.1f %% of the stored bytes, which are %.1f %% of the downloads.", d.Hot*100, d.HotBytes*100)
	}
	for _, n := range d.Notes {
		s.warn(n)
	}
	d.writeToday(s)
	d.writeChanges(s, "One store more", d.Adding)
	d.writeChanges(s, "One store less", d.Removing)
	if len(d.ByCount) > 0 {
		s.title("The best set for each number of stores")
		s.table(answerHeader("stores"), d.answers(d.ByCount, func(a *plan.Answer) string { return fmt.Sprint(len(a.Regions)) }))
	}
	if len(d.Frontier) > 0 {
		s.title("Money against round trips")
		if s.page == nil { // which has a chart of its own
			s.code(chart(d.Frontier))
		}
		s.say("Each point is a set at its own route.costWeight:")
		s.table(answerHeader("costWeight"), d.answers(d.Frontier, func(a *plan.Answer) string { return number(a.CostWeight) }))
	}
	d.writeBest(s)
	if d.Ended {
		s.title("The search was ended before it was through.")
	}
}

// value says what the plan makes least.
func (d *Doc) value() string {
	switch {
	case d.MSValue > 0:
		return fmt.Sprintf("A millisecond less is worth $%s for each TB; the server decides with costWeight %s.", number(d.MSValue), number(d.CostWeight))
	case d.CostWeight == 0:
		return "Only round trips count, as costWeight 0 says."
	}
	return fmt.Sprintf("Only money counts; the server decides with costWeight %s.", number(d.CostWeight))
}

func (d *Doc) writeToday(s *sheet) {
	t := d.Today
	s.title(fmt.Sprintf("Today: %s", cli.Count(int64(len(t.Regions)), "store")))
	s.table([]string{"#USD a month", "#transfer", "#requests", "#storage", "#growth", "#mean ms", "#p95 ms"},
		[][]string{{usd(t.TotalUSD), usd(t.Egress), usd(t.Requests), usd(t.Storage), usd(t.Growth), ms(t.MeanMS), ms(t.P95MS)}})
	if t.High-t.Low > 0.01*t.TotalUSD {
		s.say("Between %s and %s: other traffic of the same accounts is not known (docs/cost.md).", usd(t.Low), usd(t.High))
	}
	d.writeStores(s, "The stores of today", t)
}

func (d *Doc) writeChanges(s *sheet, title string, list []plan.Change) {
	if len(list) == 0 {
		return
	}
	s.title(title)
	var rows [][]string
	for i := range list[:min(planRows, len(list))] {
		c := &list[i]
		payback := "never"
		switch {
		case c.Payback == nil:
		case c.Fill == 0:
			payback = "-"
		default:
			payback = months(*c.Payback)
		}
		rows = append(rows, []string{cmp.Or(c.Place, c.Name), signed(c.Net), signed(c.Saved), signed(-c.Running), usd(c.Fill), payback, fmt.Sprintf("%+.1f", c.MeanMS), who(c.Moved)})
	}
	s.table([]string{"place", "#net USD a month", "#transfer", "#storage", "#filling USD", "#paid back", "#mean ms", "for whom"}, rows)
	if more := len(list) - planRows; more > 0 {
		s.say("and %d more: --output json lists all", more)
	}
}

// months writes how long something takes.
func months(v float64) string {
	if v < 2 {
		return cli.Count(int64(math.Ceil(v*plan.Month)), "day")
	}
	return fmt.Sprintf("%.1f months", v)
}

// who names the clients that move, those with most bytes first.
func who(moved []plan.Move) string {
	var parts []string
	for _, m := range moved[:min(planMoves, len(moved))] {
		parts = append(parts, fmt.Sprintf("%s %.0f→%.0f", m.Client, m.RTTWas, m.RTTIs))
	}
	if more := len(moved) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

func answerHeader(first string) []string {
	return []string{first, "#USD a month", "#filling USD", "#mean ms", "#p95 ms", "#gap", "worst loss", "survives", "against today"}
}

func (d *Doc) answers(list []plan.Answer, first func(*plan.Answer) string) (rows [][]string) {
	for i := range list {
		a := &list[i]
		rows = append(rows, []string{first(a), usd(a.TotalUSD), usd(a.FillUSD), ms(a.MeanMS), ms(a.P95MS), gap(a), worst(a), survives(a), against(a)})
	}
	return rows
}

func gap(a *plan.Answer) string {
	switch {
	case a.Proven:
		return "0, proven"
	case a.Estimated:
		return fmt.Sprintf("about %.2f%%", 100*a.Gap)
	}
	return fmt.Sprintf("%.2f%%", 100*a.Gap)
}

// worst is the loss of the store that costs most.
func worst(a *plan.Answer) string {
	if len(a.Losses) == 0 {
		return "-"
	}
	l := &a.Losses[0]
	return fmt.Sprintf("%s %s, %+.1f ms", l.Name, signed(l.USD), l.MeanMS)
}

func survives(a *plan.Answer) string {
	if len(a.Survives) == 0 {
		return "-"
	}
	var not []string
	for _, c := range a.Survives {
		if !c.Survives {
			not = append(not, c.Name)
		}
	}
	if len(not) == 0 {
		return "yes"
	}
	return "not " + strings.Join(not, ", ")
}

// against says how a set differs from that of today.
func against(a *plan.Answer) string {
	var parts []string
	for _, p := range a.Added {
		parts = append(parts, "+"+p)
	}
	for _, n := range a.Removed {
		parts = append(parts, "-"+n)
	}
	return cmp.Or(strings.Join(parts, " "), "the same")
}

// writeStores lists the stores of an answer: what each costs, and what its loss would do.
func (d *Doc) writeStores(s *sheet, title string, a *plan.Answer) {
	if len(a.Losses) == 0 {
		return
	}
	s.title(title)
	var rows [][]string
	for i := range a.Losses {
		l := &a.Losses[i]
		at := slices.IndexFunc(a.Regions, func(r plan.Region) bool { return r.Name == l.Name })
		r := &a.Regions[at]
		rows = append(rows, []string{l.Name, usd(r.StorageUSD), usd(r.GrowthUSD), usd(r.FillUSD), signed(l.USD), fmt.Sprintf("%+.1f", l.MeanMS), who(l.Moved)})
	}
	s.table([]string{"store", "#storage", "#growth", "#filling USD", "#when lost, USD a month", "#mean ms", "who goes elsewhere"}, rows)
}

func (d *Doc) writeBest(s *sheet) {
	b := d.Best
	if b == nil {
		return
	}
	s.title(fmt.Sprintf("The best set: %s", cli.Count(int64(len(b.Regions)), "store")))
	s.say("%s a month, %s once for filling, %s ms on average: %s. %s", usd(b.TotalUSD), usd(b.FillUSD), ms(b.MeanMS), against(b), proof(b))
	if d.FirstStep {
		s.say("This takes it that the accounts have no other traffic. Where the ladders of their prices really begin is not known: billing.accounts says it.")
	}
	for _, c := range b.Survives {
		switch {
		case c.Survives:
			s.say("With %s it stays the best.", c.Name)
		default:
			s.say("With %s another set is better, by what is worth %s a month: %s.", c.Name, usd(c.Regret), against(&plan.Answer{Added: c.Added, Removed: c.Removed}))
		}
	}
	d.writeStores(s, "The stores of the best set", b)
	for i := range d.Next {
		if i == 0 {
			d.writeNext(s, &d.Next[i])
			continue
		}
		if i == 1 {
			s.title("The others in the same way")
		}
		s.code(d.Next[i].Steps[0].Commands[0].Shell(d.Program) + "\n")
	}
}

// proof says how sure it is that a set is the best.
func proof(a *plan.Answer) string {
	if a.Proven {
		return "No other set is better: proven."
	}
	if a.Estimated {
		return "The search is an approximation, so nothing proves that no other set is better."
	}
	return fmt.Sprintf("No other set is better by more than %.2f %%: the lower bound of what it is worth is %s, it is worth %s.", 100*a.Gap, usd(a.BoundUSD), usd(a.WorthUSD))
}

func (d *Doc) writeNext(s *sheet, n *Next) {
	s.title("To add " + n.Place)
	var b strings.Builder
	if n.Stanza != "" {
		for i, line := range strings.Split(strings.TrimSpace(n.Stanza), "\n") {
			b.WriteString(map[bool]string{true: "  - ", false: "    "}[i == 0] + line + "\n")
		}
	} else if n.Why != "" {
		s.say("The stanza does not follow from another store: %s. Replace BUCKET and URL.", n.Why)
	}
	for _, step := range n.Steps {
		for _, c := range step.Commands {
			b.WriteString(c.Shell(d.Program) + "\n")
		}
	}
	s.code(b.String())
}

// usd writes an amount of money.
func usd(v float64) string {
	const whole = 100
	return cli.USD(v, whole)
}

// signed writes a change of money.
func signed(v float64) string {
	text := usd(math.Abs(v))
	switch {
	case strings.Trim(text, "$0.") == "":
		return "$0"
	case v < 0:
		return "-" + text
	}
	return "+" + text
}

func ms(v float64) string { return fmt.Sprintf("%.1f", v) }

// number writes a number in at most four digits.
func number(v float64) string { return fmt.Sprintf("%.4g", v) }
