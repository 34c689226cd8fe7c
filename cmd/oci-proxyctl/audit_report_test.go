package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/audit"
	"ociproxy/internal/walk"
)

// A finding names the first images that it affects, and how many more there are. The list of vanished images does the
// same.
func TestAuditNamesImages(t *testing.T) {
	f := audit.Finding{Class: audit.Missing, Store: "s", Digest: "sha256:b", Detail: "no object"}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.Images = append(f.Images, audit.ImageName{Repository: name, Image: "sha256:of-" + name})
	}
	alone := audit.Finding{Class: audit.Unexpected, Store: "s", Digest: "sha256:c", Detail: "no image needs it"}
	r := &audit.Report{Findings: []audit.Finding{f, alone}}
	for range 30 {
		r.Source.Vanished = append(r.Source.Vanished, walk.Vanished{Repository: "gone", Reference: "v1"})
	}
	r.Source.Gone = 1234
	var out bytes.Buffer
	if err := (&app{stdout: &out}).writeAudit(r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a@sha256:of-a ", " b@sha256:of-b\n", " c@sha256:of-c\n", " and 2 more: --output json has them\n",
		"1,234 repositories or tags are listed and gone", "  gone v1\n", "  and 1,214 more: --output json has them\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "of-d") || strings.Count(out.String(), "gone v1") != 20 {
		t.Errorf("too much is said:\n%s", out.String())
	}
}

// The last progress line of an audit must match the final state, including what could not be read.
func TestAuditProgressEnds(t *testing.T) {
	for _, long := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			p := &audit.Progress{}
			stop := (&app{stderr: &out}).watch(p)
			p.Images.Store(1)
			if long {
				<-time.After(11 * time.Second)
			}
			p.Images.Store(7)
			p.Failed.Store(2)
			stop()
			stop()
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			last := lines[len(lines)-1]
			switch {
			case !long && out.Len() > 0:
				t.Errorf("a short audit says how far it is: %q", out.String())
			case long && (len(lines) != 2 || !strings.HasPrefix(last, "7 images walked") ||
				!strings.Contains(last, "2 images or repositories could not be read")):
				t.Errorf("%q", out.String())
			}
		})
	}
}
