package gate

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTally: the results of one gate, one letter for each evaluation: good, bad, none. want has a letter for each outcome:
// g for good, b for bad, and . for neither.
func TestTally(t *testing.T) {
	for name, tt := range map[string]struct{ file, results, want string }{
		"good three times":             {"", "gggg", "..gg"},
		"one bad result":               {"", "ggbggg", ".....g"},
		"two of five":                  {"", "bgggb", "...gb"},
		"two of six":                   {"", "bggggb", "...gg."},
		"at once":                      {"", "bb", ".b"},
		"bad, then good again":         {"", "bbg", ".b."},
		"every third":                  {"", "ggbggb", ".....b"},
		"every sixth flaps on and on":  {"", "gggggbgggggbgggggb", "..ggg...ggg...ggg."},
		"none is no good":              {"", "ggngg", "....."},
		"none for ever":                {"", "nnnnnnnn", "........"},
		"none makes nothing bad":       {"", "bnnnnb", "......"},
		"bad between none":             {"", "nbnb", "...b"},
		"bad once is enough":           {"bad: 1\nof: 1\n", "gb", ".b"},
		"all of three":                 {"bad: 3\nof: 3\n", "bbgbbb", ".....b"},
		"good once is enough":          {"good: 1\n", "g", "g"},
		"a gate has counts of its own": {"bad: 5\nof: 9\ngates: [{name: g, expr: x, max: 1, bad: 1, of: 1}]\n", "gb", ".b"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(tt.file, "gates:") {
				tt.file += "gates: [{name: g, expr: x, max: 1}]\n"
			}
			tally := NewTally(parse(t, tt.file))
			got, at := "", time.Now()
			for i, letter := range tt.results {
				r := Result{Gate: "g", Verdict: map[rune]Verdict{'g': Good, 'b': Bad, 'n': None}[letter], At: at.Add(time.Duration(i) * time.Second), Detail: "why"}
				out := tally.Add(&Evaluation{At: r.At, Presence: Presence{OK: true}, Results: []Result{r}})
				switch {
				case out.Good && len(out.Bad) == 0:
					got += "g"
				case len(out.Bad) > 0 && !out.Good:
					got += "b"
				default:
					got += "."
				}
				if !out.Good && out.Detail == "" {
					t.Errorf("result %d: it does not say why it is not good", i)
				}
			}
			if got != tt.want {
				t.Errorf("%s gives %s, want %s", tt.results, got, tt.want)
			}
		})
	}
}

// TestTallyOfOneRun: the result of one run of a command counts once, however often it is seen.
func TestTallyOfOneRun(t *testing.T) {
	tally := NewTally(parse(t, "gates: [{name: g, command: [x]}]"))
	at := time.Now()
	add := func(begun time.Time) Outcome {
		return tally.Add(&Evaluation{Presence: Presence{OK: true}, Results: []Result{{Gate: "g", Verdict: Bad, At: begun}}})
	}
	for range 5 {
		if out := add(at); len(out.Bad) > 0 {
			t.Fatal("one bad run is several bad results")
		}
	}
	if out := add(at.Add(time.Second)); len(out.Bad) != 1 {
		t.Error("two bad runs are not bad")
	}
}

// TestTallyNeedsAll: gates that are good are not enough.
func TestTallyNeedsAll(t *testing.T) {
	f := parse(t, "good: 1\ngates: [{name: a, expr: x, max: 1}, {name: b, expr: x, max: 1}]")
	at := time.Now()
	for name, tt := range map[string]struct {
		second   Verdict
		presence bool
		traffic  string
		want     string
	}{
		"all":         {Good, true, "", ""},
		"a gate":      {None, true, "", "b: why"},
		"an instance": {Good, false, "", "instances: one is missing"},
		"traffic":     {Good, true, "3 of 5", "too little traffic: 3 of 5"}, // with nothing but quiet gates
	} {
		e := &Evaluation{Presence: Presence{OK: tt.presence, Detail: "one is missing"}, Traffic: tt.traffic,
			Results: []Result{{Gate: "a", Verdict: Good, At: at}, {Gate: "b", Verdict: tt.second, Detail: "why", At: at}}}
		if out := NewTally(f).Add(e); out.Good != (tt.want == "") || out.Detail != tt.want {
			t.Errorf("%s: %+v, want %q", name, out, tt.want)
		}
	}
}

// TestEvaluateEnds: a Prometheus that does not answer holds up no evaluation for longer than a minute.
func TestEvaluateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "gates:\n"
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			text += "- {name: " + name + ", expr: x, max: 1}\n"
		}
		f := parse(t, text)
		began := time.Now()
		e := NewJudge(f, hanging{}, nil).Evaluate(t.Context(), step())
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
		if e.Presence.Known || e.Presence.OK || len(e.Results) != 6 || e.Results[5].Verdict != None {
			t.Errorf("%+v", e)
		}
	})
}
