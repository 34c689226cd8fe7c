package main

import (
	"encoding/json"
	"os"
	"path/filepath"
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
