package place

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Place{
		"aws/us-east-1": {"aws", "us-east-1"},
		"onprem/berlin": {"onprem", "berlin"},
		"a/1":           {"a", "1"},
	} {
		if got, err := Parse(in); err != nil || got != want || got.String() != in {
			t.Errorf("Parse(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "/", "aws", "aws/", "/us-east-1", "aws/us-east-1/a", "AWS/us-east-1", "aws/us_east_1", "aws/-a", "aws/a-",
		"aws/ä", "aws/a b", "aws/a\n", "aws/" + strings.Repeat("a", 64),
	} {
		if got, err := Parse(in); err == nil || !got.IsZero() {
			t.Errorf("Parse(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"aws/us-east-1", "onprem/berlin", "aws", "a//b", "é/é", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		if p.String() != s || p.check() != nil {
			t.Errorf("Parse(%q) = %v, which does not write back", s, p)
		}
	})
}

func TestPlaceString(t *testing.T) {
	for want, p := range map[string]Place{"": {}, "aws": {Cloud: "aws"}, "aws/x": {"aws", "x"}} {
		if got := p.String(); got != want {
			t.Errorf("%#v prints %q, want %q", p, got, want)
		}
	}
}
