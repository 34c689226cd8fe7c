package fronts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/fronts"
)

// text is a file as a person may have written it.
const text = `{
  "zone": "registry.example.org",   "name": "registry.example.org",
  "on": true, "notes": {"fronts": {"gcp": {"on": true}}, "list": [{"on": false}, "on", true]},
	"ttl" : 60,
  "fronts": {
    "aws": {"weight": 60, "ipv4": ["192.0.2.1"], "on" :  true , "why": {"on": false}},
    "gcp": { "on": true,
      "weight": 40, "ipv4": ["198.51.100.1"], "ipv6": ["2001:db8::1"] }
  },
  "on": true
}
`

func TestSwitched(t *testing.T) {
	f, err := fronts.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	off, err := f.Switched("gcp", false)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(text, `"gcp": { "on": true,`, `"gcp": { "on": false,`, 1)
	if diff := cmp.Diff(want, string(off)); diff != "" {
		t.Errorf("off (-want +got)\n%s", diff)
	}
	if f, err = fronts.Parse(off); err != nil || f.Share("gcp") != 0 || f.Share("aws") != 1 {
		t.Fatalf("%v, shares %v %v", err, f.Share("gcp"), f.Share("aws"))
	}
	if _, err := f.Switched("aws", false); !errors.Is(err, fronts.ErrLast) {
		t.Errorf("the last front: %v", err)
	}
	if same, err := f.Switched("gcp", false); err != nil || string(same) != string(off) {
		t.Errorf("off twice: %v\n%s", err, same)
	}
	on, err := f.Switched("gcp", true)
	if diff := cmp.Diff(text, string(on)); err != nil || diff != "" {
		t.Errorf("on again: %v (-want +got)\n%s", err, diff)
	}
	if _, err := f.Switched("azure", true); err == nil || !strings.Contains(err.Error(), "aws, gcp") {
		t.Errorf("an unknown front: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{`"ttl" : 60`, `"ttl" : 61`, "ttl: 61 is not in 1 to 60"},
		{`"name": "registry.example.org"`, `"name": "example.org"`, "not in the zone"},
		{`"weight": 40`, `"weight": 0`, "fronts.gcp.weight"},
		{`"on" :  true`, `"off": false`, "fronts.aws.on: give true or false"},
		{`"ipv4": ["198.51.100.1"]`, `"ipv4": ["192.0.2.1"]`, "also an address of aws"},
		{`"ipv4": ["192.0.2.1"]`, `"ipv4": []`, "fronts.aws: it has no address"},
		{`"ipv4": ["192.0.2.1"]`, `"ipv4": ["192.0.2.x"]`, "192.0.2.x"},
	} {
		_, err := fronts.Parse([]byte(strings.Replace(text, test.old, test.new, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.new, err, test.want)
		}
	}
	none := strings.ReplaceAll(strings.ReplaceAll(text, `"on" :  true`, `"on": false`), `"on": true,`, `"on": false,`)
	if _, err := fronts.Parse([]byte(none)); !errors.Is(err, fronts.ErrLast) {
		t.Errorf("no front is on: %v", err)
	}
}

// TestSwitchedTwice: a key that is there twice would be changed without effect.
func TestSwitchedTwice(t *testing.T) {
	twice := strings.Replace(text, `"gcp": { "on": true,`, `"gcp": { "on": true, "on": true,`, 1)
	f, err := fronts.Parse([]byte(twice))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Switched("gcp", false); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%v", err)
	}
}

func FuzzSwitched(f *testing.F) {
	f.Add([]byte(text), "gcp", false)
	f.Add([]byte(`{"zone":"z","name":"z","ttl":1,"fronts":{"a":{"on":true,"weight":1,"ipv4":["::1"]},"b":{"on":false,"weight":1,"ipv4":["::2"]}}}`), "b", true)
	f.Fuzz(func(t *testing.T, text []byte, name string, on bool) {
		is, err := fronts.Parse(text)
		if err != nil {
			return
		}
		changed, err := is.Switched(name, on)
		if err != nil {
			return
		}
		got, err := fronts.Parse(changed)
		if err != nil || *got.Fronts[name].On != on {
			t.Fatalf("%s %v: %v\n%s", name, on, err, changed)
		}
		for other := range is.Fronts {
			if other != name && *got.Fronts[other].On != *is.Fronts[other].On {
				t.Fatalf("%s changed too:\n%s", other, changed)
			}
		}
	})
}

func TestQuestions(t *testing.T) {
	for share, want := range map[float64]int{0: 1, 1: 1, 0.5: 14, 0.1: 88, 0.001: 400} {
		if got := fronts.Questions(share); got != want {
			t.Errorf("share %v: %d questions, want %d", share, got, want)
		}
	}
}
