package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Chart is a drawing. It is as narrow as a telephone, so that its texts can be read there. Desc says the same in words.
type Chart struct {
	Title, Desc   string
	Width, Height int
	Legend        []legend
	Lines         []axis
	Bars          []bar
	Points        []dot
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
	dot struct {
		Class string
		X, Y  float64
	}
	label struct {
		X, Y         float64
		Anchor, Text string
	}
)

// Row is a row of a chart: a name, and one or two amounts with their texts.
type Row struct {
	Name   string
	Values []float64
	Texts  []string
}

const (
	chartWidth = 340
	barHeight  = 12
)

// Rows draws horizontal bars: each row has its name above one bar for each series.
func Rows(title string, rows []Row, series ...string) *Chart {
	c := &Chart{Title: title, Width: chartWidth}
	top := 0
	for i, name := range series {
		x := i * chartWidth / len(series)
		c.Legend = append(c.Legend, legend{class(i), name, x, x + 14})
		top = 18
	}
	most := 0.0
	for _, r := range rows {
		for _, v := range r.Values {
			most = max(most, v)
		}
	}
	const room = 80 // for the amount behind the longest bar
	y := float64(top)
	var said []string
	for _, r := range rows {
		c.Texts = append(c.Texts, label{0, y + 10, "", short(r.Name, 48)})
		y += 14
		for i, v := range r.Values {
			width := 0.0
			if most > 0 && v > 0 {
				width = max(1, v/most*(chartWidth-room))
			}
			c.Bars = append(c.Bars, bar{class(i), 0, y, round(width), barHeight - 2})
			c.Texts = append(c.Texts, label{round(width) + 4, y + 9, "", r.Texts[i]})
			y += barHeight
		}
		y += 4
		said = append(said, r.Name+" "+strings.Join(r.Texts, " and "))
	}
	c.Height = int(y) + 2
	c.Desc = "Bars"
	if len(series) > 0 {
		c.Desc += ", " + strings.Join(series, " and ")
	}
	c.Desc += ": " + strings.Join(said, "; ") + "."
	return c
}

// Columns draws one column for each period. show writes an amount.
func Columns(title string, periods []Period, show func(float64) string) *Chart {
	const height, left, bottom = 150.0, 0.0, 16.0
	c := &Chart{Title: title, Width: chartWidth, Height: int(height + bottom)}
	most, least := periods[0].Value, periods[0].Value
	for _, p := range periods {
		most, least = max(most, p.Value), min(least, p.Value)
	}
	each := (chartWidth - left) / float64(len(periods))
	for i, p := range periods {
		h := 0.0
		if most > 0 {
			h = p.Value / most * (height - 20)
		}
		c.Bars = append(c.Bars, bar{class(0), round(left + float64(i)*each), round(height - h), round(max(each-1, each*0.7)), round(h)})
	}
	first, last := periods[0].Name, periods[len(periods)-1].Name
	c.Lines = append(c.Lines, axis{0, height, chartWidth, height}, axis{0, 20, chartWidth, 20})
	c.Texts = append(c.Texts, label{0, 14, "", show(most)}, label{0, height + 13, "", first}, label{chartWidth, height + 13, "end", last})
	c.Desc = fmt.Sprintf("One column for each period from %s to %s: between %s and %s.", first, last, show(least), show(most))
	return c
}

// Period is a column of a chart.
type Period struct {
	Name  string
	Value float64
}

// Point is a dot of a chart.
type Point struct {
	X, Y float64
	Name string // beside the dot, at most a few characters
	Said string // for those who do not see the chart
	Soft bool   // in the other colour
}

// Dots draws points: X grows to the right, Y upwards. showX and showY write the ends of the axes.
func Dots(title string, points []Point, showX, showY func(float64) string) *Chart {
	const height, left, right, top, bottom = 200.0, 64.0, 40.0, 12.0, 20.0
	c := &Chart{Title: title, Width: chartWidth, Height: int(height + bottom)}
	lowX, highX, lowY, highY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, p := range points {
		lowX, highX, lowY, highY = min(lowX, p.X), max(highX, p.X), min(lowY, p.Y), max(highY, p.Y)
	}
	at := func(v, low, high, room float64) float64 {
		if high <= low {
			return room / 2
		}
		return (v - low) / (high - low) * room
	}
	var said []string
	for i, p := range points {
		series := 0
		if p.Soft {
			series = 1
		}
		x, y := round(left+at(p.X, lowX, highX, chartWidth-left-right)), round(height-8-at(p.Y, lowY, highY, height-8-top))
		c.Points = append(c.Points, dot{class(series), x, y})
		near := slices.ContainsFunc(c.Points[:i], func(o dot) bool { return math.Abs(o.X-x) < 14 && math.Abs(o.Y-y) < 10 })
		if !near && p.Name != "" { // two names in one place could not be read
			c.Texts = append(c.Texts, label{x + 7, y + 4, "", short(p.Name, 12)})
		}
		said = append(said, p.Said)
	}
	c.Lines = append(c.Lines, axis{left - 8, height, chartWidth, height}, axis{left - 8, 0, left - 8, height})
	c.Texts = append(c.Texts, label{left - 12, top + 4, "end", showY(highY)}, label{left - 12, height - 4, "end", showY(lowY)},
		label{left - 8, height + 14, "", showX(lowX)}, label{chartWidth, height + 14, "end", showX(highX)})
	c.Desc = "Points: " + strings.Join(said, "; ") + "."
	return c
}

func class(series int) string { return []string{"one", "two"}[series%2] }

func round(f float64) float64 { return math.Round(f*10) / 10 }

// short cuts a name to n characters.
func short(name string, n int) string {
	if runes := []rune(name); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return name
}
