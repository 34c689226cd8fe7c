package docs_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	names := append(slices.Collect(maps.Keys(aims)), "serve.blob.head.vs_bare", "start.first_answer.vs_bare", "start.death_to_last_redirect")
	for _, name := range names {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("docs/performance.md shows no %s", name)
		}
	}
}

// figuresTable reads what the benchmarks wrote, in the order in which `make bench` runs them (not the flood).
func figuresTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| figure | value | unit | aim | |\n|---|---|---|---|---|\n")
	for _, bench := range []string{"routing", "decide", "lookup", "inventory", "memory", "start", "serve", "flood", "mirror", "ledger", "promote", "plan"} {
		file := filepath.Join("bench", "out", bench+".json")
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Logf("%s: make bench-%s was not run", file, bench) // its figures are missed below, if they must be there
			continue
		}
		var all []figures.Figure
		if err := json.Unmarshal([]byte(read(t, file)), &all); err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, short(f.Value), strings.ReplaceAll(f.Unit, "cents", "¢"), verdict(f))
		}
	}
	return b.String()
}

// aims bound the figures that have one; serve.blob.vs_bare must be at least that, all others at most. MiB, bytes, seconds,
// nanoseconds, milliseconds or a ratio, as the figure has it.
var aims = map[string]float64{
	"serve.blob.vs_bare":              0.95,
	"decide.blob.hit":                 500,
	"decide.blob.absent_everywhere":   500,
	"decide.tag":                      500,
	"decide.blob.hit.allocs":          0,
	"lookup.ns":                       40,
	"lookup.allocs":                   0,
	"routing.aws.extra_ms":            1.3,
	"routing.aws.extra_ms.weight5":    2,
	"routing.aws.matrix.extra_ms":     0,
	"routing.azure.extra_ms":          1.6,
	"inventory.bytes_per_digest":      48,
	"inventory.lookup_cold":           100,
	"memory.steady":                   80,
	"memory.peak":                     160,
	"mirror.source_bytes_over_unique": 1,
	"mirror.second_pass.blobs_copied": 0,
	"mirror.rss":                      256,
	"mirror.rss_300mib":               256,
	"promote.plan_1m.seconds":         3,
	"promote.plan_1m.peak_mib":        400,
	"plan.map_40x330.time":            2,
	"plan.plane_40x330.time":          2,
	"plan.map_200x600.time":           60,
	"plan.map_200x600.gap":            0,
	"plan.plane_200x600.time":         60,
	"plan.plane_200x600.gap":          0,
	"plan.frontier_40x330.time":       30,
	"plan.frontier_40x330.gap":        0,
}

// verdict is the last two cells of a figure's row: its aim, and whether it was reached.
func verdict(f figures.Figure) string {
	aim, ok := aims[f.Name]
	sign, reached := "≤", f.Value <= aim
	if f.Name == "serve.blob.vs_bare" {
		sign, reached = "≥", f.Value >= aim
	}
	switch {
	case !ok:
		return "|"
	case reached:
		return fmt.Sprintf("%s %s | reached", sign, short(aim))
	default:
		return fmt.Sprintf("%s %s | **missed**", sign, short(aim))
	}
}

// short rounds to three digits, and keeps whole numbers.
func short(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
