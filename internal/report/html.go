package report

import (
	"bytes"
	"fmt"
	"io"

	"ociproxy/internal/page"
)

// WriteHTML writes the report as one page that needs no other file, no script and no network. top is how many rows a
// table may have; 0: all.
func (r *Report) WriteHTML(w io.Writer, top int) error {
	p := page.Page{
		Title: fmt.Sprintf("What the registry cost, %s to %s", r.Begin, r.lastDay()),
		About: "Days in UTC, US dollars, 1 TB = 10¹² bytes. Made by oci-proxyctl report.",
		Cards: r.cards(), Charts: r.charts(),
	}
	for _, text := range r.Warnings {
		p.Warnings = append(p.Warnings, cleanTo(maxWarning, text))
	}
	for _, s := range r.sections(top) {
		p.Sections = append(p.Sections, s.page())
	}
	if r.Billed != nil {
		var text bytes.Buffer
		if err := r.Billed.WriteText(&text); err != nil {
			return err
		}
		p.Sections = append(p.Sections, page.Section{ID: "bill", Title: "The bill", Pre: text.String()})
	}
	return p.Write(w)
}

// page returns the table for the page.
func (s *section) page() page.Section {
	out := page.Section{
		ID: s.id, Title: s.title, About: clean(s.about), None: clean(s.none), Notes: s.notes, Header: s.header, Numbers: s.numbers, Rows: s.rows, Code: s.code,
	}
	if s.more > 0 {
		out.More = "and " + count(float64(s.more)) + " more: --top 0 or --output json has all"
	}
	return out
}

// cards are the figures that people look for first: those of the whole report.
func (r *Report) cards() []page.Card {
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
	return []page.Card{
		{Label: "Cost", Value: dollars(with.USD), Note: with.between()},
		{Label: "Without the proxy", Value: dollars(without.USD), Note: without.between()},
		{Label: "Saved", Value: dollars(saved.USD), Note: saved.between()},
		{Label: "Left on the table", Value: dollars(left), Note: "see the list below"},
		{Label: "Downloaded", Value: size(bytes), Note: count(downloads) + " downloads"},
	}
}

// between returns the range of an amount; "" when it is known.
func (m Money) between() string {
	if dollars(m.Low) == dollars(m.High) {
		return ""
	}
	return dollars(m.Low) + " to " + dollars(m.High)
}
