package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"ociproxy/internal/bill"
	"ociproxy/internal/cli"
)

// section is one table of a report for people, in any format.
type section struct {
	id, title string
	about     string // one sentence below the title
	header    []string
	numbers   []bool // which columns are numbers
	rows      [][]string
	more      int      // rows that are left out
	code      int      // 1 + the column with a command; 0: none
	none      string   // what is said when there are no rows
	notes     []string // below the table
}

// newSection makes an empty table. A header that begins with # is that of numbers.
func newSection(id, title, about, none string, header ...string) *section {
	s := &section{id: id, title: title, about: about, none: none}
	for _, h := range header {
		name, number := strings.CutPrefix(h, "#")
		s.header, s.numbers = append(s.header, name), append(s.numbers, number)
	}
	return s
}

// row adds a row, unless there are top of them; top is 0 for all.
func (s *section) row(top int, cells ...string) {
	if top > 0 && len(s.rows) >= top {
		s.more++
		return
	}
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	s.rows = append(s.rows, cells)
}

// How long a text of a table may be, and a warning, which ends with what to do. Names come from clients, who choose how
// long they are.
const (
	maxCell    = 160
	maxWarning = 600
)

// clean makes a text fit to be shown: names come from logs, and so from clients. It drops what moves the cursor, changes
// the direction of writing, or cannot be seen.
func clean(text string) string { return cleanTo(maxCell, text) }

func cleanTo(most int, text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, cli.OneLine(strings.ToValidUTF8(text, "")))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-2]) + " …"
	}
	return text
}

// headline says in a sentence what each month cost and saved.
func (r *Report) headline() (out []string) {
	for i := range r.Months {
		m := &r.Months[i]
		saved, verb := m.Saved.USD, "saved"
		if saved < 0 {
			saved, verb = -saved, "cost more than without it, by"
		}
		part := ""
		if m.partial() {
			part = fmt.Sprintf(" (%s)", cli.Count(int64(m.Days), "day"))
		}
		out = append(out, fmt.Sprintf("%s%s: %s, without the proxy %s; it %s %s.", m.Month, part, dollars(m.With.USD), dollars(m.Without.USD), verb, dollars(saved)))
	}
	return out
}

// sections lists the tables. top is how many rows each may have; 0: all.
func (r *Report) sections(top int) []*section {
	all := []*section{
		r.monthSection(), r.itemSection(top), r.flowSection(top),
		totalSection("clouds", "By cloud of the client", r.Clouds, "CLOUD", top),
		totalSection("stores", "By store", r.Stores, "STORE", top),
		r.repositorySection(top),
	}
	if r.Per == PerDay {
		days := totalSection("days", "By day", r.Periods, "DAY", 0)
		all = slices.Insert(all, 2, days)
	}
	if len(r.Objects) > 0 {
		all = append(all, r.objectSection(top))
	}
	all = append(all, r.moverSection(top), r.leftSection(top))
	if len(r.Other) > 0 {
		all = append(all, r.otherSection(top))
	}
	all = append(all, r.sourceSection(top))
	if len(r.Delivered) > 0 {
		all = append(all, r.deliveredSection(top))
	}
	return all
}

func (r *Report) monthSection() *section {
	s := newSection("months", "Cost and savings by month",
		"Bills for all traffic, storage and the front, and for the same downloads from "+r.Canonical+" alone. In parentheses: the range.",
		"No days.", "MONTH", "#COST", "#WITHOUT THE PROXY", "#SAVED", "#DOWNLOADS", "#BYTES", "#PER TB", "#PER MILLION DOWNLOADS")
	for i := range r.Months {
		m := &r.Months[i]
		name := m.Month
		if m.partial() {
			name += fmt.Sprintf(" (%s)", cli.Count(int64(m.Days), "day"))
		}
		s.row(0, name, m.With.span(), m.Without.span(), m.Saved.span(), count(m.Downloads), size(m.Bytes), dollars(m.PerTB), dollars(m.PerMillion))
	}
	return s
}

