package docs_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/bench/figures"
)

var update = flag.Bool("update", false, "write the figures of bench/out into docs/performance.md")

const begin, end = "<!-- figures: begin -->\n", "<!-- figures: end -->"

// TestFigures holds the figures in docs/performance.md to their form; with -update it takes those of the last benchmarks.
func TestFigures(t *testing.T) {
	page := read(t, "docs/performance.md")
	before, rest, ok := strings.Cut(page, begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/performance.md has no place for figures")
	}
	if *update {
		table = figuresTable(t)
		if err := os.WriteFile(filepath.Join(root, "docs/performance.md"), []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"serve.blob.vs_bare", "decide.blob.hit", "lookup.ns", "routing.aws.extra_ms"} {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("docs/performance.md shows no %s", name)
		}
	}
}

// figuresTable reads what the benchmarks wrote, in the order in which `make bench` runs them.
func figuresTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| figure | value | unit |\n|---|---|---|\n")
	for _, bench := range []string{"serve", "decide", "lookup", "routing"} {
		var all []figures.Figure
		if err := json.Unmarshal([]byte(read(t, filepath.Join("bench", "out", bench+".json"))), &all); err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, short(f.Value), strings.ReplaceAll(f.Unit, "cents", "¢"))
		}
	}
	return b.String()
}

// short rounds to three digits, and keeps whole numbers.
func short(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
