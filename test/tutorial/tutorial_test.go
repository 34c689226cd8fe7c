package tutorial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// TestTutorial does what docs/tutorial.md says, in order, and compares what the commands print.
func TestTutorial(t *testing.T) {
	const name = "tutorial.md"
	s := newShell(t, shellOptions{path: builders(t), alone: true})
	all := steps(t, name)
	if len(all) < 20 {
		t.Fatalf("only %d commands found: is the pattern still right?", len(all))
	}
	for i := range all {
		s.check(t, &all[i])
	}
	if *update {
		write(t, name, all)
	}
}

// write writes the steps back into the console blocks of a page.
func write(t *testing.T, name string, all []step) {
	t.Helper()
	text := console.ReplaceAllStringFunc(page(t, name), func(block string) string {
		var out strings.Builder
		out.WriteString("```console\n")
		for range strings.Count(block, "\n$ ") {
			out.WriteString("$ " + all[0].command + "\n")
			for _, line := range all[0].prints {
				out.WriteString(line + "\n")
			}
			all = all[1:]
		}
		return out.String() + "```"
	})
	if err := os.WriteFile(filepath.Join(parts.Root(), "docs", name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