// itemSection adds up the lines of all bills by store and item: transfer, requests, storage and the front.
func (r *Report) itemSection(top int) *section {
	s := newSection("items", "What the bills are made of", "All months, without what costs nothing. Quantities are in the unit of the price.", "Nothing costs anything.",
		"STORE", "ITEM", "#QUANTITY", "#COST", "PRICE")
	type key struct{ store, item, unit string }
	sums := map[key]*Line{}
	for i := range r.Months {
		for j := range r.Months[i].Lines {
			l := &r.Months[i].Lines[j]
			k := key{l.Store, l.Item, l.Unit}
			if l.Store == "" {
				k = key{"-", strings.TrimSpace(l.Provider + " " + l.Item + " " + l.From), l.Unit}
			}
			if sums[k] == nil {
				sums[k] = &Line{}
			}
			sum := sums[k]
			sum.Quantity += l.Quantity
			sum.USD, sum.Low, sum.High = sum.USD+l.USD, sum.Low+l.Low, sum.High+l.High
			sum.Estimate = sum.Estimate || l.Estimate
		}
	}
	keys := sortedKeys(sums, func(a, b key) int {
		return cmp.Or(cmp.Compare(sums[b].USD, sums[a].USD), strings.Compare(a.store, b.store), strings.Compare(a.item, b.item), strings.Compare(a.unit, b.unit))
	})
	for _, k := range keys {
		l := sums[k]
		if l.USD == 0 && l.High == 0 {
			continue
		}
		price, used := "price list or config", quantity(l.Quantity, k.unit)
		if strings.HasPrefix(k.item, bill.Fixed+" ") {
			used = "-"
		}
		if l.Estimate {
			price = "estimate"
		}
		s.row(top, k.store, k.item, used, l.span(), price)
	}
	return s
}

func (r *Report) flowSection(top int) *section {
	s := newSection("flows", "Downloads by client and store", "The most expensive first. Costs are allotted from the bills.", "No downloads.",
		"PERIOD", "CLIENT", "STORE", "#REQUESTS", "#BYTES", "#COST", "#FROM CANONICAL")
	for i := len(r.Periods) - 1; i >= 0; i-- { // the last period is the one that people look for
		n := 0
		for j := range r.Flows {
			f := &r.Flows[j]
			if f.Period != r.Periods[i].Name {
				continue
			}
			if n++; top > 0 && n > top {
				s.more++
				continue
			}
			client := placeName(f.Cloud, f.Region)
			if f.Class == "endpoint" {
				client += " (endpoint)"
			}
			s.row(0, f.Period, client, f.Store, count(f.Requests), f.volume(), dollars(f.USD), dollars(f.Without))
		}
	}
	return s
}

// placeName returns the name of a client's place.
func placeName(cloud, region string) string {
	switch {
	case cloud == "":
		return Unknown
	case region == "":
		return cloud
	}
	return cloud + "/" + region
}

// fewRequests is the number of requests from which an estimate of a sampled log is good enough to stand alone.
const fewRequests = 10_000

// volume returns the bytes, with their error where a log was sampled.
func (s *Sum) volume() string {
	if s.Error == 0 || s.Requests >= fewRequests && s.Error < 0.02 {
		return size(s.Bytes)
	}
	return size(s.Bytes) + " ± " + percent(s.Error)
}

func totalSection(id, title string, totals []Total, name string, top int) *section {
	s := newSection(id, title, "", "No downloads.", name, "#REQUESTS", "#BYTES", "#COST", "#FROM CANONICAL")
	for i := range totals {
		t := &totals[i]
		s.row(top, t.Name, count(t.Requests), t.volume(), dollars(t.USD), dollars(t.Without))
	}
	return s
}

func (r *Report) repositorySection(top int) *section {
	s := totalSection("repositories", "By repository", r.Repositories, "REPOSITORY", top)
	s.none = "No source tells repositories: only the proxy's own request log does (--logs)."
	if len(r.Repositories) > 0 {
		s.about = fmt.Sprintf("What the proxy's request log tells: %s, which is %s of the downloads.", size(r.Known.Bytes), percent(r.Known.Share))
	}
	return s
}

func (r *Report) objectSection(top int) *section {
	s := newSection("objects", "By blob", "As far as logs tell digests.", "", "DIGEST", "#REQUESTS", "#BYTES")
	for _, o := range r.Objects {
		s.row(top, cmp.Or(o.Digest, "(the others)"), count(o.Requests), size(o.Bytes))
	}
	return s
}

