package report

import (
	"fmt"

	"ociproxy/internal/page"
)

// maxBars is how many bars a chart has.
const maxBars = 8

// charts are the drawings of a report. The tables have the same figures.
func (r *Report) charts() []*page.Chart {
	months := []page.Row{}
	for i := range r.Months {
		m := &r.Months[i]
		months = append(months, bars(m.Month, m.With.USD, m.Without.USD))
	}
	out := []*page.Chart{page.Rows("Cost by month", months[max(0, len(months)-13):], "with the proxy", "without it")}
	if r.Per == PerDay && len(r.Periods) > 1 {
		periods := make([]page.Period, len(r.Periods))
		for i := range r.Periods {
			periods[i] = page.Period{Name: r.Periods[i].Name, Value: r.Periods[i].USD}
		}
		out = append(out, page.Columns("Cost by day", periods, dollars))
	}
	out = append(out, page.Rows("Cost by cloud of the client", costs(r.Clouds)), page.Rows("Cost by store", costs(r.Stores)))
	lost := []page.Row{}
	for i := range r.Left[:min(len(r.Left), maxBars)] {
		l := &r.Left[i]
		lost = append(lost, bars(fmt.Sprintf("%s: %s, %s", l.Cloud, l.From, l.Reason), l.USD-l.Instead))
	}
	if len(lost) > 0 {
		out = append(out, page.Rows("Money left on the table", lost))
	}
	return out
}

// bars is a row of a chart of money.
func bars(name string, usd ...float64) page.Row {
	r := page.Row{Name: clean(name), Values: usd}
	for _, v := range usd {
		r.Texts = append(r.Texts, dollars(v))
	}
	return r
}

// costs are the bars of the most expensive totals, and one of the rest.
func costs(totals []Total) (out []page.Row) {
	rest, n := 0.0, 0
	for i := range totals {
		if t := &totals[i]; i < maxBars {
			out = append(out, bars(t.Name, t.USD))
		} else {
			rest += t.USD
			n++
		}
	}
	if n > 0 {
		out = append(out, bars(fmt.Sprintf("%d others", n), rest))
	}
	return out
}
