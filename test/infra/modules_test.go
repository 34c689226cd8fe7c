package infra

import (
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// TestSlowModules: every module is formatted, right by the schemas of its providers, and passes its own tests.
func TestSlowModules(t *testing.T) {
	parts.Slow(t)
	dir := Copy(t)
	if out, err := Tofu(t, dir, "fmt", "-check", "-recursive", "-diff"); err != nil {
		t.Errorf("tofu fmt: %v\n%s", err, out)
	}
	modules := Modules(t, dir)
	for _, module := range modules {
		t.Run(strings.ReplaceAll(module, "/", "-"), func(t *testing.T) {
			t.Parallel()
			at := filepath.Join(dir, module)
			Init(t, at)
			Must(t, at, "validate", "-no-color")
			if tests, _ := filepath.Glob(filepath.Join(at, "tests", "*.tftest.hcl")); len(tests) == 0 {
				if strings.HasPrefix(module, "examples/") {
					return // TestSlowExamples plans it
				}
				t.Fatalf("%s has no tests", module)
			}
			if out, err := Tofu(t, at, "test", "-no-color"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}
