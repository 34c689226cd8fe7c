package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// write writes files below dir. It adds the package clause to test files.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			text = "package " + filepath.Base(filepath.Dir(name)) + "\n\nimport \"testing\"\n" + text + "\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// If a suite fails, the next one still runs, and the end names what failed.
func TestSuitesGoOn(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", map[string]string{
		"a/go.mod":           "module ociproxy\n\ngo 1.26\n",
		"a/red/a_test.go":    `func TestRed(t *testing.T) { t.Error("wrong") }`,
		"b/go.mod":           "module ociproxy/test\n\ngo 1.26\n",
		"b/green/a_test.go":  `import "os"; func TestSlowGreen(t *testing.T) { if os.Getenv("OCIPROXY_SLOW") != "1" { t.Error("not slow") } }`,
		"b/faults/a_test.go": `func TestSlowFault(t *testing.T) {}; func TestOther(t *testing.T) { t.Error("not chosen") }`,
	})
	slow := []string{"-run=^TestSlow"}
	chosen := []suite{
		{name: "first", warm: time.Minute, runs: []run{{dir: "a"}}},
		{name: "second", warm: time.Minute, slow: "1", runs: []run{{dir: "b", flags: slow, only: []string{"/faults"}}, {dir: "b", flags: slow, without: []string{"/faults"}}}},
	}
	said := func() string {
		var out bytes.Buffer
		err := runSuites(t.Context(), &out, chosen, nil)
		if err == nil || err.Error() != "these failed:\n  red TestRed" {
			t.Errorf("error %v", err)
		}
		return out.String()
	}
	out := said()
	for _, want := range []string{"test: first, then second: about 2 min on two idle cores", "a_test.go:4: wrong\n", "FAIL\tociproxy/red\t", "FAIL\n",
		"ok  \tociproxy/test/faults\t", "ok  \tociproxy/test/green\t", " s  test/green TestSlowGreen\n", "first failed in ", "second ok in "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\tociproxy/test/faults"); n != 1 {
		t.Errorf("faults ran %d times", n)
	}
	if again := said(); !strings.Contains(again, " s the last time here") {
		t.Errorf("how long it takes was not remembered:\n%s", again)
	}
}

// TestInfraIsWhole: the suite infra runs each package that has a TestInfra….
func TestInfraIsWhole(t *testing.T) {
	var want []string
	err := filepath.WalkDir("../../test", func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("\nfunc TestInfra")) {
			want = append(want, strings.TrimPrefix(filepath.Dir(path), "../../test"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	for _, r := range suiteNamed("infra").runs {
		got = append(got, r.only...)
	}
	slices.Sort(got)
	if len(got) == 0 || !slices.Equal(want, got) {
		t.Errorf("the suite runs %q, and these have tests of it: %q", got, want)
	}
}

// TestFirst: the packages that take longest exist, and go test is given them first.
func TestFirst(t *testing.T) {
	t.Chdir("../..")
	for _, r := range suiteNamed("slow").runs {
		list, err := r.packages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, end := range r.first {
			if i >= len(list) || !strings.HasSuffix(list[i], "/test"+end) {
				t.Errorf("%s is not number %d of %q", end, i+1, list)
			}
		}
	}
}

func TestAnnounce(t *testing.T) {
	known := map[string]time.Duration{"unit": 3 * time.Minute, "parts": 4 * time.Minute}
	for _, tt := range []struct {
		names []string
		took  map[string]time.Duration
		want  string
	}{
		{[]string{"unit", "parts"}, known, "test: unit, then parts: 7 min the last time here"},
		{[]string{"unit", "slow"}, known, " on two idle cores, "},
		{[]string{"unit"}, map[string]time.Duration{"unit": 40 * time.Second}, "40 s the last"},
	} {
		chosen, err := choose(tt.names)
		if err != nil {
			t.Fatal(err)
		}
		if got := announce(chosen, maps.Clone(tt.took)); !strings.Contains(got, tt.want) {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if _, err := choose([]string{"units"}); err == nil {
		t.Error("a suite that is not there was chosen")
	}
}
