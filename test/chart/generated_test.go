package chart

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
)

// update makes the tests write the generated files and the goldens: `make manifests`.
var update = flag.Bool("update", false, "write the generated manifests and the expected output of the tests")

// generated compares a file with the text that the generator gives.
func generated(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (make manifests writes it)", err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is old: run make manifests (-want +got):\n%s", file, diff)
	}
}

// The alerts and objectives of the chart are the same as the shipped ones. The chart needs a copy, because Helm reads no
// file outside of a chart.
func TestAlertsAreTheShippedOnes(t *testing.T) {
	for _, name := range []string{"alerts.yaml", "objectives.yaml", "cost.yaml", "budget.yaml"} {
		shipped, err := os.ReadFile(filepath.Join(parts.Root(), "deploy", "prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		generated(t, filepath.Join(Dir(), "files", name), string(shipped))
	}
}

// The dashboards of the chart are the same as the shipped ones, too.
func TestDashboardsAreTheShippedOnes(t *testing.T) {
	for _, name := range []string{"overview.json", "money.json", "fleet.json"} {
		shipped, err := os.ReadFile(filepath.Join(parts.Root(), "deploy", "grafana", name))
		if err != nil {
			t.Fatal(err)
		}
		generated(t, filepath.Join(Dir(), "files", "dashboards", name), string(shipped))
	}
}

// The schema of the values includes the schema of the config, so helm finds a misspelt key of the config before any pod
// does.
func TestSchemaHasTheConfig(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(parts.Root(), "deploy", "helm", "values.schema.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.Unmarshal(source, &schema); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "config.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var app map[string]any
	if err := json.Unmarshal(text, &app); err != nil {
		t.Fatal(err)
	}
	defs := schema["$defs"].(map[string]any)
	for name, def := range app["$defs"].(map[string]any) {
		if defs[name] != nil {
			t.Fatalf("$defs: both schemas have %s", name)
		}
		defs[name] = def
	}
	delete(app, "$defs")
	delete(app, "$schema")
	defs["app"] = app
	// The texts are in docs/config.md. Without them, this file changes only when the form of a value changes.
	withoutTexts(defs)
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	generated(t, filepath.Join(Dir(), "values.schema.json"), string(out)+"\n")
}

// withoutTexts removes the keyword `description` from schemas. A property with that name stays.
func withoutTexts(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, ok := s["description"].(string); ok {
			delete(s, "description")
		}
		for _, v := range s {
			withoutTexts(v)
		}
	case []any:
		for _, v := range s {
			withoutTexts(v)
		}
	}
}

// TestGoldens shows the reviewer how a change of the chart changes each example.
func TestGoldens(t *testing.T) {
	examples := Examples(t)
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		t.Run(name, func(t *testing.T) {
			text, err := Template(t, examples[name], nil)
			if err != nil {
				t.Fatal(err)
			}
			generated(t, filepath.Join("testdata", name+".golden.yaml"), text)
		})
	}
}

// TestLint runs helm's own linter. Warnings fail the test too.
func TestLint(t *testing.T) {
	for name, file := range Examples(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := Helm(t, nil, "lint", "--strict", "--values", file, Dir()); err != nil {
				t.Error(err)
			}
		})
	}
}
