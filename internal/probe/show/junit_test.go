package show

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"testing"
)

// shape is what the schema that Jenkins' plugins use (junit-10.xsd) permits, as far as we use it: the attributes of each
// element, those required first, and the elements in it.
var shape = map[string]struct{ required, optional, children []string }{
	"testsuites": {nil, []string{"name", "time", "tests", "failures", "errors"}, []string{"testsuite"}},
	"testsuite":  {[]string{"name", "tests", "failures", "errors"}, []string{"time", "skipped", "timestamp", "hostname"}, []string{"testcase"}},
	"testcase":   {[]string{"name"}, []string{"time", "classname"}, []string{"skipped", "failure", "system-out"}},
	"skipped":    {nil, []string{"type", "message"}, nil},
	"failure":    {nil, []string{"type", "message"}, nil},
	"system-out": {nil, nil, nil},
}

func TestJUnitShape(t *testing.T) {
	var out bytes.Buffer
	if err := JUnit(&out, report()); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(&out)
	var in []string
	seen := map[string]int{}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			name := e.Name.Local
			s, known := shape[name]
			if !known || len(in) > 0 && !slices.Contains(shape[in[len(in)-1]].children, name) {
				t.Fatalf("<%s> in %q", name, in)
			}
			var attributes []string
			for _, a := range e.Attr {
				attributes = append(attributes, a.Name.Local)
				if a.Name.Local == "time" && !regexp.MustCompile(`^\d+\.\d{3}$`).MatchString(a.Value) {
					t.Errorf("time %q", a.Value)
				}
				if !slices.Contains(slices.Concat(s.required, s.optional), a.Name.Local) {
					t.Errorf("<%s %s>", name, a.Name.Local)
				}
			}
			for _, r := range s.required {
				if !slices.Contains(attributes, r) {
					t.Errorf("<%s> without %s", name, r)
				}
			}
			in = append(in, name)
			seen[name]++
		case xml.EndElement:
			in = in[:len(in)-1]
		}
	}
	for name := range shape {
		if seen[name] == 0 {
			t.Errorf("no <%s>", name)
		}
	}
}
