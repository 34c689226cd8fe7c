package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The busy loops and the program itself run as processes of this test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "spin" || os.Args[1] == "flaky") {
		main()
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is a main
}

// everyThird has a test that fails in every third run; it counts the runs in a file.
const everyThird = `import "os"
func TestThird(t *testing.T) {
	text, _ := os.ReadFile(FILE); os.WriteFile(FILE, append(text, 'x'), 0o600)
	if len(text) % 3 == 2 { t.Fatal("the third") }
}
func TestAlways(t *testing.T) {}
func TestSkipped(t *testing.T) { t.Skip() }`

// flakyModules makes two modules in the working directory, like those of the project.
func flakyModules(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	count := filepath.Join(t.TempDir(), "count")
	write(t, ".", map[string]string{
		"go.mod":            "module ociproxy\n\ngo 1.26\n",
		"scripts/flaky.txt": "# none yet\n\nslow TestListed # it waited\n",
		"third/a_test.go":   strings.ReplaceAll(everyThird, "FILE", fmt.Sprintf("%q", count)),
		"slow/a_test.go": `import "time"; func TestSlow(t *testing.T) { <-time.After(100*time.Millisecond) }; func TestListed(t *testing.T) { <-time.After(100*time.Millisecond) }
func TestParts(t *testing.T) { t.Run("a part", func(t *testing.T) { t.Parallel(); <-time.After(100*time.Millisecond) }) }`,
		"leaks/a_test.go":       `import "os"; func TestFine(t *testing.T) {}; func TestMain(m *testing.M) { m.Run(); os.Exit(1) }`,
		"test/go.mod":           "module ociproxy/test\n\ngo 1.26\n",
		"test/faults/a_test.go": `import "os"; func TestSlowIt(t *testing.T) { if os.Getenv("OCIPROXY_SLOW") != "1" { t.Error("skips") } }`,
	})
	if err := os.WriteFile("scripts/parts.sh", []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestFlaky(t *testing.T) {
	flakyModules(t)
	err := flaky(t.Context(), t.TempDir(), []string{"--runs=11", "--rest=1", "--busy=1", "--quick=100ms"})
	if err == nil || strings.Count(err.Error(), filepath.Join(".cache", "flaky")) != 5 {
		t.Errorf("%v, want the files of five red processes", err)
	}
	table, tableErr := os.ReadFile(filepath.Join(".cache", "flaky", "table.txt"))
	if tableErr != nil {
		t.Fatal(tableErr)
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ *(\d+) +(\d+) +[0-9.]+s +(.*)$`).FindAllSubmatch(table, -1) {
		got[string(m[3])] = fmt.Sprintf("%s runs, %s red", m[1], m[2])
	}
	want := map[string]string{ // including the first run, which measures how long tests take
		"third TestThird":        "12 runs, 4 red",
		"third TestAlways":       "12 runs, 0 red",
		"third TestSkipped":      "0 runs, 0 red",
		"slow TestSlow":          "2 runs, 0 red",
		"slow TestParts":         "2 runs, 0 red",
		"slow TestListed":        "12 runs, 0 red",
		"leaks TestFine":         "12 runs, 0 red",
		"leaks (the package)":    "3 runs, 3 red",
		"test/faults TestSlowIt": "2 runs, 0 red",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, table)
	}
	if lines := bytes.Split(bytes.TrimSpace(table), []byte("\n")); !bytes.HasSuffix(lines[len(lines)-3], []byte("third TestThird")) {
		t.Errorf("the reddest test is not the last:\n%s", table)
	}
	for _, file := range regexp.MustCompile(`\S+/third\.\d+\.txt`).FindAllString(fmt.Sprint(err), -1) {
		if said, err := os.ReadFile(file); err != nil || !bytes.Contains(said, []byte("the third")) {
			t.Errorf("what a red run said was not kept: %s, %v", said, err)
		}
	}
}

func TestFlakyGreen(t *testing.T) {
	flakyModules(t)
	if err := flaky(t.Context(), t.TempDir(), []string{"-runs=2", "-busy=0", "./slow"}); err != nil {
		t.Error(err)
	}
	err := flaky(t.Context(), t.TempDir(), []string{"-runs=1000", "-busy=0", "-limit=1s", "./slow"})
	if err == nil || !strings.Contains(err.Error(), "not finished within 1s") {
		t.Errorf("%v, want it to end at the limit", err)
	}
	write(t, ".", map[string]string{"scripts/flaky.txt": "slow TestRenamed"})
	err = flaky(t.Context(), t.TempDir(), []string{"-busy=0", "./slow"})
	if err == nil || !strings.Contains(err.Error(), "slow TestRenamed, which is not there") {
		t.Errorf("%v, want the name that is not there", err)
	}
}

// An interrupt ends the busy loops and the tests. The results so far are still reported.
func TestFlakyInterrupted(t *testing.T) {
	flakyModules(t)
	cmd := exec.Command(os.Args[0], "flaky", "-runs=100000", "-suites=0", "./slow")
	var said bytes.Buffer
	cmd.Stdout = &said
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for spinners(t) == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no busy loop was started")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if n := spinners(t); n > 0 {
		t.Errorf("%d busy loops are left", n)
	}
	if !strings.Contains(said.String(), "slow TestSlow\n") {
		t.Errorf("no table in\n%s", said.String())
	}
}

// spinners returns the number of busy loops of this test binary.
func spinners(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && string(line) == os.Args[0]+"\x00spin\x00" {
			n++
		}
	}
	return n
}
