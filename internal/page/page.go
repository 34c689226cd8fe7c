// Package page writes a page of figures, charts and tables that is one file: no script, no network, readable on a
// telephone and in print.
//
// It must not know what the figures are about. Its callers clean texts that come from strangers; it escapes them.
package page

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var text string

// layout is parsed once. html/template escapes each value for the place where it stands.
var layout = template.Must(template.New("page").Parse(text))

// Page is the whole of a page.
type Page struct {
	Title    string
	About    string // a line below the title
	Cards    []Card
	Warnings []string
	Charts   []*Chart
	Sections []Section
}

// Card is a figure that people look for first.
type Card struct{ Label, Value, Note string }

// Section is a table with its texts, or lines that keep their form.
type Section struct {
	ID     string // unique on the page, of letters, digits and hyphens
	Title  string
	About  string // below the title
	Header []string
	// Numbers says which columns have numbers; it is as long as Header.
	Numbers []bool
	Rows    [][]string
	Code    int      // 1 + the column with a command; 0: none
	More    string   // below the table: what is left out
	None    string   // in place of a table without rows
	Notes   []string // below the table
	Pre     string   // below all
}

// Heading is the name of a column.
type Heading struct {
	Name   string
	Number bool
}

// Cell is a field of a table. On a telephone, its label stands beside it.
type Cell struct {
	Label, Text, Class string
	Code               bool
}

// Write writes the page. Nothing is written when there is an error.
func (p *Page) Write(w io.Writer) error {
	var out bytes.Buffer
	if err := layout.Execute(&out, p); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}

// Heads returns the headings, for the layout.
func (s *Section) Heads() (out []Heading) {
	for i, h := range s.Header {
		out = append(out, Heading{sentence(h), s.Numbers[i]})
	}
	return out
}

// A number of up to maxNumber characters stays on one line, and a word of up to maxWord is not broken.
const (
	maxNumber = 12
	maxWord   = 20
)

// Cells returns the rows, for the layout.
func (s *Section) Cells() (out [][]Cell) {
	for _, row := range s.Rows {
		cells := make([]Cell, 0, len(row))
		for i, text := range row {
			cell := Cell{sentence(s.Header[i]), text, "", i+1 == s.Code}
			switch {
			case s.Numbers[i] && len(text) <= maxNumber:
				cell.Text, cell.Class = strings.ReplaceAll(text, " ", "\u00a0"), "n"
			case s.Numbers[i]:
				cell.Class = "n"
			case slices.ContainsFunc(strings.Fields(text), func(w string) bool { return len(w) > maxWord }):
				cell.Class = "long"
			}
			cells = append(cells, cell)
		}
		out = append(out, cells)
	}
	return out
}

// sentence writes a header of a text table as other texts are written. Abbreviations stay.
func sentence(header string) string {
	words := strings.Fields(header)
	for i, w := range words {
		switch {
		case w == "TB", w == "USD", w == "P95":
		case i == 0:
			words[i] = strings.ToUpper(w[:1]) + strings.ToLower(w[1:])
		default:
			words[i] = strings.ToLower(w)
		}
	}
	return strings.Join(words, " ")
}
