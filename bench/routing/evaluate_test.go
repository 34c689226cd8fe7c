package main

import (
	"os"
	"path/filepath"
	"testing"
)

// measurements returns the directory of the measured round trips. Without the directory it skips the test, or fails it
// where skipping is not allowed.
func measurements(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "data", "latency")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("OCIPROXY_REQUIRE_DATA") == "1" {
			t.Fatalf("the measurements are needed here: %v", err)
		}
		t.Skipf("SKIPPED, nothing was measured: %v", err)
	}
	return dir
}

// The limits are those of the issue. The great circle must be clearly worse: if it is not, the measurements were not
// read.
func TestExtraRoundTrip(t *testing.T) {
	figures, err := evaluate(measurements(t))
	if err != nil {
		t.Fatal(err)
	}
	type limits struct{ least, most float64 }
	want := map[string]limits{
		"routing.aws.extra_ms":                {0, 1.3},
		"routing.aws.extra_ms.weight5":        {0, 2.0},
		"routing.aws.matrix.extra_ms":         {0, 0},
		"routing.azure.extra_ms":              {0, 1.6},
		"routing.azure.extra_ms.weight5":      {0, 2.0},
		"routing.azure.matrix.extra_ms":       {0, 0},
		"routing.aws.great_circle.extra_ms":   {8, 11},
		"routing.azure.great_circle.extra_ms": {5, 7},
		"routing.aws.residual_ms":             {0, 11},
		"routing.azure.residual_ms":           {0, 14},
		"routing.aws.cents":                   {1, 10},
		"routing.aws.cents.weight5":           {1, 10},
		"routing.azure.cents":                 {1, 12},
		"routing.azure.cents.weight5":         {1, 12},
	}
	for _, f := range figures {
		l, ok := want[f.Name]
		if !ok {
			t.Errorf("%s has no limit", f.Name)
		}
		delete(want, f.Name)
		t.Logf("%s %.3f %s", f.Name, f.Value, f.Unit)
		if !(f.Value >= l.least && f.Value <= l.most) {
			t.Errorf("%s = %.3f, want %v to %v", f.Name, f.Value, l.least, l.most)
		}
	}
	for name := range want {
		t.Errorf("%s was not measured", name)
	}
}
