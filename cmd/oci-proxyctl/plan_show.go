package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/plan"
)

// Rows of the tables for people. JSON has all.
const (
	planRows  = 10 // of the tables of single regions
	planMoves = 3  // clients in a cell
)

// sheet is a page for people: text for a terminal, or Markdown.
type sheet struct {
	bytes.Buffer
	markdown bool
}

func (s *sheet) title(text string) {
	if s.markdown {
		fmt.Fprintf(s, "\n### %s\n\n", inMarkdown(text))
		return
	}
	fmt.Fprintf(s, "\n%s\n", text)
}

func (s *sheet) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.markdown {
		text = inMarkdown(text) + "\n"
	}
	s.WriteString(text + "\n")
}

func (s *sheet) table(header []string, rows [][]string) {
	if s.markdown {
		writeRows(&s.Buffer, header, rows)
		return
	}
	t := cli.Table{}
	for _, h := range header {
		t.Header = append(t.Header, strings.ToUpper(h))
	}
	for _, r := range rows {
		t.List(r...)
	}
	_, _ = t.WriteTo(&s.Buffer) // a buffer takes everything
}

// code writes lines that must keep their form.
func (s *sheet) code(text string) {
	if s.markdown {
		fmt.Fprintf(s, "\n```text\n%s```\n", text)
		return
	}
	for line := range strings.Lines(text) {
		s.WriteString("  " + line)
	}
}

func (a *app) writePlan(d *planDoc) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, d)
	}
	s := &sheet{markdown: a.format == cli.Markdown}
	d.write(s)
	_, err := io.Copy(a.stdout, &s.Buffer)
	return err
}

func (d *planDoc) write(s *sheet) {
	if s.markdown {
		s.WriteString("## Plan of regions\n\n")
	}
	s.say("%s TB a month from %s; each store holds %s. %s",
		number(d.TBMonth), cli.Count(int64(d.Places), "place"), humanize.Bytes(uint64(d.Stored)), d.value())
	if d.Hot > 0 {
		s.say("New stores hold the most pulled digests: %.1f %% of the stored bytes, which are %.1f %% of the downloads.", d.Hot*100, d.HotBytes*100)
	}
	for _, n := range d.Notes {
		s.say("%s", n)
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
		s.code(chart(d.Frontier))
		s.say("Each point is a set at its own route.costWeight:")
		s.table(answerHeader("costWeight"), d.answers(d.Frontier, func(a *plan.Answer) string { return number(a.CostWeight) }))
	}
	d.writeBest(s)
	if d.Ended {
		s.title("The search was ended before it was through.")
	}
}

// value says what the plan makes least.
func (d *planDoc) value() string {
	switch {
	case d.MSValue > 0:
		return fmt.Sprintf("A millisecond less is worth $%s for each TB; the server decides with costWeight %s.", number(d.MSValue), number(d.CostWeight))
	case d.CostWeight == 0:
		return "Only round trips count, as costWeight 0 says."
	}
	return fmt.Sprintf("Only money counts; the server decides with costWeight %s.", number(d.CostWeight))
}

func (d *planDoc) writeToday(s *sheet) {
	t := d.Today
	s.title(fmt.Sprintf("Today: %s", cli.Count(int64(len(t.Regions)), "store")))
	s.table([]string{"$ a month", "transfer", "requests", "storage", "growth", "mean ms", "p95 ms"},
		[][]string{{usd(t.TotalUSD), usd(t.Egress), usd(t.Requests), usd(t.Storage), usd(t.Growth), ms(t.MeanMS), ms(t.P95MS)}})
	if t.High-t.Low > 0.01*t.TotalUSD {
		s.say("Between %s and %s, because other traffic of the same accounts is not known: docs/cost.md.", usd(t.Low), usd(t.High))
	}
	d.writeLosses(s, t)
}

func (d *planDoc) writeChanges(s *sheet, title string, list []plan.Change) {
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
			payback = number(*c.Payback) + " months"
		}
		rows = append(rows, []string{cmp.Or(c.Place, c.Name), signed(c.Net), signed(c.Saved), signed(-c.Running), usd(c.Fill), payback, fmt.Sprintf("%+.1f", c.MeanMS), who(c.Moved)})
	}
	s.table([]string{"place", "net $ a month", "transfer", "storage", "filling $", "paid back", "mean ms", "for whom"}, rows)
	if more := len(list) - planRows; more > 0 {
		s.say("and %d more: --output json lists all", more)
	}
}

