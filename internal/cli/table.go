package cli

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Table collects rows and writes them aligned, with two spaces between columns and no trailing blanks. A sentence that
// is too long for a cell, such as an error, is cut in the table and printed below it. The zero value is an empty table
// without a header.
type Table struct {
	Header []string
	// Paint chooses the colour of a cell. nil paints nothing. It is called only for the column Painted, and only when
	// Color is true.
	Color   bool
	Painted int
	Paint   func(cell string) Color
	rows    [][]string
	below   []string
}

// maxCell is how many characters of a sentence fit into a cell, maxBelow is how many are printed below the table, and
// maxLines is how many sentences are printed there.
const (
	maxCell  = 200
	maxBelow = 1000
	maxLines = 20
)

// Row adds a row. Tabs and line ends in cells become spaces, because a cell may have text from a server.
func (t *Table) Row(cells ...string) {
	cells = slices.Clone(cells)
	for i, c := range cells {
		c = OneLine(c)
		if utf8.RuneCountInString(c) <= maxCell || !strings.Contains(c, " ") {
			continue // people copy digests and names from tables
		}
		cells[i] = clip(c, maxCell)
		if i > 0 {
			c = cells[0] + ": " + c
		}
		if line := strings.TrimSpace(clip(c, maxBelow)); len(t.below) < maxLines && !slices.Contains(t.below, line) {
			t.below = append(t.below, line)
		}
	}
	t.rows = append(t.rows, cells)
}

// List adds a row whose cells are never cut. Use it for lists of short words.
func (t *Table) List(cells ...string) { t.rows = append(t.rows, cells) }

// clip shortens text to at most n characters. It cuts at a blank if there is one nearby.
func clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	head := string([]rune(text)[:n-2])
	if i := strings.LastIndexByte(head, ' '); i > len(head)*3/4 {
		head = head[:i]
	}
	return head + " …"
}

// Len returns the number of rows, without the header.
func (t *Table) Len() int { return len(t.rows) }

// WriteTo writes the table, and below it the sentences that were cut.
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
	for _, line := range t.below {
		out.WriteString(line + "\n")
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
			// Every cell of the column is painted, also the header. All codes have the same length, so tabwriter, which
			// counts them as text, still aligns the column.
			c = color.always(c)
		}
		out[i] = c
	}
	_, _ = io.WriteString(tw, strings.Join(out, "\t")+"\n")
}

// OneLine makes text from outside fit for one line of a terminal. Control characters become spaces.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
