package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDocsAreFresh(t *testing.T) {
	const root = "../../.."
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale: run go generate ./internal/config (-want +got)\n%s", name, diff)
		}
	}
	if !json.Valid(files["docs/config.schema.json"]) {
		t.Error("the schema is not JSON")
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"State is whether it\ntakes traffic.": "Whether it takes traffic.",
		"Feeds are lists.":                    "Lists.",
		"TLS makes it HTTPS.":                 "Makes it HTTPS.",
		"`a` is b":                            "`a` is b",
		"":                                    "",
	} {
		name := map[byte]string{'S': "State", 'F': "Feeds", 'T': "TLS"}
		first := byte(0)
		if in != "" {
			first = in[0]
		}
		if got := plain(in, name[first]); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestWrapped: no line is too long, no word is lost, and code and links stay on one line.
func TestWrapped(t *testing.T) {
	const code, link = "`a b c`", "[a page](page.md#some-heading)"
	text := strings.TrimSpace(strings.Repeat("word "+code+", "+link+". ", 40))
	got := wrapped("- ", "  ", text)
	if n := strings.Count(got, code); n != 40 {
		t.Errorf("%d of 40 pieces of code are on one line", n)
	}
	if n := strings.Count(got, link); n != 40 {
		t.Errorf("%d of 40 links are on one line", n)
	}
	if diff := cmp.Diff(strings.Fields("- "+text), strings.Fields(got)); diff != "" {
		t.Errorf("words (-want +got)\n%s", diff)
	}
	for i, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if want := map[bool]string{true: "- ", false: "  "}[i == 0]; !strings.HasPrefix(line, want) || len(line) > columns {
			t.Errorf("line %d: %q", i, line)
		}
	}
}
