package edit

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
)

// around puts stores into a whole config. The text of the stores begins at the first column.
func around(stores string) string {
	return `version: 1 # the format
location: aws/us-east-1
ranges: {cache: "", feeds: [{provider: aws}]}
upstreams:
  - {name: main, url: "https://main.example", place: aws/us-east-1, canonical: true}
  - name: copy
    url: https://copy.example
    place: aws/eu-west-1
stores:
` + stores + "log: {level: info} # the end\n"
}

// TestStyles changes one value in each style of YAML. From and To are the lines of the stores.
func TestStyles(t *testing.T) {
	const keys = `place: aws/us-east-1, url: "https://a.example/{digest}", serves: [aws]`
	const block = "    place: aws/us-east-1\n    url: https://a.example/{digest}\n    serves: [aws]\n"
	state := Set{"stores", "a", "state", "draining"}
	for _, tt := range []struct {
		name     string
		set      Set
		from, to string
	}{
		{"block", state, "  - name: a\n    state: active # now\n" + block, "  - name: a\n    state: draining # now\n" + block},
		{"block, no indent", state, "- name: a\n  state: off\n  url: https://a.example/{digest}\n  cdn: fastly\n  serves: all\n", "- name: a\n  state: draining\n  url: https://a.example/{digest}\n  cdn: fastly\n  serves: all\n"},
		{"block, key first", state, "  - state: off\n    name: a\n" + block, "  - state: draining\n    name: a\n" + block},
		{"block, value below", state, "  - name: a\n    state:\n      off\n" + block, "  - name: a\n    state:\n      draining\n" + block},
		{"block, explicit key", state, "  - ? name\n    : a\n    ? state\n    : off\n" + block, "  - ? name\n    : a\n    ? state\n    : draining\n" + block},
		{"single quotes", state, "  - name: a\n    state: 'off'\n" + block, "  - name: a\n    state: 'draining'\n" + block},
		{"double quotes", state, "  - name: a\n    state: \"off\"\n" + block, "  - name: a\n    state: \"draining\"\n" + block},
		{"quoted key", state, "  - name: a\n    \"state\": off\n" + block, "  - name: a\n    \"state\": draining\n" + block},
		{"odd spaces", state, "  -   name:   a\n      state  :   off   # x\n      cdn: fastly\n      url: https://a.example/{digest}\n      serves: all\n", "  -   name:   a\n      state  :   draining   # x\n      cdn: fastly\n      url: https://a.example/{digest}\n      serves: all\n"},
		{"flow", state, "  - {name: a, state: off, " + keys + "}\n", "  - {name: a, state: draining, " + keys + "}\n"},
		{"flow, last", state, "  - {name: a, " + keys + ", state: off}\n", "  - {name: a, " + keys + ", state: draining}\n"},
		{"flow, several lines", state, "  - {name: a, # it\n     state: off,\n     " + keys + "}\n", "  - {name: a, # it\n     state: draining,\n     " + keys + "}\n"},
		{"flow list", state, "  [{name: a, state: off, " + keys + "}]\n", "  [{name: a, state: draining, " + keys + "}]\n"},
		{"JSON", state, "  [{\"name\": \"a\", \"state\": \"off\", " + keys + "}]\n", "  [{\"name\": \"a\", \"state\": \"draining\", " + keys + "}]\n"},
		{"letters of more bytes before it", state, "  - {name: a, owner: \"é😀\", state: off, " + keys + "}\n", "  - {name: a, owner: \"é😀\", state: draining, " + keys + "}\n"},
		{"the same word elsewhere", state, "  - name: a # state: off\n    owner: \"off\"\n    # state: off\n    state: off\n" + block, "  - name: a # state: off\n    owner: \"off\"\n    # state: off\n    state: draining\n" + block},
		{"number", Set{"stores", "a", "rollout", "5"}, "  - name: a\n    rollout: 25\n" + block, "  - name: a\n    rollout: 5\n" + block},
		{"number in quotes", Set{"stores", "a", "rollout", "5"}, "  - name: a\n    rollout: '25'\n" + block, "  - name: a\n    rollout: '5'\n" + block},
		{"the second stanza", state, "  - {name: b, cdn: fastly, url: \"https://b.example/{digest}\", serves: all}\n  - name: a\n    state: off\n" + block, "  - {name: b, cdn: fastly, url: \"https://b.example/{digest}\", serves: all}\n  - name: a\n    state: draining\n" + block},
		{"key that a merge overrides", state, "  - &base {name: b, cdn: fastly, state: off, url: \"https://b.example/{digest}\", serves: all}\n  - <<: *base\n    name: a\n    url: https://a.example/{digest}\n    state: filling\n", "  - &base {name: b, cdn: fastly, state: off, url: \"https://b.example/{digest}\", serves: all}\n  - <<: *base\n    name: a\n    url: https://a.example/{digest}\n    state: draining\n"},

		{"insert", state, "  - name: a\n" + block, "  - name: a\n    place: aws/us-east-1\n    url: https://a.example/{digest}\n    serves: [aws]\n    state: draining\n"},
		{"insert, name last", state, "  - serves: [aws]\n    cdn: fastly\n    url: https://a.example/{digest}\n    name: a\n", "  - serves: [aws]\n    state: draining\n    cdn: fastly\n    url: https://a.example/{digest}\n    name: a\n"},
		{"insert behind a word of the list", state, "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: all\n", "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: all\n    state: draining\n"},
		{"insert behind the state", Set{"stores", "a", "rollout", "5"}, "  - name: a\n    state: active\n" + block, "  - name: a\n    state: active\n    rollout: 5\n" + block},
		{"insert before all others", Set{"stores", "a", "place", "aws/us-west-2"}, "  - url: https://a.example/{digest}\n    name: a\n    cdn: fastly\n    serves: all\n", "  - url: https://a.example/{digest}\n    name: a\n    place: aws/us-west-2\n    cdn: fastly\n    serves: all\n"},
		{"insert where all other keys come later", Set{"stores", "a", "place", "aws/us-west-2"}, "  - serves: [all]\n    url: https://a.example/{digest}\n    cdn: fastly\n    state: off\n    ? name\n    : a\n", "  - serves: [all]\n    url: https://a.example/{digest}\n    cdn: fastly\n    place: aws/us-west-2\n    state: off\n    ? name\n    : a\n"},
		{"insert before a bracket below", state, "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: [aws\n      ]\n", "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    state: draining\n    serves: [aws\n      ]\n"},
		{"insert behind a comment of several lines", state, "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: [all] # who\n                  # pays\n    # for IPv4\n    families: [ipv4]\n", "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: [all] # who\n                  # pays\n    state: draining\n    # for IPv4\n    families: [ipv4]\n"},
		{"insert before a list of lines", state, "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest} # where\n    serves:\n      - all\n", "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest} # where\n    state: draining\n    serves:\n      - all\n"},
		{"insert before a list of several lines", state, "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: [aws,\n      gcp]\n", "  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    state: draining\n    serves: [aws,\n      gcp]\n"},
		{"insert, first line is the dash's", state, "  -   name: a\n      cdn: fastly\n      serves: [all]\n      url: >-\n        https://a.example/{digest}\n", "  -   name: a\n      cdn: fastly\n      serves: [all]\n      state: draining\n      url: >-\n        https://a.example/{digest}\n"},
		{"insert, dash on a line of its own", state, "  -\n    name: a\n" + block, "  -\n    name: a\n    place: aws/us-east-1\n    url: https://a.example/{digest}\n    serves: [aws]\n    state: draining\n"},
		{"insert in flow", state, "  - {name: a, " + keys + "}\n", "  - {name: a, " + strings.Replace(keys, ", serves", ", state: draining, serves", 1) + "}\n"},
		{"insert in flow, several lines", state, "  - {name: a, cdn: fastly, serves: [all],\n     url: 'https://a.example/{digest}' # here\n    }\n", "  - {name: a, cdn: fastly, serves: [all],\n     url: 'https://a.example/{digest}', state: draining # here\n    }\n"},
		{"insert in JSON", state, "  [{\"name\": \"a\", \"cdn\": \"fastly\", \"serves\": [\"all\"], \"url\": \"https://a.example/{digest}\"}]\n", "  [{\"name\": \"a\", \"cdn\": \"fastly\", \"serves\": [\"all\"], \"url\": \"https://a.example/{digest}\", \"state\": \"draining\"}]\n"},
		{"insert a number in JSON", Set{"stores", "a", "rollout", "5"}, "  [{\"name\": \"a\", \"cdn\": \"fastly\", \"serves\": [\"all\"], \"url\": \"https://a.example/{digest}\"}]\n", "  [{\"name\": \"a\", \"cdn\": \"fastly\", \"serves\": [\"all\"], \"url\": \"https://a.example/{digest}\", \"rollout\": 5}]\n"},
		{"insert over a merged value", state, "  - &base {name: b, cdn: fastly, state: off, url: \"https://b.example/{digest}\", serves: all}\n  - <<: *base\n    name: a\n    url: https://a.example/{digest}\n", "  - &base {name: b, cdn: fastly, state: off, url: \"https://b.example/{digest}\", serves: all}\n  - <<: *base\n    name: a\n    url: https://a.example/{digest}\n    state: draining\n"},

		{"already so", state, "  - name: a\n    state: 'draining'\n" + block, "  - name: a\n    state: 'draining'\n" + block},
		{"the default already", Set{"stores", "a", "rollout", "100"}, "  - name: a\n" + block, "  - name: a\n" + block},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for end, encode := range map[string]func(string) string{
				"plain":  func(s string) string { return s },
				"CRLF":   func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
				"CR":     func(s string) string { return strings.ReplaceAll(s, "\n", "\r") },
				"BOM":    func(s string) string { return "\ufeff" + s },
				"stream": func(s string) string { return "# a stream of one\n---\n" + s + "...\n# end\n" },
			} {
				r, err := Apply("c.yaml", []byte(encode(around(tt.from))), tt.set)
				if err != nil {
					t.Errorf("%s: %v", end, err)
					continue
				}
				if diff := cmp.Diff(encode(around(tt.to)), string(r.Text)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", end, diff)
				}
				if (len(r.Changes) == 0) != (tt.from == tt.to) || len(r.Changes) > 1 {
					t.Errorf("%s: changes %v", end, r.Changes)
				}
			}
		})
	}
}