// who names the clients that move, those with most bytes first.
func who(moved []plan.Move) string {
	var parts []string
	for _, m := range moved[:min(planMoves, len(moved))] {
		parts = append(parts, fmt.Sprintf("%s %.0f → %.0f", m.Client, m.RTTWas, m.RTTIs))
	}
	if more := len(moved) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

func answerHeader(first string) []string {
	return []string{first, "$ a month", "filling $", "mean ms", "p95 ms", "gap", "worst loss", "survives 20%", "against today"}
}

func (d *planDoc) answers(list []plan.Answer, first func(*plan.Answer) string) (rows [][]string) {
	for i := range list {
		a := &list[i]
		rows = append(rows, []string{first(a), usd(a.TotalUSD), usd(a.FillUSD), ms(a.MeanMS), ms(a.P95MS), gap(a), worst(a), survives(a), against(a)})
	}
	return rows
}

func gap(a *plan.Answer) string {
	if a.Proven {
		return "0, proven"
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

func (d *planDoc) writeLosses(s *sheet, a *plan.Answer) {
	if len(a.Losses) == 0 {
		return
	}
	var rows [][]string
	for i := range a.Losses {
		l := &a.Losses[i]
		rows = append(rows, []string{l.Name, signed(l.USD), fmt.Sprintf("%+.1f", l.MeanMS), who(l.Moved)})
	}
	s.WriteString("\n")
	s.table([]string{"without", "$ a month", "mean ms", "who goes elsewhere"}, rows)
}

func (d *planDoc) writeBest(s *sheet) {
	b := d.Best
	if b == nil {
		return
	}
	s.title(fmt.Sprintf("The best set: %s", cli.Count(int64(len(b.Regions)), "store")))
	s.say("%s a month, %s once for filling, %s ms on average: %s. %s", usd(b.TotalUSD), usd(b.FillUSD), ms(b.MeanMS), against(b), proof(b))
	d.writeLosses(s, b)
	for _, c := range b.Survives {
		switch {
		case c.Survives:
			s.say("With %s it stays the best.", c.Name)
		default:
			s.say("With %s another set is better, by what is worth %s a month: %s.", c.Name, usd(c.Regret), against(&plan.Answer{Added: c.Added, Removed: c.Removed}))
		}
	}
	for i := range d.Next {
		d.writeNext(s, &d.Next[i])
	}
}

// proof says how sure it is that a set is the best.
func proof(a *plan.Answer) string {
	if a.Proven {
		return "No other set is better: proven."
	}
	return fmt.Sprintf("No other set is better by more than %.2f %%: the lower bound of what it is worth is %s, it is worth %s.", 100*a.Gap, usd(a.BoundUSD), usd(a.WorthUSD))
}

func (d *planDoc) writeNext(s *sheet, n *planStep) {
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
			b.WriteString(c.Shell(program) + "\n")
		}
	}
	s.code(b.String())
}

// usd writes an amount of money.
func usd(v float64) string {
	if math.Abs(v) >= 100 {
		return "$" + humanize.Comma(int64(math.Round(v)))
	}
	return fmt.Sprintf("$%.2f", v)
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

// The size of the chart in characters.
const chartWidth, chartHeight = 56, 10

// chart draws the frontier: money to the right, round trips up.
func chart(list []plan.Answer) string {
	if len(list) < 2 {
		return ""
	}
	minUSD, maxUSD, minMS, maxMS := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for i := range list {
		minUSD, maxUSD = min(minUSD, list[i].TotalUSD), max(maxUSD, list[i].TotalUSD)
		minMS, maxMS = min(minMS, list[i].MeanMS), max(maxMS, list[i].MeanMS)
	}
	rows := make([][]rune, chartHeight)
	for i := range rows {
		rows[i] = []rune(strings.Repeat(" ", chartWidth))
	}
	at := func(v, low, high float64, size int) int {
		if high == low {
			return 0
		}
		return int(math.Round((v - low) / (high - low) * float64(size-1)))
	}
	for i := range list {
		rows[chartHeight-1-at(list[i].MeanMS, minMS, maxMS, chartHeight)][at(list[i].TotalUSD, minUSD, maxUSD, chartWidth)] = '●'
	}
	var b strings.Builder
	for i, r := range rows {
		label := ""
		switch i {
		case 0:
			label = ms(maxMS) + " ms"
		case chartHeight - 1:
			label = ms(minMS) + " ms"
		}
		fmt.Fprintf(&b, "%9s ┤%s\n", label, strings.TrimRight(string(r), " "))
	}
	left, right := usd(minUSD), usd(maxUSD)
	fmt.Fprintf(&b, "%9s └%s\n", "", strings.Repeat("─", chartWidth))
	fmt.Fprintf(&b, "%9s  %s%*s\n", "", left, chartWidth-len(left), right+" a month")
	return b.String()
}

func (a *app) writeComparison(c *plan.Comparison) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, c)
	}
	s := &sheet{markdown: a.format == cli.Markdown}
	if s.markdown {
		s.WriteString("## What if\n\n")
	}
	s.say("%s TB a month. What differs: %s.", number(c.TBMonth), cmp.Or(strings.Join(c.Stores, "; "), "no store or upstream"))
	for _, n := range c.Notes {
		s.say("%s", n)
	}
	s.title("Money and round trips")
	var rows [][]string
	for _, r := range []struct {
		name    string
		was, is float64
		show    func(float64) string
	}{
		{"$ a month", c.Was.TotalUSD, c.Is.TotalUSD, usd}, {"transfer", c.Was.Egress, c.Is.Egress, usd}, {"requests", c.Was.Requests, c.Is.Requests, usd},
		{"storage", c.Was.Storage, c.Is.Storage, usd}, {"growth", c.Was.Growth, c.Is.Growth, usd}, {"part of filling", c.Was.Filling, c.Is.Filling, usd},
		{"filling, once", c.Was.FillUSD, c.Is.FillUSD, usd}, {"mean ms", c.Was.MeanMS, c.Is.MeanMS, ms}, {"p95 ms", c.Was.P95MS, c.Is.P95MS, ms},
	} {
		rows = append(rows, []string{r.name, r.show(r.was), r.show(r.is)})
	}
	s.table([]string{"", "was", "is"}, rows)
	s.title(fmt.Sprintf("Who goes elsewhere: %s", cli.Count(int64(len(c.Moved)), "place")))
	rows = nil
	for _, m := range c.Moved[:min(2*planRows, len(c.Moved))] {
		rows = append(rows, []string{m.Client, number(m.Bytes / 1e12), m.Was, m.Is, signed(m.USD), fmt.Sprintf("%.1f → %.1f", m.RTTWas, m.RTTIs)})
	}
	if len(rows) > 0 {
		s.table([]string{"clients at", "TB a month", "from", "to", "$ a month", "ms"}, rows)
	}
	if more := len(c.Moved) - 2*planRows; more > 0 {
		s.say("and %d more: --output json lists all", more)
	}
	_, err := io.Copy(a.stdout, &s.Buffer)
	return err
}
