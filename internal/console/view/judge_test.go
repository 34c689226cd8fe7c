package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestJudge checks which problems the parts of a view show, and that the worst comes first.
func TestJudge(t *testing.T) {
	since := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	v := View{
		Serving: Serving{Text: "serving", Requests: 10, Errors: 1, Connections: 95, MaxConnections: 100},
		Candidates: []Candidate{
			{Name: "fine", Kind: "store", State: In, Rate: Rate{Bytes: 5}, Inventory: &Inventory{State: "current"}},
			{Name: "busy", Kind: "replica", State: In, Rate: Rate{Bytes: 9}, Inventory: &Inventory{Level: Warning, State: "stale", Error: "404"}},
			{Name: "drained", Kind: "store", State: Drained, Why: "by alice"},
			{Name: "dead", Kind: "store", State: Out, Since: since, Why: "503\nfor 3 probes", Out: 1, Of: 1},
			{Name: "half", Kind: "replica", State: Out, Out: 1, Of: 3},
			{Name: "silent", State: NotKnown},
		},
		Feeds:  []Feed{{Name: "aws"}, {Name: "gcp", Level: Unknown, Age: -1}},
		Config: Config{Refused: "line 3: no", Hashes: 2},
	}
	v.Judge()
	want := []Problem{
		{Bad, "10.0 % of the requests are answered with 5xx.", time.Time{}, RunbookErrors, ""},
		{Bad, "dead is out of service: 503 for 3 probes.", since, RunbookStore, "dead"},
		{Unknown, "Nobody says whether silent is in service.", time.Time{}, RunbookCandidate, ""},
		{Unknown, "The feed gcp was never read.", time.Time{}, RunbookFeed, ""},
		{Warning, "95 of 100 connections are open.", time.Time{}, RunbookConnections, ""},
		{Warning, "The inventory of busy is stale: 404.", time.Time{}, RunbookInventory, ""},
		{Warning, "half is out of service on 1 of 3 instances.", time.Time{}, RunbookCandidate, "half"},
		{Warning, "A newer config is refused: line 3: no.", time.Time{}, RunbookRefused, ""},
		{Warning, "The instances run 2 different configs.", time.Time{}, RunbookDiffers, ""},
	}
	if diff := cmp.Diff(want, v.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	var order []string
	for _, c := range v.Candidates {
		order = append(order, c.Name)
	}
	if diff := cmp.Diff([]string{"dead", "half", "silent", "drained", "busy", "fine"}, order); diff != "" {
		t.Errorf("order of candidates (-want +got):\n%s", diff)
	}
}

// TestJudgeBounds checks that a view stays small, and says what it leaves out.
func TestJudgeBounds(t *testing.T) {
	var v View
	for i := range 256 {
		v.Candidates = append(v.Candidates, Candidate{Name: fmt.Sprint(i), State: Out, Why: strings.Repeat("é", 1000)})
	}
	for i := range MaxFlows + 7 {
		v.Flows = append(v.Flows, Flow{From: fmt.Sprint(i), Rate: Rate{Bytes: float64(i)}})
	}
	v.Judge()
	if len(v.Problems) != MaxProblems || len(v.Flows) != MaxFlows || v.Flows[0].Rate.Bytes != MaxFlows+6 {
		t.Errorf("%d problems, %d flows, first %+v", len(v.Problems), len(v.Flows), v.Flows[0])
	}
	want := []string{"206 more problems are not shown.", "7 more flows with fewer bytes are not shown."}
	if diff := cmp.Diff(want, v.Gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if n := len(v.Problems[0].Text); n > MaxText+100 {
		t.Errorf("a text of %d bytes", n)
	}
}

// TestBounded checks that nothing of others' texts can change how a page or terminal shows them.
func TestBounded(t *testing.T) {
	got := Bounded(" a\r\n\x1b[31mb\u202ec\xff\u0085d ")
	if want := "a   [31mbcd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
