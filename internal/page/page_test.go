package page

import (
	"strings"
	"testing"
)

// TestHostile: texts cannot leave their place, and two names are not written over each other.
func TestHostile(t *testing.T) {
	const bad = `"><script>alert(1)</script>`
	points := []Point{{X: 1, Y: 1, Name: "first", Said: bad}, {X: 1, Y: 1, Name: "second", Said: "b"}}
	same := func(float64) string { return bad }
	p := Page{
		Title: bad, About: bad, Cards: []Card{{bad, bad, bad}}, Warnings: []string{bad},
		Charts:   []*Chart{Rows(bad, []Row{{bad, []float64{0}, []string{bad}}}, bad), Columns(bad, []Period{{bad, 0}}, same), Dots(bad, points, same, same)},
		Sections: []Section{{ID: "a", Title: bad, About: bad, Header: []string{bad}, Numbers: []bool{false}, Rows: [][]string{{bad}}, More: bad, Notes: []string{bad}, Pre: bad}, {ID: "b", None: bad}},
	}
	var out strings.Builder
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, not := range []string{"<script", "NaN", "Inf", "ZgotmplZ", "second"} {
		if strings.Contains(out.String(), not) {
			t.Errorf("the page has %q:\n%s", not, &out)
		}
	}
	if !strings.Contains(out.String(), ">first</text>") {
		t.Error("the first name is missing")
	}
}
