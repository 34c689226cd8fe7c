package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// The statement names every file of the checksums, the commit and the builder. A text that is not a list of checksums
// is refused.
func TestProvenance(t *testing.T) {
	t.Chdir("../..")
	dir := t.TempDir()
	list, out := filepath.Join(dir, "checksums.txt"), filepath.Join(dir, "provenance.json")
	env := map[string]string{
		"GITHUB_SERVER_URL":   "https://code.example.org",
		"GITHUB_WORKFLOW_REF": "o/r/.github/workflows/release.yaml@refs/tags/v1.2.3",
		"GITHUB_REPOSITORY":   "o/r", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1",
	}
	for text, want := range map[string]string{
		digest + "  a.tar.gz\n" + digest + "  b c.deb\n": "",
		"":                        "lists no file",
		digest + " a\n":           "no line of sha256sum",
		digest[2:] + "  a\n":      "no line of sha256sum",
		"zz" + digest[2:] + "  a": "no line of sha256sum",
		digest + "  \n":           "no line of sha256sum",
	} {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(out)
		args := []string{"-checksums", list, "-version", "v1.2.3", "-out", out}
		err := run(t.Context(), args, func(k string) string { return env[k] }, &bytes.Buffer{})
		if want != "" {
			if _, missing := os.Stat(out); err == nil || !strings.Contains(err.Error(), want) || missing == nil {
				t.Errorf("%q: error %v, want %q; written: %v", text, err, want, missing == nil)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var got statement
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Subject) != 2 || got.Subject[1].Name != "b c.deb" || got.Subject[1].Digest["sha256"] != digest {
			t.Errorf("subjects %v", got.Subject)
		}
		deps := got.Predicate.BuildDefinition.ResolvedDependencies
		if len(deps) != 2 || len(deps[0].Digest["gitCommit"]) != 40 || len(deps[1].Digest["sha256"]) != 64 {
			t.Errorf("dependencies %v", deps)
		}
		id, want := got.Predicate.RunDetails.Builder.ID, env["GITHUB_SERVER_URL"]+"/"+env["GITHUB_WORKFLOW_REF"]
		if id != want {
			t.Errorf("builder %s, want %s", id, want)
		}
	}
	if err := run(t.Context(), nil, os.Getenv, &bytes.Buffer{}); err == nil {
		t.Error("called without arguments it does something")
	}
}
