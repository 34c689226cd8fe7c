package gate

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestExample: the file that operators begin with can be read.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("../../deploy/rollout/gates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse("gates.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Gates) != 6 || f.Gates[5].Timeout != time.Minute || f.Gates[0].Bad != 2 || f.Instances.Rings["all"] != 3 {
		t.Errorf("%+v", f)
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "version: 1\ngates:\n- name: a\n  expr: x\n  max: 1\n"
	for _, c := range []struct{ text, want string }{
		{"version: 2\ngates: []\n", "g.yaml:1:10: version: this file has format version 2"},
		{good + "sook: 1m\n", `g.yaml:6:1: sook: unknown key "sook"`},
		{good + "- name: a\n  expr: x\n  max: 1\n", `g.yaml:6:9: gates[1].name: there is another one with the name "a"`},
		{"version: 1\ngates:\n- name: a\n  expr: x\n", "g.yaml:3:3: gates[0]: the gate has no bound"},
		{"version: 1\ngates:\n- name: a\n  expr: rate(x[$windw])\n  max: 1\n", "g.yaml:4:9: gates[0].expr: unknown variable $windw"},
		{"version: 1\ngates:\n- name: a\n  expr: x\n  factor: 2\n", "must use $instances and $offset"},
		{"version: 1\ngates:\n- name: a\n  expr: x\n  max: 1\n  command: [b]\n", "a gate has expr or command"},
		{good + "limit: 1m\n", "g.yaml:6:8: limit: 1m0s is shorter than soak"},
		{good + "freeze: [{why: x, weekly: Fri 15:00}]\n", "expected two times"},
		{good + "freeze: [{why: x, weekly: \"Fri 15:00 - Mon 08:00\", zone: Mars/Base}]\n", "unknown time zone Mars/Base"},
	} {
		_, err := Parse("g.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v, want %s", c.text, err, c.want)
		}
	}
}

func TestFrozen(t *testing.T) {
	f, err := Parse("g.yaml", []byte("version: 1\ngates: [{name: a, expr: x, max: 1}]\nfreeze:\n"+
		"- {why: weekend, weekly: \"Fri 15:00 - Mon 08:00\", zone: Europe/Berlin}\n- {why: holidays, from: 2026-12-20, until: 2027-01-04}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"2026-11-27T13:59:00Z": "", "2026-11-27T14:00:00Z": "weekend", "2026-11-29T12:00:00Z": "weekend", "2026-11-30T06:59:00Z": "weekend",
		"2026-11-30T07:00:00Z": "", "2026-12-20T00:00:00Z": "weekend", "2026-12-22T12:00:00Z": "holidays", "2027-01-04T12:00:00Z": "",
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Frozen(when); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}
