package show

import (
	"fmt"
	"io"

	"ociproxy/internal/cli"
	"ociproxy/internal/page"
	"ociproxy/internal/plan"
)

// HTML writes the document as one page that needs no other file, no script and no network.
func (d *Doc) HTML(w io.Writer) error {
	p := newPage("Where the next store should be")
	p.Cards, p.Charts = d.cards(), d.charts()
	d.write(&sheet{page: p})
	return p.Write(w)
}

func newPage(title string) *page.Page {
	return &page.Page{Title: title, About: "US dollars of a month, 1 TB = 10¹² bytes. Made by oci-proxyctl plan."}
}

// cards are the figures of today beside those of the best set.
func (d *Doc) cards() []page.Card {
	t := d.Today
	cards := []page.Card{
		{Label: "Today", Value: usd(t.TotalUSD), Note: "a month"},
		{Label: "Round trip today", Value: ms(t.MeanMS) + " ms", Note: "on average, by bytes"},
	}
	if b := d.Best; b != nil {
		note := "a month; at most " + gap(b) + " above the best possible"
		switch {
		case b.Proven:
			note = "a month; no set is better: proven"
		case b.Estimated:
			note = "a month; found by an approximation"
		}
		cards = append(cards,
			page.Card{Label: "The best set", Value: usd(b.TotalUSD), Note: note},
			page.Card{Label: "Its round trip", Value: ms(b.MeanMS) + " ms", Note: "on average, by bytes"},
			page.Card{Label: "To fill it", Value: usd(b.FillUSD), Note: "once"})
	}
	return cards
}

// charts draw what the tables have.
func (d *Doc) charts() (out []*page.Chart) {
	var points []page.Point
	point := func(a *plan.Answer, name, said string, soft bool) {
		said += ": " + usd(a.TotalUSD) + ", " + ms(a.MeanMS) + " ms"
		points = append(points, page.Point{X: a.TotalUSD, Y: a.MeanMS, Name: name, Said: said, Soft: soft})
	}
	point(d.Today, "today", "today", false)
	for i := range d.Frontier {
		a := &d.Frontier[i]
		point(a, "", "at costWeight "+number(a.CostWeight), false)
	}
	for i := range d.ByCount {
		a := &d.ByCount[i]
		point(a, fmt.Sprint(len(a.Regions)), stores(a), true)
	}
	if len(points) > 1 {
		out = append(out, page.Dots("Money and round trips; the number is that of stores", points,
			usd, func(v float64) string { return ms(v) + " ms" }))
	}
	rows := []page.Row{{Name: "today: " + stores(d.Today), Values: []float64{d.Today.TotalUSD}, Texts: []string{usd(d.Today.TotalUSD)}}}
	for i := range d.ByCount {
		a := &d.ByCount[i]
		rows = append(rows, page.Row{Name: stores(a), Values: []float64{a.TotalUSD}, Texts: []string{usd(a.TotalUSD)}})
	}
	out = append(out, page.Rows("A month with the best set for each number of stores", rows))
	if d.Best != nil {
		out = append(out, moneyChart(&d.Today.Money, &d.Best.Money, "today", "the best set"))
	}
	rows = nil
	for i := range d.Adding {
		if c := &d.Adding[i]; c.Net > 0 && len(rows) < planRows {
			rows = append(rows, page.Row{Name: c.Place, Values: []float64{c.Net}, Texts: []string{usd(c.Net)}})
		}
	}
	if len(rows) > 0 {
		out = append(out, page.Rows("What one store more saves a month", rows))
	}
	return out
}

// moneyChart draws what a month costs before and after.
func moneyChart(was, is *plan.Money, names ...string) *page.Chart {
	var rows []page.Row
	for _, r := range []struct {
		name    string
		was, is float64
	}{
		{"transfer", was.Egress, is.Egress}, {"requests", was.Requests, is.Requests}, {"storage", was.Storage, is.Storage},
		{"growth", was.Growth, is.Growth}, {"part of filling", was.Filling, is.Filling},
	} {
		rows = append(rows, page.Row{Name: r.name, Values: []float64{r.was, r.is}, Texts: []string{usd(r.was), usd(r.is)}})
	}
	return page.Rows("Where the money goes", rows, names...)
}

// stores says how many stores an answer has.
func stores(a *plan.Answer) string { return cli.Count(int64(len(a.Regions)), "store") }