// The last line of a file needs no line end.
func TestEndOfFile(t *testing.T) {
	const from = "version: 1\nupstreams: [{name: main, url: \"https://m.example\", place: aws/us-east-1, canonical: true}]\nstores:\n- cdn: fastly\n  name: a\n  url: https://a.example/{digest}\n  serves: [all]"
	for _, end := range []string{"\n", "\r\n"} {
		text := strings.ReplaceAll(from, "\n", end)
		r, err := Apply("c.yaml", []byte(text), Set{"stores", "a", "state", "off"}, Set{"stores", "a", "rollout", "7"})
		if err != nil {
			t.Fatal(err)
		}
		if want := text + end + "  state: off" + end + "  rollout: 7"; string(r.Text) != want {
			t.Errorf("%q, want %q", r.Text, want)
		}
		if want := []config.Difference{{Key: "stores[0].state", Was: "active", Is: "off"}, {Key: "stores[0].rollout", Was: "100", Is: "7"}}; !cmp.Equal(want, r.Changes) {
			t.Error(r.Changes)
		}
	}
}

// A byte-order mark is no column of the first line.
func TestOneLine(t *testing.T) {
	text := "\ufeff" + `{"version": 1, "stores": [{"owner": "é", "name": "a", "cdn": "fastly", "url": "https://a.example/{digest}", "serves": ["all"], "rollout": 9}], ` +
		`"upstreams": [{"name": "main", "url": "https://m.example", "place": "aws/us-east-1", "canonical": true}]}`
	r, err := Apply("c.yaml", []byte(text), Set{"stores", "a", "rollout", "10"})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(text, `"rollout": 9`, `"rollout": 10`, 1); string(r.Text) != want {
		t.Errorf("%q, want %q", r.Text, want)
	}
}