func (r *Report) moverSection(top int) *section {
	s := newSection("movers", "What changed most", "", "The report has no two whole periods to compare: --begin with an earlier day.",
		"WHAT", "#BYTES BEFORE", "#BYTES", "#COST BEFORE", "#COST", "#CHANGE")
	if len(r.Compared) == 2 {
		s.about = fmt.Sprintf("%s against %s.", r.Compared[1], r.Compared[0])
	}
	for i := range r.Movers {
		m := &r.Movers[i]
		if math.Abs(m.Change) < 0.005 {
			continue // nothing that the table would show
		}
		change := dollars(m.Change)
		if m.Change > 0 {
			change = "+" + change
		}
		s.row(top, m.Kind+" "+m.Name, size(m.Was.Bytes), size(m.Is.Bytes), dollars(m.Was.USD), dollars(m.Is.USD), change)
	}
	return s
}

func (r *Report) leftSection(top int) *section {
	s := newSection("left", "Money left on the table",
		"Bytes that crossed the border of a cloud although the config has a store in that cloud.",
		"None: no bytes crossed the border of a cloud that has a cheaper store.",
		"CLIENTS", "SERVED BY", "INSTEAD OF", "#BYTES", "#LOST", "REASON", "REMEDY")
	s.code = 7
	said := map[string]bool{}
	for i := range r.Left {
		l := &r.Left[i]
		n := len(s.rows)
		s.row(top, l.Cloud, l.From, l.Store, l.volume(), dollars(l.USD-l.Instead), l.Reason, l.Remedy)
		if len(s.rows) > n && !said[l.Reason] {
			said[l.Reason] = true
			s.notes = append(s.notes, clean(l.Reason+": "+l.Why))
		}
	}
	return s
}

func (r *Report) otherSection(top int) *section {
	s := newSection("other", "Traffic that no client caused", "Only the stores' logs have it. The bills contain it, the tables above do not.", "",
		"PERIOD", "STORE", "CLASS", "TO", "#REQUESTS", "#BYTES", "#COST")
	for i := range r.Other {
		f := &r.Other[i]
		s.row(top, f.Period, f.Store, string(f.Class), placeName(f.Cloud, f.Region), count(f.Requests), f.volume(), dollars(f.USD))
	}
	return s
}

func (r *Report) sourceSection(top int) *section {
	s := newSection("sources", "Which source counts", "Sources that tell of the same requests are compared and never added up.", "No source told anything.",
		"STORE", "DAYS", "COUNTS", "WHY", "STORE LOG", "PROXY LOG", "PROMETHEUS", "#COMPLETE")
	for i := range r.Sources {
		c := &r.Sources[i]
		told := map[string]string{}
		for _, t := range c.Told {
			told[string(t.Source)] = count(t.Requests) + " (" + size(t.Bytes) + ")"
		}
		complete := "-"
		if c.Complete > 0 {
			complete = percent(c.Complete)
		}
		s.row(top, c.Store, daySpan(c.First, c.Last, c.Days), string(c.Count), c.Why, cmp.Or(told["store"], "-"), cmp.Or(told["proxy"], "-"), cmp.Or(told["prometheus"], "-"), complete)
	}
	return s
}

func (r *Report) deliveredSection(top int) *section {
	learned := r.Delivered[0].Learned
	from := learned[0]
	if n := len(learned); n > 1 {
		from = fmt.Sprintf("%s to %s (%s)", from, learned[n-1], cli.Count(int64(n), "day"))
	}
	s := newSection("delivered", "Cut downloads", "What clients asked for, by the proxy's log, and what they got of it, as learned from "+from+".", "",
		"STORE", "DAYS", "#ASKED", "#SENT", "#FACTOR", "#MAY BE OFF")
	for i := range r.Delivered {
		d := &r.Delivered[i]
		off := "not known"
		if d.Error > 0 {
			off = "± " + percent(d.Error)
		}
		s.row(top, d.Store, daySpan(d.First, d.Last, d.Days), size(d.Asked), size(d.Sent), fmt.Sprintf("%.3f", d.Factor), off)
	}
	return s
}

// daySpan names n days between two.
func daySpan(first, last string, n int) string {
	if n <= 1 {
		return first
	}
	return fmt.Sprintf("%s to %s (%d)", first, last, n)
}
