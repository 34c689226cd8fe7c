package report

import (
	"fmt"
	"math"
	"strings"
)

// chart is a drawing for the page. It is as narrow as a telephone, so that its texts can be read there.
type chart struct {
	Title, Desc   string
	Width, Height int
	Legend        []legend
	Lines         []axis
	Bars          []bar
	Texts         []label
}

type (
	legend struct {
		Class, Name string
		X, TextX    int
	}
	axis struct{ X1, Y1, X2, Y2 float64 }
	bar  struct {
		Class      string
		X, Y, W, H float64
	}
	label struct {
		X, Y         float64
		Anchor, Text string
	}
)

// bars is one row of a chart: a name, and one or two amounts.
type bars struct {
	name   string
	values []float64
	texts  []string
}

const (
	chartWidth = 340
	maxBars    = 8
	barHeight  = 12
)

// charts are the drawings of a report. The tables have the same figures.
func (r *Report) charts() []*chart {
	months := []bars{}
	for i := range r.Months {
		m := &r.Months[i]
		months = append(months, bars{m.Month, []float64{m.With.USD, m.Without.USD}, []string{dollars(m.With.USD), dollars(m.Without.USD)}})
	}
	out := []*chart{rowsChart("Cost by month", months[max(0, len(months)-13):], "with the proxy", "without it")}
	if r.Per == PerDay && len(r.Periods) > 1 {
		out = append(out, columnsChart("Cost by day", r.Periods))
	}
	out = append(out, rowsChart("Cost by cloud of the client", costs(r.Clouds)), rowsChart("Cost by store", costs(r.Stores)))
	lost := []bars{}
	for i := range r.Left[:min(len(r.Left), maxBars)] {
		l := &r.Left[i]
		usd := l.USD - l.Instead
		lost = append(lost, bars{fmt.Sprintf("%s: %s, %s", l.Cloud, l.From, l.Reason), []float64{usd}, []string{dollars(usd)}})
	}
	if len(lost) > 0 {
		out = append(out, rowsChart("Money left on the table", lost))
	}
	return out
}

// costs are the bars of the most expensive totals, and one of the rest.
func costs(totals []Total) (out []bars) {
	rest, n := 0.0, 0
	for i := range totals {
		if t := &totals[i]; i < maxBars {
			out = append(out, bars{t.Name, []float64{t.USD}, []string{dollars(t.USD)}})
		} else {
			rest += t.USD
			n++
		}
	}
	if n > 0 {
		out = append(out, bars{fmt.Sprintf("%d others", n), []float64{rest}, []string{dollars(rest)}})
	}
	return out
}

// rowsChart draws horizontal bars: each row has its name above one bar for each series.
func rowsChart(title string, rows []bars, series ...string) *chart {
	c := &chart{Title: title, Width: chartWidth}
	top := 0
	for i, name := range series {
		x := i * chartWidth / len(series)
		c.Legend = append(c.Legend, legend{class(i), name, x, x + 14})
		top = 18
	}
	most := 0.0
	for _, r := range rows {
		for _, v := range r.values {
			most = max(most, v)
		}
	}
	const room = 80 // for the amount behind the longest bar
	y := float64(top)
	var said []string
	for _, r := range rows {
		c.Texts = append(c.Texts, label{0, y + 10, "", short(r.name, 48)})
		y += 14
		for i, v := range r.values {
			width := 0.0
			if most > 0 && v > 0 {
				width = max(1, v/most*(chartWidth-room))
			}
			c.Bars = append(c.Bars, bar{class(i), 0, y, round(width), barHeight - 2})
			c.Texts = append(c.Texts, label{round(width) + 4, y + 9, "", r.texts[i]})
			y += barHeight
		}
		y += 4
		said = append(said, clean(r.name)+" "+strings.Join(r.texts, " and "))
	}
	c.Height = int(y) + 2
	c.Desc = "Bars"
	if len(series) > 0 {
		c.Desc += ", " + strings.Join(series, " and ")
	}
	c.Desc += ": " + strings.Join(said, "; ") + "."
	return c
}

// columnsChart draws one column for each period.
func columnsChart(title string, periods []Total) *chart {
	const height, left, bottom = 150.0, 0.0, 16.0
	c := &chart{Title: title, Width: chartWidth, Height: int(height + bottom)}
	most, least := periods[0].USD, periods[0].USD
	for i := range periods {
		most, least = max(most, periods[i].USD), min(least, periods[i].USD)
	}
	each := (chartWidth - left) / float64(len(periods))
	for i := range periods {
		h := 0.0
		if most > 0 {
			h = periods[i].USD / most * (height - 20)
		}
		c.Bars = append(c.Bars, bar{class(0), round(left + float64(i)*each), round(height - h), round(max(each-1, each*0.7)), round(h)})
	}
	c.Lines = append(c.Lines, axis{0, height, chartWidth, height}, axis{0, 20, chartWidth, 20})
	c.Texts = append(c.Texts,
		label{0, 14, "", dollars(most)}, label{0, height + 13, "", periods[0].Name},
		label{chartWidth, height + 13, "end", periods[len(periods)-1].Name})
	c.Desc = fmt.Sprintf("One column for each period from %s to %s: between %s and %s.", periods[0].Name, periods[len(periods)-1].Name, dollars(least), dollars(most))
	return c
}

func class(series int) string { return []string{"one", "two"}[series%2] }

func round(f float64) float64 { return math.Round(f*10) / 10 }

// short cleans a name and cuts it to n characters.
func short(name string, n int) string {
	if runes := []rune(clean(name)); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return clean(name)
}
