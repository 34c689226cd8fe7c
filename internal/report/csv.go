package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// WriteCSV writes all tables in one, for spreadsheets and scripts. The first column says which table a row belongs to:
// month, flow, repository, object, left or other. Do not add up rows of different tables.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true // RFC 4180
	record := func(cells ...string) {
		for i := range cells {
			cells[i] = inCSV(cells[i])
		}
		_ = out.Write(cells) // Error tells below
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	record("table", "period", "cloud", "region", "store", "class", "name", "reason", "requests", "bytes", "bytes_error", "usd", "usd_low", "usd_high", "usd_without")
	for i := range r.Months {
		m := &r.Months[i]
		for j, side := range [][]Line{m.Lines, m.WithoutLines} {
			table := []string{"bill", "bill-without"}[j]
			for _, l := range side {
				record(table, m.Month, "", "", l.Store, "", strings.Join([]string{l.Provider, l.Item, l.From, l.To}, " "), "", "", number(l.Quantity), "", number(l.USD), number(l.Low), number(l.High), "")
			}
		}
		record("month", m.Month, "", "", "", "", "", "", number(m.Downloads), number(m.Bytes), "", number(m.With.USD), number(m.With.Low), number(m.With.High), number(m.Without.USD))
	}
	flow := func(table string, f *Flow) {
		record(table, f.Period, f.Cloud, f.Region, f.Store, string(f.Class), "", "", number(f.Requests), number(f.Bytes), number(f.Error), number(f.USD), "", "", number(f.Without))
	}
	for i := range r.Flows {
		flow("flow", &r.Flows[i])
	}
	for i := range r.Other {
		flow("other", &r.Other[i])
	}
	for i := range r.Repositories {
		t := &r.Repositories[i]
		record("repository", "", "", "", "", "", t.Name, "", number(t.Requests), number(t.Bytes), number(t.Error), number(t.USD), "", "", number(t.Without))
	}
	for _, o := range r.Objects {
		record("object", "", "", "", "", "", o.Digest, "", number(o.Requests), number(o.Bytes), "", "", "", "", "")
	}
	for i := range r.Left {
		l := &r.Left[i]
		record("left", "", l.Cloud, "", l.From, "", l.Store, l.Reason, number(l.Requests), number(l.Bytes), number(l.Error), number(l.USD), "", "", "")
	}
	out.Flush()
	return out.Error()
}

// inCSV makes a text safe for spreadsheets, which take a cell that begins with one of these characters for a formula.
// Our own numbers may be negative.
func inCSV(text string) string {
	text = clean(text)
	if text == "" || !strings.ContainsRune("=+-@\t\r|%", rune(text[0])) {
		return text
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && text[0] == '-' {
		return text
	}
	return "'" + text
}
