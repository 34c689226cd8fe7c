package dashboards

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the files of deploy/grafana")

// TestFilesAreCurrent: the files in the repository are those that this package makes, and there are no others.
func TestFilesAreCurrent(t *testing.T) {
	dir := filepath.Join("..", "..", "deploy", "grafana")
	files := Files()
	for name, want := range files {
		if *update {
			if err := os.WriteFile(filepath.Join(dir, name), want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is old: go generate ./internal/dashboards (-want +got)\n%s", name, diff)
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(there) != len(files) {
		t.Errorf("%q, %v: want %d files", there, err, len(files))
	}
}

// TestNames: the dashboards ask for metrics that the programs have, and for series that the rules record. So a metric that
// is renamed fails here.
func TestNames(t *testing.T) {
	known := map[string]bool{"ociproxy:budget_dollars:month": true} // the operator's own rule
	for _, d := range descs() {
		if m := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String()); m != nil {
			known[m[1]] = true
		}
	}
	for series := range recorded(t, `(?m)- record: (\S+)$`) {
		known[series] = true
	}
	name := regexp.MustCompile(`\boci(proxy|probe|mirror)[\w:]+`)
	for panel, expressions := range Expressions() {
		for _, expr := range expressions {
			found := name.FindAllString(expr, -1)
			if len(found) == 0 && !strings.Contains(expr, "ALERTS") {
				t.Errorf("%s asks for nothing of ours: %s", panel, expr)
			}
			for _, n := range found {
				if !known[n] && !known[strings.TrimSuffix(n, "_bucket")] {
					t.Errorf("%s asks for %s, which nothing has", panel, n)
				}
			}
		}
	}
}

// TestPanels checks what Grafana does not: that panels do not overlap, and that each says what it shows and in which unit.
func TestPanels(t *testing.T) {
	for name, text := range Files() {
		var d struct {
			Panels []struct {
				ID                       int
				Type, Title, Description string
				GridPos                  struct{ X, Y, W, H int }
				FieldConfig              struct{ Defaults struct{ Unit string } }
				Targets                  []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", name, p.ID)
			}
			ids[p.ID] = true
			if p.Type != "row" && (p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Title == "") {
				t.Errorf("%s: %q lacks a title, a description or a unit", name, p.Title)
			}
			if p.Type == list && len(p.Targets) != 1 {
				t.Errorf("%s: the table %q has %d queries: Grafana shows the first, and a menu for the others", name, p.Title, len(p.Targets))
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if at[0] >= columns || taken[at] != "" {
						t.Errorf("%s: %q at %v, where %q is", name, p.Title, at, taken[at])
					}
					taken[at] = p.Title
				}
			}
		}
	}
}
