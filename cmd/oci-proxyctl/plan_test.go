package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlanningPage runs docs/planning-regions.md: each command must print what the page says. UPDATE=1 writes the page. A
// line that ends with … stands for the longer line that the command prints.
func TestPlanningPage(t *testing.T) {
	page, err := filepath.Abs("../../docs/planning-regions.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var out strings.Builder
	ran := 0
	lines := strings.SplitAfter(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		out.WriteString(lines[i])
		if lines[i] != "```console\n" {
			continue
		}
		for i++; lines[i] != "```\n"; {
			command, ok := strings.CutPrefix(strings.TrimSpace(lines[i]), "$ ")
			if !ok {
				i++ // output of the command before
				continue
			}
			out.WriteString(lines[i])
			i++
			if strings.Contains(command, "<<'END'") {
				for command += "\n"; ; i++ {
					out.WriteString(lines[i])
					command += lines[i]
					if lines[i] == "END\n" {
						i++
						break
					}
				}
			}
			out.WriteString(planPrints(t, command))
			ran++
		}
		out.WriteString(lines[i])
	}
	if ran < 4 {
		t.Fatalf("the page has %d commands", ran)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(page, []byte(out.String()), 0o644); err != nil { //nolint:gosec // a page
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), out.String()); diff != "" {
		t.Errorf("the page differs from what is printed: UPDATE=1 go test -run TestPlanningPage ./cmd/oci-proxyctl (-page +printed)\n%s", diff)
	}
}

// planPrints runs a command of the page, and returns what it prints in lines that fit a page.
func planPrints(t *testing.T, command string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if args, ok := strings.CutPrefix(command, "oci-proxyctl "); ok {
		if code := run(t.Context(), strings.Fields(args), emptyEnv, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("%s: exit code %d: %s", command, code, &stderr)
		}
	} else {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, &stderr)
		}
	}
	var out strings.Builder
	for line := range strings.Lines(stdout.String()) {
		if r := []rune(strings.TrimRight(line, "\n")); len(r) > 100 {
			line = strings.TrimRight(string(r[:99]), " ") + "…\n"
		}
		out.WriteString(line)
	}
	return out.String()
}