func TestUpstreams(t *testing.T) {
	text := around("  - {name: a, cdn: fastly, url: \"https://a.example/{digest}\", serves: all}\n")
	r, err := Apply("c.yaml", []byte(text), Set{"upstreams", "copy", "state", "off"})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(text, "    place: aws/eu-west-1\n", "    place: aws/eu-west-1\n    state: off\n", 1); string(r.Text) != want {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, string(r.Text)))
	}
	_, err = Apply("c.yaml", []byte(text), Set{"upstreams", "main", "state", "off"})
	if err == nil || !strings.Contains(err.Error(), "the canonical upstream must be active") {
		t.Errorf("canonical is off: %v", err)
	}
}

// What cannot be changed alone, or without a guess, is refused with its line.
func TestRefusals(t *testing.T) {
	const rest = `cdn: fastly, url: "https://a.example/{digest}", serves: all`
	const b = "  - {name: b, cdn: fastly, url: \"https://b.example/{digest}\", serves: all, state: "
	for name, tt := range map[string]struct{ stores, want string }{
		"alias":                  {b + "&off off}\n  - {name: a, state: *off, " + rest + "}\n", "c.yaml:11: state of a is the alias *off: its value is in line 10"},
		"anchor":                 {"  - {name: a, state: &off off, " + rest + "}\n" + b + "*off}\n", "c.yaml:10: state of a has an anchor or a tag"},
		"tag":                    {"  - {name: a, state: !!str off, " + rest + "}\n", "c.yaml:10: state of a has an anchor or a tag"},
		"folded":                 {"  - name: a\n    cdn: fastly\n    url: https://a.example/{digest}\n    serves: all\n    state: >-\n      off\n", "c.yaml:14: state of a has an anchor or a tag, or is not a plain word"},
		"escapes":                {"  - {name: a, state: \"o\\x66f\", " + rest + "}\n", "c.yaml:10: state of a has an anchor or a tag, or is not a plain word"},
		"others merge it":        {"  - &a {name: a, state: off, " + rest + "}\n  - {<<: *a, name: b}\n", "c.yaml:10: to set stores[0].state would change stores[1].state too"},
		"others merge it, added": {"  - &a {name: a, " + rest + "}\n  - {<<: *a, name: b}\n", "c.yaml:10: to set stores[0].state would change stores[1].state too"},
		"the stanza is an alias": {"  - *a\n", "c.yaml:11: the stanza of a is an alias"},
		"the list is an alias":   {"  *list\n", "c.yaml:11: stores is an alias"},
		"the list is merged":     {"", "stores is not a key of its own in the file"},
		"nothing to stand after": {"  - ? name\n    : a\n    ? cdn\n    : fastly\n    ? url\n    : https://a.example/{digest}\n    serves:\n      - all\n", "c.yaml:10: the stanza of a has no line after which the key could stand"},
		"no such name":           {b + "off}\n", `c.yaml: cannot set state of "a" in stores to "draining"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := around(tt.stores)
			if !strings.Contains(tt.stores, "name: ") && !strings.Contains(tt.stores, "? name") { // others have the name
				text = strings.Replace(text, "location:", "<<: {stores: &list [&a {name: a, "+rest+"}]}\nlocation:", 1)
				if tt.stores == "" {
					text = strings.Replace(text, "\nstores:\n", "\n", 1)
				}
			}
			_, err := Apply("c.yaml", []byte(text), Set{"stores", "a", "state", "draining"})
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if ok && refusal.Line > 0 && refusal.Hint == "" {
				t.Error("it does not say what to do")
			}
		})
	}
}
