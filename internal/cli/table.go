package cli

import (
	"bytes"
	"io"
	"strings"
	"text/tabwriter"
)

// Table collects rows and writes them aligned, two spaces between columns, no trailing blanks.
// The zero value is an empty table without a header.
type Table struct {
	Header []string
	// Paint chooses the colour of a cell; nil paints nothing. It is asked only for the column
	// Painted, and only when Color is true.
	Color   bool
	Painted int
	Paint   func(cell string) Color
	rows    [][]string
}

// Row adds a row. Tabs and line ends in cells become spaces: a cell may hold a server's text.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Len is the number of rows, the header not counted.
func (t *Table) Len() int { return len(t.rows) }

// WriteTo writes the table.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	var aligned bytes.Buffer
	tw := tabwriter.NewWriter(&aligned, 0, 8, 2, ' ', 0)
	if t.Header != nil {
		t.line(tw, t.Header, true)
	}
	for _, r := range t.rows {
		t.line(tw, r, false)
	}
	if err := tw.Flush(); err != nil {
		return 0, err
	}
	var out bytes.Buffer
	for line := range strings.Lines(aligned.String()) {
		out.WriteString(strings.TrimRight(line, " \n"))
		out.WriteByte('\n')
	}
	return out.WriteTo(w)
}

func (t *Table) line(tw io.Writer, cells []string, header bool) {
	out := make([]string, len(cells))
	for i, c := range cells {
		c = OneLine(c)
		if t.Color && t.Paint != nil && i == t.Painted {
			color := Plain
			if !header {
				color = t.Paint(c)
			}
			// Every cell of the column is painted, the header too: all codes have the same
			// length, so tabwriter, which counts them as text, still aligns.
			c = color.always(c)
		}
		out[i] = c
	}
	_, _ = io.WriteString(tw, strings.Join(out, "\t")+"\n")
}

// OneLine makes text from outside fit for one line of a terminal: control characters become spaces.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
