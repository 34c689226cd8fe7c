package edit

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
)

const (
	newText = "# a new one\nname: new\ncdn: fastly\nurl: https://new.example/{digest}\nserves: [internet]\nstate: filling\n"
	newLine = "  # a new one\n  - name: new\n    cdn: fastly\n    url: https://new.example/{digest}\n    serves: [internet]\n    state: filling\n"
	one     = "  - name: a # 1\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: all\n"
	two     = "  - {name: b, cdn: fastly, url: 'https://b.example/{digest}',\n     serves: all} # 2\n"
	three   = "  - {name: c, cdn: fastly, url: 'https://c.example/{digest}', serves: all}\n"
)

// TestInsert adds a stanza in each style, and takes it out again.
func TestInsert(t *testing.T) {
	flush := strings.ReplaceAll(strings.ReplaceAll(one, "\n  ", "\n"), "  - ", "- ")
	for _, tt := range []struct{ name, after, from, to string }{
		{"last", "", one + two, one + two + newLine},
		{"behind a stanza", "a", one + two, one + newLine + two},
		{"behind the last", "b", one + two, one + two + newLine},
		{"no indent", "", flush, flush + strings.ReplaceAll(strings.ReplaceAll("\n"+newLine, "\n  ", "\n"), "\n#", "#")},
		{"comments in and below the list", "", one + "    # in a\n\n# below\n", one + "    # in a\n" + newLine + "\n# below\n"},
		{"blank lines", "", one + "\n  # about b\n" + two + "\n", one + "\n  # about b\n" + two + "\n" + newLine + "\n"},
		{"blank lines, between", "b", one + "\n" + two + "\n" + three, one + "\n" + two + "\n" + newLine + "\n" + three},
		{"dash alone", "", "  -\n    name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: all\n", "  -\n    name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: all\n" + newLine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := around(tt.from)
			r, err := Insert("c.yaml", []byte(text), Stanza{List: "stores", After: tt.after, Text: newText})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(around(tt.to), string(r.Text)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if len(r.Changes) < 5 || !strings.HasSuffix(r.Changes[0].Key, "].name") || r.Changes[0].Is != "new" {
				t.Errorf("changes %v", r.Changes)
			}
			back, err := Remove("c.yaml", r.Text, "stores", "new")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text, string(back.Text)); diff != "" {
				t.Errorf("removed again (-want +got)\n%s", diff)
			}
			if len(back.Changes) != len(r.Changes) || back.Changes[0].Was != "new" {
				t.Errorf("changes %v", back.Changes)
			}
		})
	}
}

// TestInsertFirst adds the first stanza of a list.
func TestInsertFirst(t *testing.T) {
	const head = "version: 1\nlocation: aws/us-east-1\nranges: {seed: s, feeds: [{provider: aws}]}\nupstreams:\n  - {name: main, url: 'https://main.example', place: aws/us-east-1, canonical: true}\n"
	for from, to := range map[string]string{
		head:                                  head + "\nstores:\n" + newLine,
		strings.TrimSuffix(head, "\n"):        head + "\nstores:\n" + newLine,
		head + "stores: [] # none\nlog: {}\n": head + "stores: # none\n" + newLine + "log: {}\n",
		head + "stores:\nlog: {}\n":           head + "stores:\n" + newLine + "log: {}\n",
		head + "stores: []":                   head + "stores:\n" + strings.TrimSuffix(newLine, "\n"),
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			from, to := strings.ReplaceAll(from, "\n", eol), strings.ReplaceAll(to, "\n", eol)
			r, err := Insert("c.yaml", []byte(from), Stanza{List: "stores", Text: newText})
			if err != nil {
				t.Errorf("%q: %v", from, err)
				continue
			}
			if diff := cmp.Diff(to, string(r.Text)); diff != "" {
				t.Errorf("%q (-want +got)\n%s", from, diff)
			}
			back, err := Remove("c.yaml", r.Text, "stores", "new")
			if err != nil || len(back.Config.Stores) != 0 || !strings.Contains(string(back.Text), "stores: []") {
				t.Errorf("%q: removed again: %v", from, err)
			}
		}
	}
}

