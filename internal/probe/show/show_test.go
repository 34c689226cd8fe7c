package show

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/probe"
)

var update = flag.Bool("update", false, "write the expected outputs")

// report is a report of the machine of the probe and of 150 classes, two of which differ.
func report() *probe.Report {
	r := &probe.Report{
		Name: "registry.example.org", Vantage: "office", Started: time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC),
		Images: []string{"pause:3.9"}, Classes: []string{"self"},
		Limits: probe.Cost{Requests: 5000, Bytes: 1 << 30, Seconds: 600}, Cost: probe.Cost{Requests: 1234, Bytes: 35 << 20, Seconds: 61.24},
		Hosts: []probe.HostReport{
			{Host: "registry.example.org", Kind: "registry", Proto: "HTTP/2", TLSUntil: time.Date(2027, 1, 30, 0, 0, 0, 0, time.UTC), FirstByte: 0.0213},
			{Host: "s3.example", Kind: "blob", Proto: "HTTP/1.1", FirstByte: 1.5, BytesPerSecond: 12 << 20},
		},
	}
	add := func(f probe.Finding) {
		if f.Result == "" {
			f.Result, f.Detail = judge.OK, "right"
		}
		f.Doc = "docs/proving-a-deployment.md#" + probe.Anchor(f.Check)
		f.Seconds = 0.25
		r.Findings = append(r.Findings, f)
		switch f.Result {
		case judge.Failed:
			r.Errors++
		case judge.Warning:
			r.Warnings++
		case probe.Skipped:
			r.Skipped++
		default:
			r.Passed++
		}
	}
	add(probe.Finding{Check: "ping", As: "self", Host: "registry.example.org"})
	add(probe.Finding{Check: "h2", As: "self", Host: "registry.example.org", Result: judge.Warning, Detail: "no HTTP/2", Hint: "switch HTTP/2 on"})
	for i := range 151 {
		as := "self"
		if i > 0 {
			as = fmt.Sprintf("aws/place-%03d ipv4", i)
			r.Classes = append(r.Classes, as)
		}
		add(probe.Finding{Check: "redirect", As: as, Image: "pause:3.9", Host: "s3.example"})
		one := probe.Finding{Check: "range.first", As: as, Image: "pause:3.9", Host: "s3.example"}
		switch i {
		case 7, 100:
			one.Result, one.Detail, one.Hint = judge.Failed, "200 to | a range\x1b[31m <b>of</b> @someone", "allow ranges"
		case 0:
			one.Result, one.Detail = probe.Skipped, "not asked: the bounds of the run are reached"
		}
		add(one)
		add(one) // of another blob
	}
	return r
}

func TestGoldens(t *testing.T) {
	for name, write := range map[string]func(*bytes.Buffer, *probe.Report) error{
		"report.txt":      func(b *bytes.Buffer, r *probe.Report) error { return Text(b, r, false) },
		"report.markdown": func(b *bytes.Buffer, r *probe.Report) error { return Markdown(b, r) },
		"self.txt":        func(b *bytes.Buffer, r *probe.Report) error { return Text(b, self(r), false) },
		"many.markdown":   func(b *bytes.Buffer, r *probe.Report) error { return Markdown(b, different(r)) },
		"self.junit":      func(b *bytes.Buffer, r *probe.Report) error { return JUnit(b, self(r)) },
		"colours.txt":     func(b *bytes.Buffer, r *probe.Report) error { return Text(b, self(r), true) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := write(&out, report()); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if name != "colours.txt" && strings.Contains(out.String(), "\x1b") {
				t.Error("a control character of a server came through")
			}
		})
	}
}

// self keeps what the machine of the probe asked.
func self(r *probe.Report) *probe.Report {
	r.Classes = r.Classes[:1]
	kept := r.Findings[:0]
	for _, f := range r.Findings {
		if f.As == probe.Self.Name {
			kept = append(kept, f)
		}
	}
	r.Findings = kept
	r.Errors = 0
	return r
}

// different gives each of twelve classes a fault of its own: more columns than fit, and more faults than a comment has.
func different(r *probe.Report) *probe.Report {
	for i, check := range probe.Checks()[10:34] {
		r.Errors++
		r.Findings = append(r.Findings, probe.Finding{
			Check: check.ID, As: r.Classes[1+i], Result: judge.Failed, Detail: strings.Repeat("very long ", 40), Doc: check.Doc(),
		})
	}
	return r
}

// What CI systems count must be what the report says. A case is one check of one image at one host.
func TestJUnitCounts(t *testing.T) {
	r := report()
	var out bytes.Buffer
	if err := JUnit(&out, r); err != nil {
		t.Fatal(err)
	}
	var got struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Suites   []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Skipped  int    `xml:"skipped,attr"`
			Cases    []struct {
				Name    string    `xml:"name,attr"`
				Skipped *struct{} `xml:"skipped"`
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Suites) != len(r.Classes) || got.Tests != 2+2*151 || got.Failures != 2 {
		t.Errorf("%d suites, %d tests, %d failures", len(got.Suites), got.Tests, got.Failures)
	}
	for i, s := range got.Suites {
		failures, skipped := 0, 0
		names := map[string]bool{}
		for _, c := range s.Cases {
			if names[c.Name] {
				t.Errorf("%s has %q twice", s.Name, c.Name)
			}
			names[c.Name] = true
			if c.Failure != nil {
				failures++
			}
			if c.Skipped != nil {
				skipped++
			}
		}
		if s.Name != r.Classes[i] || s.Tests != len(s.Cases) || s.Failures != failures || s.Skipped != skipped {
			t.Errorf("suite %d: %+v", i, s)
		}
	}
	if s := got.Suites[0]; s.Skipped != 2 || s.Failures != 0 { // a warning, and what was not asked
		t.Errorf("the first suite: %+v", s)
	}
	if s := got.Suites[7]; s.Failures != 1 {
		t.Errorf("the suite with a fault: %+v", s)
	}
}

// A class that was not asked something is no other class than one for which it was right.
func TestBlanksAreNoDifference(t *testing.T) {
	r := &probe.Report{Classes: []string{probe.Self.Name, "a", "b"}, Findings: []probe.Finding{
		{Check: "range.first", As: "a", Result: judge.OK}, {Check: "blob", As: "a", Result: judge.OK}, {Check: "blob", As: "b", Result: judge.OK},
	}}
	if m := newMatrix(r); len(m.columns) != 2 {
		t.Errorf("%d columns, want self and the others: %+v", len(m.columns), m.columns)
	}
	r.Findings[0].Result = judge.Failed
	if m := newMatrix(r); len(m.columns) != 3 {
		t.Errorf("%d columns with a fault, want 3: %+v", len(m.columns), m.columns)
	}
}
