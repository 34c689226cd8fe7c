package focus

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"ociproxy/internal/cli"
	"ociproxy/internal/price"
	"ociproxy/internal/traffic"
)

func month(d traffic.Day) string { return d.Time().Format("2006-01") }

// inBase writes a quantity for people.
func inBase(base string, n float64) string {
	switch base {
	case baseBytes:
		return scaled(n, price.TiB.Size(), "TiB", price.GiB.Size(), "GiB")
	case baseByteMonths:
		return scaled(n, price.TiB.Size(), "TiB-month", price.GiB.Size(), "GiB-month")
	}
	return scaled(n, 1e6, "M requests", 1, "requests")
}

func scaled(n, large float64, largeName string, small float64, smallName string) string {
	if abs(n) >= large {
		return fmt.Sprintf("%.3f %s", n/large, largeName)
	}
	if small == 1 {
		return fmt.Sprintf("%.0f %s", n, smallName)
	}
	return fmt.Sprintf("%.3f %s", n/small, smallName)
}

// WriteText prints the comparison: quantities, then costs, then what is apart, and what nobody knows.
func (c *Comparison) WriteText(w io.Writer) error {
	var out strings.Builder
	c.header(&out)
	if len(c.Lines) > 0 {
		out.WriteString("\nQuantities: the bill, the stores' logs, the estimate of the proxy\n")
		t := cli.Table{Header: []string{"MONTH", "STORE", "KIND", "BILL", "LOGS", "DIFF", "ESTIMATE", "DIFF", ""}}
		for _, l := range c.Lines {
			t.Row(month(l.Month), l.Store, string(l.Kind), inBase(l.Base, l.Bill.Quantity), quantity(&l, l.Logs), differ(l.Logs, l.Bill.Quantity),
				quantity(&l, l.Estimate), differ(l.Estimate, l.Bill.Quantity), marks(&l))
		}
		tabulate(&out, &t)
		out.WriteString("\nCosts in US dollars: list cost at the provider's price list, effective cost after discounts\n")
		t = cli.Table{Header: []string{"MONTH", "STORE", "KIND", "LIST", "LOGS", "DIFF", "ESTIMATE", "DIFF", "EFFECTIVE", "BILLED"}}
		for _, l := range c.Lines {
			t.Row(month(l.Month), l.Store, string(l.Kind), dollars(l.Bill.List), usd(l.Logs), differUSD(l.Logs, l.Bill.List),
				usd(l.Estimate), differUSD(l.Estimate, l.Bill.List), dollars(l.Bill.Effective), dollars(l.Bill.Billed))
		}
		tabulate(&out, &t)
	} else {
		out.WriteString("\nNo row of the bill is for a store of the config, and nothing was counted in its months.\n")
	}
	c.reasons(&out)
	c.rest(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

func (c *Comparison) header(out *strings.Builder) {
	for _, f := range c.Files {
		if f.Skipped != "" {
			fmt.Fprintf(out, "%s: left out: %s\n", f.Name, f.Skipped)
			continue
		}
		fmt.Fprintf(out, "%s: FOCUS %s, %s, %s: %d rows, %d of them ours\n", f.Name, f.Version, f.Format, unknownIfEmpty(f.Provider), f.Rows, f.Picked)
	}
	for _, p := range c.Periods {
		if p.Open {
			fmt.Fprintf(out, "%s of %s is open: %s\n", month(p.Month), p.Provider, p.Why)
		}
	}
}

func (c *Comparison) reasons(out *strings.Builder) {
	var lines []string
	for _, l := range c.Lines {
		for _, r := range l.Reasons {
			lines = append(lines, fmt.Sprintf("  %s %s %s: %s\n", month(l.Month), l.Store, l.Kind, r.Text))
		}
	}
	if len(lines) > 0 {
		out.WriteString("\nProbable reasons\n" + strings.Join(lines, ""))
	}
}

func (c *Comparison) rest(out *strings.Builder) {
	if len(c.Apart) > 0 {
		out.WriteString("\nApart from the use of meters\n")
		t := cli.Table{Header: []string{"MONTH", "PROVIDER", "STORE", "WHAT", "EFFECTIVE", "BILLED"}}
		for _, a := range c.Apart {
			t.Row(month(a.Month), a.Provider, cmp.Or(a.Store, "(no store)"), a.What, dollars(a.Effective), dollars(a.Billed))
		}
		tabulate(out, &t)
	}
	if len(c.Unknown) > 0 {
		out.WriteString("\nMeters of our stores that the table of meters does not know\n")
		t := cli.Table{Header: []string{"PROVIDER", "SERVICE", "METER", "STORE", "QUANTITY", "EFFECTIVE"}}
		for _, u := range c.Unknown[:min(shown, len(c.Unknown))] {
			t.Row(u.Provider, u.Service, cmp.Or(u.Meter, "(no name)"), u.Store, fmt.Sprintf("%.4g %s", u.Quantity, u.Unit), dollars(u.Effective))
		}
		tabulate(out, &t)
		more(out, len(c.Unknown))
	}
	if len(c.Foreign) > 0 {
		out.WriteString("\nBuckets and CDNs on the bill that are not counted\n")
		t := cli.Table{Header: []string{"PROVIDER", "RESOURCE", "EFFECTIVE", "WHY"}}
		for _, f := range c.Foreign[:min(shown, len(c.Foreign))] {
			t.Row(f.Provider, cmp.Or(f.Resource, "(no resource)"), dollars(f.Effective), f.Why)
		}
		tabulate(out, &t)
		more(out, len(c.Foreign))
	}
	if len(c.Faults) > 0 {
		out.WriteString("\nRows with faults\n")
		for _, f := range c.Faults {
			fmt.Fprintf(out, "  %d rows, $%.2f: %s: %s\n", f.Rows, f.USD, f.What, strings.Join(f.First, ", "))
		}
	}
	if len(c.Notes) > 0 {
		out.WriteString("\nNotes\n")
		for _, n := range c.Notes {
			fmt.Fprintf(out, "  %s\n", n)
		}
	}
}

// shown is how many lines of the lists of others are printed. JSON has all.
const shown = 20

func more(out *strings.Builder, n int) {
	if n > shown {
		fmt.Fprintf(out, "  and %d more\n", n-shown)
	}
}

func tabulate(out *strings.Builder, t *cli.Table) { _, _ = t.WriteTo(out) }

func quantity(l *Line, s *Side) string {
	if s == nil {
		return "-"
	}
	return inBase(l.Base, s.Quantity)
}

func differ(s *Side, bill float64) string {
	if s == nil || bill == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.2f %%", percent(s.Quantity, bill))
}

func differUSD(s *Side, bill float64) string {
	if s == nil || bill == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.2f %%", percent(s.List, bill))
}

func usd(s *Side) string {
	if s == nil {
		return "-"
	}
	return dollars(s.List)
}

func dollars(n float64) string { return fmt.Sprintf("%.2f", n) }

func marks(l *Line) string {
	var out []string
	if l.Open {
		out = append(out, "open")
	}
	if l.Allotted != nil {
		out = append(out, "allotted")
	}
	for _, r := range l.Reasons {
		if !slices.Contains(out, r.Code) {
			out = append(out, r.Code)
		}
	}
	return strings.Join(out, ", ")
}

func unknownIfEmpty(s string) string { return cmp.Or(s, "unknown provider") }
