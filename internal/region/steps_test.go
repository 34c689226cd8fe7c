package region

import (
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// line is the steps with their states in one line.
func line(steps []Step) string {
	var out []string
	for _, s := range steps {
		out = append(out, s.Name+" "+string(s.State))
	}
	return strings.Join(out, ", ")
}

func store(state config.State, rollout int) *config.Store {
	return &config.Store{Name: "s", State: state, Rollout: rollout}
}

// TestAdd walks through all that can be there.
func TestAdd(t *testing.T) {
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	spain, _ := place.Embedded().Find(place.Place{Cloud: "aws", Region: "eu-south-2"})
	filling, full := store(config.Filling, 100), store(config.Active, 100)
	announced := store(config.Filling, 100)
	announced.Announce.From = now.Add(time.Hour)
	ok := Fact{OK: true}
	ring := func(s *config.Store) []Ring { return []Ring{{"canary", full}, {"all", s}} }
	for name, tt := range map[string]struct {
		facts Facts
		want  string
	}{
		"nothing":      {Facts{Amazon: true}, "stanza next, enable later, create later, fill later, admit later, rollout later"},
		"the stanza":   {Facts{Amazon: true, Store: filling}, "stanza done, enable next, create later, fill later, admit later, rollout later"},
		"not Amazon's": {Facts{Store: filling}, "stanza done, create next, fill later, admit later, rollout later"},
		"a bucket":     {Facts{Amazon: true, Store: filling, Bucket: ok}, "stanza done, create done, fill next, admit later, rollout later"},
		"modules":      {Facts{Store: filling, Infra: "tf", Exported: ok}, "stanza done, export done, apply next, fill later, admit later, rollout later"},
		"no export":    {Facts{Store: filling, Infra: "tf", Bucket: ok}, "stanza done, export next, apply done, fill later, admit later, rollout later"},
		"admitted":     {Facts{Store: filling, Bucket: ok, Filled: ok, Admitted: ok}, "stanza done, create done, fill done, admit done, rollout next"},
		"some clients": {Facts{Store: store(config.Active, 5), Bucket: ok, Filled: ok, Admitted: ok}, "stanza done, create done, fill done, admit done, rollout next"},
		"all clients":  {Facts{Store: full, Bucket: ok, Filled: ok, Admitted: ok}, "stanza done, create done, fill done, admit done, rollout done"},
		"a ring":       {Facts{Store: full, Bucket: ok, Filled: ok, Admitted: ok, Published: true, Rings: ring(nil)}, "stanza done, create done, fill done, admit done, rollout next, file done"},
		"all rings":    {Facts{Store: filling, Bucket: ok, Filled: ok, Admitted: ok, Published: true, Rings: ring(full)}, "stanza done, create done, fill done, admit done, rollout done, file next"},
		"to announce":  {Facts{Store: announced, Notice: time.Hour, Published: true, Rings: ring(nil)}, "stanza done, announce next, create later, fill later, admit later, rollout later, file later"},
		"announced": {Facts{Store: announced, Notice: time.Hour, Bucket: ok, Filled: ok, Admitted: ok, Published: true, Rings: ring(announced)},
			"stanza done, announce done, create done, fill done, admit done, rollout waits, file later"},
		"no ring": {Facts{Store: full, Bucket: ok, Filled: ok, Admitted: ok, Published: true}, "stanza done, create done, fill done, admit done, rollout next, file done"},
	} {
		tt.facts.Site, tt.facts.Now, tt.facts.How.Percents = spain, now, []int{1, 5, 100}
		if got := line(Add(&tt.facts)); got != tt.want {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
	steps := Add(&Facts{Name: "s", File: "c.yaml", Store: store(config.Active, 1), Bucket: ok, Filled: ok, Admitted: ok, How: How{Percents: []int{1, 5, 100}}})
	if c := steps[len(steps)-1].Commands; len(c) != 2 || c[0].Shell("ctl") != "ctl store set s --config c.yaml --state active --rollout 5" {
		t.Errorf("%+v", c)
	}
}

func TestRemove(t *testing.T) {
	now := time.Date(2026, 12, 1, 1, 0, 0, 0, time.UTC)
	full, draining := store(config.Active, 100), store(config.Draining, 100)
	ending, over := store(config.Active, 100), store(config.Active, 100)
	ending.Announce.Until, over.Announce.Until = now.Add(time.Hour), now
	ok := Fact{OK: true}
	ring := func(s *config.Store) []Ring { return []Ring{{"all", s}} }
	for name, tt := range map[string]struct {
		facts Facts
		want  string
	}{
		"in use":      {Facts{Store: full}, "drain next, quiet later, remove later, bucket later"},
		"draining":    {Facts{Store: draining}, "drain done, quiet waits, remove later, bucket later"},
		"quiet":       {Facts{Store: draining, Quiet: ok}, "drain done, quiet done, remove next, bucket later"},
		"removed":     {Facts{}, "drain done, remove done, bucket next"},
		"in the ring": {Facts{Store: draining, Quiet: ok, Published: true, Rings: ring(full)}, "drain done, publish next, quiet done, remove later, rollout later, bucket later"},
		"only there":  {Facts{Published: true, Rings: ring(draining)}, "drain done, publish done, remove done, rollout next, bucket later"},
		"to announce": {Facts{Store: full, Notice: time.Hour, Published: true, Rings: ring(full)},
			"announce next, tell later, date later, drain later, publish later, quiet later, remove later, rollout later, bucket later"},
		"before the date": {Facts{Store: ending, Notice: time.Hour}, "announce done, date waits, drain later, quiet later, remove later, bucket later"},
		"after the date":  {Facts{Store: over, Notice: time.Hour}, "announce done, date done, drain next, quiet later, remove later, bucket later"},
	} {
		tt.facts.Now = now
		if got := line(Remove(&tt.facts)); got != tt.want {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
}

func TestShell(t *testing.T) {
	got := Command{Args: []string{"rollout", "a b", "it's", "", "x?y=z"}}.Shell("ctl")
	if want := `ctl rollout 'a b' 'it'\''s' '' 'x?y=z'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