// TestRemove removes a stanza with its comments.
func TestRemove(t *testing.T) {
	for _, tt := range []struct{ name, stanza, from, to string }{
		{"first, comments above it stay", "a", "  # all\n" + one + "    # in a\n  # about b\n" + two, "  # all\n  # about b\n" + two},
		{"last", "b", one + "\n  # about b\n  # more\n" + two + "\n# the log\n", one + "\n# the log\n"},
		{"middle", "b", one + "\n  # about b\n" + two + "\n" + three, one + "\n" + three},
		{"comment of its own", "b", one + "  # a thought\n\n  # about b\n" + two, one + "  # a thought\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Remove("c.yaml", []byte(around(tt.from)), "stores", tt.stanza)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(around(tt.to), string(r.Text)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	r, err := Remove("c.yaml", []byte(around(one)), "upstreams", "copy")
	if err != nil || len(r.Config.Upstreams) != 1 {
		t.Error(r, err)
	}
}

// TestListRefuses: what cannot be changed alone is left to a person.
func TestListRefuses(t *testing.T) {
	flow := "  [{name: a, cdn: fastly, url: \"https://a.example/{digest}\", serves: all}]\n"
	anchor := "  - &a {name: a, cdn: fastly, url: \"https://a.example/{digest}\", serves: all}\n  - {<<: *a, name: b}\n"
	for _, tt := range []struct {
		name, text string
		insert     *Stanza
		remove     string
		want       string
	}{
		{"flow list", around(flow), &Stanza{List: "stores", Text: newText}, "", "stores is a list in brackets"},
		{"flow list", around(flow), nil, "a", "stores is a list in brackets"},
		{"the name is there", around(one), &Stanza{List: "stores", Text: strings.Replace(newText, "new", "a", 2)}, "", `duplicate name`},
		{"no such neighbour", around(one), &Stanza{List: "stores", After: "z", Text: newText}, "", `no stanza "z" in stores`},
		{"two stanzas", around(one), &Stanza{List: "stores", Text: newText + "- name: c"}, "", "would be invalid"},
		{"another list", around(one), &Stanza{List: "stores", Text: strings.Replace(newText, "# a new one\n", "", 1) + "\n\nx: 1"}, "", "would be invalid"},
		{"anchor", around(anchor), nil, "a", "would be invalid"},
		{"not there", around(one), nil, "z", `no stanza "z" in stores`},
		{"named elsewhere", around(one) + "names: [{hosts: [d.example], role: direct, candidates: [a]}]\n", nil, "a", `unknown candidate`},
		{"JSON", `{"version": 1, "location": "aws/us-east-1", "ranges": {"seed": "s", "feeds": [{"provider": "aws"}]}, "upstreams": [{"name": "main", "url": "https://main.example", "place": "aws/us-east-1", "canonical": true}]}`,
			&Stanza{List: "stores", Text: newText}, "", "in flow style"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			if tt.insert != nil {
				_, err = Insert("c.yaml", []byte(tt.text), *tt.insert)
			} else {
				_, err = Remove("c.yaml", []byte(tt.text), "stores", tt.remove)
			}
			if _, ok := errors.AsType[*Refusal](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestListCorpus adds a stanza to every config of the repository and takes it out again, and removes each store.
func TestListCorpus(t *testing.T) {
	for name, text := range corpus(t) {
		cfg, err := config.ParseIn(filepath.Dir(name), name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Insert(name, []byte(text), Stanza{List: "stores", Text: newText})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := Remove(name, r.Text, "stores", "new")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(cfg.Stores) > 0 && string(back.Text) != text {
			t.Errorf("%s (-want +got)\n%s", name, cmp.Diff(text, string(back.Text)))
		}
		if len(cfg.Stores) < 2 || len(cfg.Stores) > 8 {
			continue
		}
		for _, st := range cfg.Stores {
			if less, err := Remove(name, []byte(text), "stores", st.Name); err != nil {
				t.Logf("%s: %v", name, err)
			} else if strings.Contains(string(less.Text), "\n\n\n") && !strings.Contains(text, "\n\n\n") {
				t.Errorf("%s: without %s two blank lines are left", name, st.Name)
			}
		}
	}
}

// FuzzList looks for a file that Insert or Remove breaks.
//
// It tries some hundreds of inputs a second: each reads the whole config four times.
func FuzzList(f *testing.F) {
	for _, text := range corpus(f) {
		if len(text) < 4<<10 {
			f.Add(text, uint8(0))
			f.Add(strings.ReplaceAll(text, "\n", "\r\n"), uint8(1))
		}
	}
	f.Add(around(one+"\n  # about b\n"+two), uint8(2))
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		cfg, err := config.ParseIn(".", "c.yaml", []byte(text))
		if err != nil {
			return
		}
		s := Stanza{List: "stores", Text: newText}
		if n := len(cfg.Stores); n > 0 {
			s.After = cfg.Stores[int(which)%n].Name
		}
		r, err := Insert("c.yaml", []byte(text), s)
		if err != nil {
			if _, ok := errors.AsType[*Refusal](err); !ok {
				t.Fatal(err)
			}
			return
		}
		if len(r.Config.Stores) != len(cfg.Stores)+1 {
			t.Fatalf("%d stores after %d", len(r.Config.Stores), len(cfg.Stores))
		}
		back, err := Remove("c.yaml", r.Text, "stores", "new")
		if err == nil && len(config.Compare(back.Config, cfg)) > 0 {
			t.Fatalf("%v", config.Compare(back.Config, cfg))
		}
	})
}
