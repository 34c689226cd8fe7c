package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

// page is parsed once. html/template escapes each value for the place where it stands.
var page = template.Must(template.New("page").Parse(pageText))

type (
	pageData struct {
		Title    string
		Cards    []card
		Warnings []string
		Charts   []*chart
		Sections []pageSection
		Billed   string
	}
	card        struct{ Label, Value, Note string }
	pageSection struct {
		ID, Title, About, None, More string
		Header                       []headCell
		Rows                         [][]bodyCell
		Notes                        []string
	}
	headCell struct {
		Name   string
		Number bool
	}
	bodyCell struct {
		Label, Text, Class string
		Code               bool
	}
)

// WriteHTML writes the report as one page that needs no other file, no script and no network. top is how many rows a
// table may have; 0: all.
func (r *Report) WriteHTML(w io.Writer, top int) error {
	data := pageData{Title: fmt.Sprintf("What the registry cost, %s to %s", r.Begin, r.lastDay()), Cards: r.cards(), Charts: r.charts()}
	for _, text := range r.Warnings {
		data.Warnings = append(data.Warnings, cleanTo(maxWarning, text))
	}
	for _, s := range r.sections(top) {
		data.Sections = append(data.Sections, s.page())
	}
	if r.Billed != nil {
		var text bytes.Buffer
		if err := r.Billed.WriteText(&text); err != nil {
			return err
		}
		data.Billed = text.String()
	}
	var out bytes.Buffer
	if err := page.Execute(&out, &data); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}

// A number of up to maxNumber characters stays on one line, and a word of up to maxWord is not broken.
const (
	maxNumber = 12
	maxWord   = 20
)

// page returns the table for the page.
func (s *section) page() pageSection {
	out := pageSection{ID: s.id, Title: s.title, About: clean(s.about), None: clean(s.none), Notes: s.notes}
	if s.more > 0 {
		out.More = count(float64(s.more))
	}
	for i, h := range s.header {
		out.Header = append(out.Header, headCell{sentence(h), s.numbers[i]})
	}
	for _, row := range s.rows {
		cells := make([]bodyCell, 0, len(row))
		for i, text := range row {
			cell := bodyCell{sentence(s.header[i]), text, "", i+1 == s.code}
			switch {
			case s.numbers[i] && len(text) <= maxNumber:
				cell.Text, cell.Class = strings.ReplaceAll(text, " ", "\u00a0"), "n"
			case s.numbers[i]:
				cell.Class = "n"
			case slices.ContainsFunc(strings.Fields(text), func(w string) bool { return len(w) > maxWord }):
				cell.Class = "long"
			}
			cells = append(cells, cell)
		}
		out.Rows = append(out.Rows, cells)
	}
	return out
}

// sentence writes a header of a text table as other texts are written. Abbreviations stay.
func sentence(header string) string {
	words := strings.Fields(header)
	for i, w := range words {
		switch {
		case w == "TB":
		case i == 0:
			words[i] = w[:1] + strings.ToLower(w[1:])
		default:
			words[i] = strings.ToLower(w)
		}
	}
	return strings.Join(words, " ")
}

// cards are the figures that people look for first: those of the whole report.
func (r *Report) cards() []card {
	var with, without, saved Money
	var bytes, downloads float64
	for i := range r.Months {
		m := &r.Months[i]
		for sum, add := range map[*Money]*Money{&with: &m.With, &without: &m.Without, &saved: &m.Saved} {
			sum.USD, sum.Low, sum.High = sum.USD+add.USD, sum.Low+add.Low, sum.High+add.High
		}
		bytes += m.Bytes
		downloads += m.Downloads
	}
	left := 0.0
	for i := range r.Left {
		left += r.Left[i].USD - r.Left[i].Instead
	}
	return []card{
		{"Cost", dollars(with.USD), with.between()},
		{"Without the proxy", dollars(without.USD), without.between()},
		{"Saved", dollars(saved.USD), saved.between()},
		{"Left on the table", dollars(left), "see the list below"},
		{"Downloaded", size(bytes), count(downloads) + " downloads"},
	}
}

// between returns the range of an amount; "" when it is known.
func (m Money) between() string {
	if dollars(m.Low) == dollars(m.High) {
		return ""
	}
	return dollars(m.Low) + " to " + dollars(m.High)
}
