package infra

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

var examples = []string{"production", "sandbox"}

// TestInfraExamples: a newcomer's commands in the examples give a plan that the policies accept, before and after it was
// applied.
func TestInfraExamples(t *testing.T) {
	parts.Slow(t)
	dir := Copy(t)
	for _, name := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			accepted(t, filepath.Join(dir, "policy"), filepath.Join(dir, "examples", name))
		})
	}
	// Modules that the examples do not call.
	for _, name := range []string{"aws-front", "cdn-cloudfront"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			accepted(t, filepath.Join(dir, "policy"), filepath.Join(dir, name), inputs(t, name)...)
		})
	}
}

// inputs returns the arguments of a plan of a module that the examples do not call.
func inputs(t *testing.T, module string) []string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", module+".tfvars.json"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-var-file=" + file}
}

// accepted plans and applies what is at a directory, and checks both with the policies.
func accepted(t *testing.T, policies, at string, args ...string) {
	t.Helper()
	Init(t, at)
	for _, make := range []func(testing.TB, string, ...string) (string, error){Plan, Applied} {
		plan, err := make(t, at, args...)
		if err != nil {
			t.Fatal(err)
		}
		if denied := Conftest(t, policies, plan); len(denied) > 0 {
			t.Errorf("the policies deny:\n%s", strings.Join(denied, "\n"))
		}
	}
}

// TestInfraPolicies: the rules' own tests pass.
func TestInfraPolicies(t *testing.T) {
	parts.Slow(t)
	dir, conftest := filepath.Join(Dir(), "policy"), parts.Find(t, "conftest")
	parts.Run(t, limit, conftest, "verify", "--policy", dir)
	parts.Run(t, limit, conftest, "fmt", "--check", dir)
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
