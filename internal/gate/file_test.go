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
		{good + "instances: {stale: 5m, within: 4m}\n", "within must not be shorter than stale"},
		{good + "instances: {min: 0}\n", "0 is less than 1"},
		{good + "bad: 6\n", "want 1 ≤ bad ≤ of ≤ 100"},
		{good + "freeze: [{why: x, weekly: Fri 15:00}]\n", "expected two times"},
		{good + "freeze: [{why: x, weekly: \"Fri 15:00 - Fri 15:00\"}]\n", "has no length"},
		{good + "freeze: [{why: x, weekly: \"Fri 24:00 - Mon 08:00\"}]\n", "expected a day and a time"},
		{good + "freeze: [{why: x, from: 2026-01-02, until: 2026-01-01}]\n", "until is not after from"},
		{good + "freeze: [{why: x, from: 2026-01-02}]\n", "until is not after from"},
		{good + "freeze: [{why: x, from: 2026-01-01, until: 2026-01-02, zone: Europe/Berlin}]\n", "zone belongs to weekly"},
		{good + "freeze: [{why: x, weekly: \"Fri 15:00 - Mon 08:00\", zone: Mars/Base}]\n", "unknown time zone Mars/Base"},
	} {
		_, err := Parse("g.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v, want %s", c.text, err, c.want)
		}
	}
}
