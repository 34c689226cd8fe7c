package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// Every fault has a row in docs/faults.md, and every row there has a fault.
func TestFaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows, names []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) < 2 || strings.HasPrefix(cells[0], "---") {
			continue
		}
		name := strings.TrimSpace(cells[0])
		if name == "fault" || strings.HasPrefix(name, "---") {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("%s: %d cells, want 4", name, len(cells))
		}
		rows = append(rows, name)
	}
	for _, f := range table() {
		names = append(names, f.name)
	}
	slices.Sort(rows)
	slices.Sort(names)
	if diff := cmp.Diff(names, rows); diff != "" {
		t.Errorf("faults that are tested and rows of docs/faults.md (-tested +row):\n%s", diff)
	}
	if len(names) < 40 {
		t.Errorf("%d faults", len(names))
	}
}
