package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// unclear are words that some reader of YAML takes for no text, or for other text than what stands there.
var unclear = []string{
	"null", "Null", "NULL", "~", "true", "True", "FALSE", "yes", "No", "on", "OFF", "y", "N",
	"1", "1.0", "1.20", "-1", "+1", "007", "0o17", "0x1F", "0b11", "1_000", "1e3", "12345e7", ".5", "1.", "1:20", "1:20.5",
	".inf", "-.INF", ".NaN", "2024-01-01", "2024-1-1", "2024-01-01T10:00:00Z",
	"!!str", "!!null x", "!!int 1", `!!int "1"`, "!!binary aGFsbG8=", "!mine v1", "!!float v1",
	"{}", "[]", "{a: b}", "[a]", "<<", "=",
}

// TestUnclearWords: what is not text is refused with its place and a remedy, wherever a text is expected.
func TestUnclearWords(t *testing.T) {
	places := map[string]string{
		"tag":             "registries:\n- name: s.example\n  src: true\n- name: p.example\nimages:\n- name: a\n  dmap:\n    $A:\n    - %s\n",
		"tag in a row":    "registries:\n- name: s.example\n  src: true\n- name: p.example\nimages:\n- name: a\n  dmap:\n    $A: [v1, %s, v2]\n",
		"image":           "registries:\n- name: s.example\n  src: true\n- name: p.example\nimages:\n- name: %s\n  dmap: {}\n",
		"registry":        "registries:\n- name: s.example\n  src: true\n- name: %s\nimages: []\n",
		"service-account": "registries:\n- name: s.example\n  src: true\n- name: p.example\n  service-account: %s\nimages: []\n",
		"digest":          "registries:\n- name: s.example\n  src: true\n- name: p.example\nimages:\n- name: a\n  dmap:\n    ? %s\n    : [v1]\n",
	}
	for where, text := range places {
		for _, word := range unclear {
			if where == "service-account" && word == "!!str" {
				continue // the empty text, which is not used
			}
			file := expand(fmt.Sprintf(text, word))
			line := 1 + strings.Count(text[:strings.Index(text, "%s")], "\n")
			_, err := Plain("x.yaml", []byte(file))
			bad, ok := errors.AsType[*Errors](err)
			if !ok {
				t.Errorf("%s %s: error %v, want a fault", where, word, err)
				continue
			}
			if f := bad.List[0]; f.Hint == "" || f.Line != line {
				t.Errorf("%s %s: not line %d, or no remedy: %s", where, word, line, f.Text())
			}
			if _, err := Format("x.yaml", []byte(file)); err == nil {
				t.Errorf("%s %s: fmt takes it", where, word)
			}
		}
	}
}

// TestUnclearTells: the fault says what YAML makes of the word, and the hint is what to write.
func TestUnclearTells(t *testing.T) {
	for word, want := range map[string][2]string{
		"1.20":         {"expected a tag, found 1.20, which YAML reads as a number", `quote it: "1.20"`},
		"null":         {"expected a tag, found null, which YAML reads as nothing", `quote it: "null"`},
		"on":           {"expected a tag, found on, which YAML reads as true or false", `quote it: "on"`},
		"2024-01-01":   {"expected a tag, found 2024-01-01, which YAML reads as a date", `quote it: "2024-01-01"`},
		"":             {"expected a tag, found nothing", "write it in quotes, or remove the place where it is missing"},
		"!!int 1":      {`expected a tag, found a value with the tag !!int "1"`, "write it in quotes, without the tag !!int"},
		"{}":           {"expected a tag, found keys and values", "promote schema prints what is allowed where"},
		"*x":           {"expected a tag, found 7, which YAML reads as a number", `quote it: "7"`},
		"{<<: {a: b}}": {"expected a tag, found keys and values", "promote schema prints what is allowed where"},
	} {
		file := expand("registries:\n- {name: s.example, src: true}\n- {name: p.example}\nimagesPath: &x 7\nimages:\n- name: a\n  dmap:\n    $A:\n    - " + word + "\n")
		_, err := Plain("x.yaml", []byte(file))
		bad, ok := errors.AsType[*Errors](err)
		if !ok {
			t.Errorf("%q: error %v, want a fault", word, err)
			continue
		}
		f := bad.List[len(bad.List)-1]
		if got := [2]string{f.Message, f.Hint}; got != want || f.Place.String() != "x.yaml:9:7" && word != "" {
			t.Errorf("%q: %s: %q, want %q", word, f.Place, got, want)
		}
	}
}

