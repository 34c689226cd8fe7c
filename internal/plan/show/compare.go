package show

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"ociproxy/internal/cli"
	"ociproxy/internal/page"
	"ociproxy/internal/plan"
	"ociproxy/internal/price"
)

// Comparison is the JSON document of a comparison of two configs.
type Comparison struct{ *plan.Comparison }

// Text writes the comparison for a terminal.
func (c *Comparison) Text(w io.Writer) error { return c.to(w, &sheet{}) }

// Markdown writes it for a page or a comment.
func (c *Comparison) Markdown(w io.Writer) error { return c.to(w, &sheet{markdown: true}) }

// HTML writes it as one page that needs no other file, no script and no network.
func (c *Comparison) HTML(w io.Writer) error {
	p := newPage("What another config would change")
	for _, side := range []struct {
		name string
		of   *plan.Side
	}{{"Was", &c.Was}, {"Is", &c.Is}} {
		p.Cards = append(p.Cards,
			page.Card{Label: side.name, Value: usd(side.of.TotalUSD), Note: "a month"},
			page.Card{Label: side.name, Value: ms(side.of.MeanMS) + " ms", Note: "on average, by bytes"})
	}
	p.Charts = append(p.Charts, moneyChart(&c.Was.Money, &c.Is.Money, "was", "is"))
	c.write(&sheet{page: p})
	return p.Write(w)
}

func (c *Comparison) to(w io.Writer, s *sheet) error {
	c.write(s)
	_, err := io.Copy(w, &s.Buffer)
	return err
}

func (c *Comparison) write(s *sheet) {
	if s.markdown {
		s.WriteString("## What if\n\n")
	}
	s.say("%s TB a month. What differs: %s.", number(c.TBMonth), cmp.Or(strings.Join(c.Stores, "; "), "no store or upstream"))
	for _, n := range c.Notes {
		s.warn(n)
	}
	s.title("Money and round trips")
	var rows [][]string
	for _, r := range []struct {
		name    string
		was, is float64
		show    func(float64) string
	}{
		{"USD a month", c.Was.TotalUSD, c.Is.TotalUSD, usd}, {"transfer", c.Was.Egress, c.Is.Egress, usd}, {"requests", c.Was.Requests, c.Is.Requests, usd},
		{"storage", c.Was.Storage, c.Is.Storage, usd}, {"growth", c.Was.Growth, c.Is.Growth, usd}, {"part of filling", c.Was.Filling, c.Is.Filling, usd},
		{"filling, once", c.Was.FillUSD, c.Is.FillUSD, usd}, {"mean ms", c.Was.MeanMS, c.Is.MeanMS, ms}, {"p95 ms", c.Was.P95MS, c.Is.P95MS, ms},
	} {
		rows = append(rows, []string{r.name, r.show(r.was), r.show(r.is)})
	}
	s.table([]string{"", "#was", "#is"}, rows)
	s.title(fmt.Sprintf("Who goes elsewhere: %s", cli.Count(int64(len(c.Moved)), "place")))
	rows = nil
	for _, m := range c.Moved[:min(2*planRows, len(c.Moved))] {
		rows = append(rows, []string{m.Client, number(price.TB.Of(m.Bytes)), m.Was, m.Is, signed(m.USD), fmt.Sprintf("%.1f → %.1f", m.RTTWas, m.RTTIs)})
	}
	if len(rows) > 0 {
		s.table([]string{"clients at", "#TB a month", "from", "to", "#USD a month", "#ms"}, rows)
	}
	if more := len(c.Moved) - 2*planRows; more > 0 {
		s.say("and %d more: --output json lists all", more)
	}
}
