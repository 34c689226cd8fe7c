package infra

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

var examples = []string{"production", "sandbox"}

// TestSlowExamples: a newcomer's commands in the examples give a plan that the policies accept, before and after it was
// applied.
func TestSlowExamples(t *testing.T) {
	parts.Slow(t)
	dir := Copy(t)
	for _, name := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := filepath.Join(dir, "examples", name)
			Init(t, at)
			for _, make := range []func(testing.TB, string, ...string) (string, error){Plan, Applied} {
				plan, err := make(t, at)
				if err != nil {
					t.Fatal(err)
				}
				if denied := Conftest(t, filepath.Join(dir, "policy"), plan); len(denied) > 0 {
					t.Errorf("the policies deny:\n%s", cmp.Diff([]string(nil), denied))
				}
			}
		})
	}
}

// TestExamplesDifferInInputs: the examples have the same text of Terraform.
func TestExamplesDifferInInputs(t *testing.T) {
	text := func(name string) map[string]string {
		dir := filepath.Join(Dir(), "examples", name)
		files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no *.tf in %s: %v", dir, err)
		}
		texts := map[string]string{}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.Base(file)] = string(text)
		}
		return texts
	}
	if diff := cmp.Diff(text(examples[0]), text(examples[1])); diff != "" {
		t.Errorf("(-%s +%s)\n%s", examples[0], examples[1], diff)
	}
}