// TestClearWords: quoted, or said to be text, every word is itself; so is what only looks like a number.
func TestClearWords(t *testing.T) {
	for _, word := range []string{
		`"null"`, `'1.20'`, `"on"`, `"0777"`, "!!str 1.20", `"2024-01-01"`, "v1.20", "1.2.3", "1.20-rc.1", "1a", "e3", "nul", "nULL", "tRUE", "_1",
		"20240101-abc", "2024-01-01-x", "0x", "1e", "yess", "onn", "Inf",
	} {
		tree, err := Plain("x.yaml", []byte(expand("registries:\n- {name: s.example, src: true}\n- {name: p.example}\nimages: [{name: a, dmap: {$A: ["+word+"]}}]\n")))
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		want := strings.Trim(strings.TrimPrefix(word, "!!str "), `"'`)
		if got := tree.Projects[0].Images[0].Digests[0].Tags[0].Name; got != want {
			t.Errorf("%s is the tag %q", word, got)
		}
	}
}

// TestBoolean: src is true or false, and nothing that others read otherwise.
func TestBoolean(t *testing.T) {
	for word, ok := range map[string]bool{
		"true": true, "True": true, "TRUE": true, "!!bool true": true,
		"yes": false, "on": false, "y": false, `"true"`: false, "'true'": false, "tRUE": false, "1": false, "null": false, "": false,
		"[]": false, "{}": false, "!!str true": false, "!mine true": false,
	} {
		_, err := Plain("x.yaml", []byte("registries:\n- name: s.example\n  src: "+word+"\n- name: p.example\nimages: []\n"))
		if ok != (err == nil) {
			t.Errorf("src: %s: error %v", word, err)
		}
		if bad, is := errors.AsType[*Errors](err); is && (bad.List[0].Hint == "" || bad.List[0].Line != 3) {
			t.Errorf("src: %s: %s", word, bad.List[0].Text())
		}
	}
}

// TestOddContainers: lists and mappings of other types are none, and merge keys are told apart.
func TestOddContainers(t *testing.T) {
	for _, tt := range []struct{ images, want string }{
		{"- name: a\n  dmap: {$A: !!set {v1, v2}}\n", "expected a list of tags, found keys and values"},
		{"- name: a\n  dmap: {$A: !mine [v1]}\n", "expected a list of tags, found a list with the tag !mine"},
		{"- name: a\n  dmap: !!omap [$A: [v1]]\n", "expected digests and their tags, found a list"},
		{"- &x\n  name: a\n  dmap: {}\n- <<: *x\n", "merge keys (<<) are not read"},
		{"- name: a\n  dmap:\n    <<: {$A: [v1]}\n", "merge keys (<<) are not read"},
		{"- name: a\n  dmap: {$A: null}\n- name: b\n  dmap: Null\n", ""},
	} {
		_, err := Plain("x.yaml", []byte(expand("registries:\n- {name: s.example, src: true}\n- {name: p.example}\nimages:\n"+tt.images)))
		got := ""
		if bad, ok := errors.AsType[*Errors](err); ok {
			got = bad.List[0].Message
		}
		if got != tt.want {
			t.Errorf("%s%q, want %q", tt.images, got, tt.want)
		}
	}
}

// TestBareWords: what is written for a name is read back as that name, by this reader and by others.
func TestBareWords(t *testing.T) {
	for _, word := range append([]string{"v1", "a/b", "pause", "123", "1.0", "1e3", "0x1f", "on"}, unclear...) {
		if written := Bare(word); written == word && plainFor(word) != "" {
			t.Errorf("%s stays without quotes", word)
		}
		if !oci.ValidName(word) {
			continue
		}
		tree, err := Plain("x.yaml", []byte("registries:\n- {name: s.example, src: true}\n- {name: p.example}\nimages: [{name: "+Bare(word)+", dmap: {}}]\n"))
		if err != nil || tree.Projects[0].Images[0].Name != word {
			t.Errorf("%s: error %v", word, err)
		}
	}
}
