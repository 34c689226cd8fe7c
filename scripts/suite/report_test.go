package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module has a package for each kind of result that go test reports.
var module = map[string]string{
	"go.mod":        "module ociproxy\n\ngo 1.26\n",
	"ok/a_test.go":  `import "fmt"; func TestOK(t *testing.T) { t.Log("quiet"); fmt.Println("quiet too") }`,
	"ok2/a_test.go": `func TestSkipped(t *testing.T) { t.Skip("reason") }; func TestSub(t *testing.T) { t.Run("a", func(t *testing.T) { t.Log("quiet") }) }`,
	"fails/a_test.go": `import "fmt"
func TestFine(t *testing.T) { t.Log("quiet"); fmt.Println("printed") }
func TestFails(t *testing.T) {
	t.Log("loud")
	t.Run("sub", func(t *testing.T) { t.Log("loud"); t.Run("deep", func(t *testing.T) { t.Error("wrong\nin two lines") }) })
	t.Run("fine", func(t *testing.T) { t.Log("printed since its parent failed") })
}
func TestParallel(t *testing.T) {
	for _, n := range []string{"a", "b"} { t.Run(n, func(t *testing.T) { t.Parallel(); t.Error("of", n) }) }
}`,
	"panics/a_test.go":     `func TestPanics(t *testing.T) { t.Log("before"); panic("loud") }; func TestNever(t *testing.T) {}`,
	"exits/a_test.go":      `import "os"; func TestMain(m *testing.M) { m.Run(); println("loud"); os.Exit(3) }; func TestFine(t *testing.T) {}`,
	"broken/a_test.go":     `func TestBroken(t *testing.T) { nothing() }`,
	"untested/a.go":        "package untested\n",
	"unfinished/a.go":      "package unfinished\n",
	"unfinished/a_test.go": `import ("os"; "fmt"); func TestExits(t *testing.T) { fmt.Println("loud"); os.Exit(1) }`,
}

// changing matches what differs between runs.
var changing = regexp.MustCompile(`\d+\.\d+s|0x[0-9a-f]+|goroutine \d+|\(cached\)|\+0x\S+|in goroutine.*|\.go:\d+ .*`)

// report must print what go test prints, except for the order of packages.
func TestReportIsWhatGoTestPrints(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, module)
	goTest := func(flags ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"test"}, flags...), "./...")...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	lines := func(s string) []string {
		all := strings.Split(changing.ReplaceAllString(s, "…"), "\n")
		// When several tests run at once, the order of their output is random.
		all = slices.DeleteFunc(all, func(line string) bool {
			return strings.HasPrefix(line, "=== NAME") || strings.HasPrefix(line, "=== CONT")
		})
		slices.Sort(all)
		return all
	}
	for name, flags := range map[string][]string{"short": nil, "verbose": {"-v"}} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := newReport(&out, name == "verbose")
			if err := r.read(strings.NewReader(goTest(append(flags, "-json")...))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(lines(goTest(flags...)), lines(out.String())); diff != "" {
				t.Errorf("lines (-go test +report):\n%s\n%s", diff, out.String())
			}
			slices.Sort(r.failed)
			want := []string{"broken (it does not compile)", "exits (no test)", "fails TestFails", "fails TestParallel", "panics TestPanics", "unfinished TestExits"}
			if diff := cmp.Diff(want, r.failed); diff != "" {
				t.Errorf("failed (-want +got):\n%s", diff)
			}
		})
	}
}
