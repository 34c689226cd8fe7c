package show

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/probe"
)

// These are the elements of JUnit's reports, in the order that their common schema wants.
type (
	suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     string   `xml:"time,attr"`
		Suites   []suite  `xml:"testsuite"`
	}
	suite struct {
		Name     string  `xml:"name,attr"`
		Tests    int     `xml:"tests,attr"`
		Failures int     `xml:"failures,attr"`
		Errors   int     `xml:"errors,attr"`
		Skipped  int     `xml:"skipped,attr"`
		Time     string  `xml:"time,attr"`
		Stamp    string  `xml:"timestamp,attr"`
		Hostname string  `xml:"hostname,attr"`
		Cases    []tcase `xml:"testcase"`
	}
	tcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Time    string   `xml:"time,attr"`
		Skipped *message `xml:"skipped"`
		Failure *message `xml:"failure"`
		Out     string   `xml:"system-out,omitempty"`

		findings []probe.Finding
	}
	message struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes a report as CI systems read it: one suite for each class of clients, and in it one case for each check of
// an image at a host. An error is a failure. A warning, and a check that was not made, is a skipped case with its reason,
// because these systems know nothing in between.
func JUnit(w io.Writer, r *probe.Report) error {
	all := suites{Name: "probe of " + r.Name, Time: decimal(r.Cost.Seconds)}
	for _, class := range r.Classes {
		s := suite{
			Name: class, Stamp: r.Started.UTC().Format("2006-01-02T15:04:05"), Hostname: or(r.Vantage, "localhost"),
		}
		at := map[string]int{}
		var total float64
		for _, f := range r.Findings {
			if f.As != class {
				continue
			}
			total += f.Seconds
			name := caseName(f)
			i, known := at[name]
			if !known {
				i = len(s.Cases)
				at[name] = i
				s.Cases = append(s.Cases, tcase{Name: name, Class: "probe." + f.Check})
			}
			s.Cases[i].findings = append(s.Cases[i].findings, f)
		}
		s.Time = decimal(total)
		for i := range s.Cases {
			s.Cases[i].finish()
			s.Tests++
			if s.Cases[i].Failure != nil {
				s.Failures++
			} else if s.Cases[i].Skipped != nil {
				s.Skipped++
			}
		}
		all.Tests, all.Failures = all.Tests+s.Tests, all.Failures+s.Failures
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func caseName(f probe.Finding) string {
	name := f.Check + ": " + title(f.Check)
	for _, part := range []string{f.Image, f.Host} {
		if part != "" {
			name += ", " + part
		}
	}
	return name
}

// finish judges a case by the worst of its findings.
func (c *tcase) finish() {
	var worst *probe.Finding
	var total float64
	var out strings.Builder
	for i := range c.findings {
		f := &c.findings[i]
		total += f.Seconds
		if worst == nil || slices.Index(severity, f.Result) > slices.Index(severity, worst.Result) {
			worst = f
		}
		fmt.Fprintf(&out, "%s: %s\n", f.Result, clean(f.Detail))
	}
	c.Time, c.Out = decimal(total), out.String()
	why := &message{
		Message: clean(worst.Detail), Type: string(worst.Result),
		Text: clean(fmt.Sprintf("%s\nhint: %s\nsee %s", worst.Detail, or(worst.Hint, "none"), worst.Doc)),
	}
	if worst.Result == judge.Failed {
		c.Failure = why
	} else if worst.Result == judge.Warning || worst.Result == probe.Skipped {
		c.Skipped = &message{Message: string(worst.Result) + ": " + clean(worst.Detail)}
	}
}

// clean removes what XML cannot hold. Line ends stay.
func clean(s string) string {
	lines := strings.Split(strings.ToValidUTF8(s, "?"), "\n")
	for i, l := range lines {
		lines[i] = cli.OneLine(l)
	}
	return strings.Join(lines, "\n")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func decimal(seconds float64) string {
	return strconv.FormatFloat(seconds, 'f', 3, 64)
}
