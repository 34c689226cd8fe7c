package clitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ociproxy/internal/cli/manual"
)

// Manual fails in three cases: a command or flag of the program that root makes is not in the manual pages; the pages
// depend on more than the commands and a date; a shell does not accept the completions.
func Manual(t *testing.T, root func() *cobra.Command) {
	t.Helper()
	dir := written(t, root())
	if diff := cmp.Diff(dir, written(t, root())); diff != "" {
		t.Errorf("written twice (-first +second):\n%s", diff)
	}
	want := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		name := filepath.Join(manual.Pages, manual.Page(cmd))
		want[name] = true
		page := strings.ReplaceAll(dir[name], `\-`, "-")
		if !strings.Contains(page, cmd.Short) || !strings.Contains(page, `"Jul 1999"`) {
			t.Errorf("%s does not say %q, or has another date:\n%s", name, cmd.Short, page)
		}
		if cmd.Annotations["exits"] != "" && !strings.Contains(page, "\n.SH EXIT STATUS\n") {
			t.Errorf("%s has no exit codes", name)
		}
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Deprecated == "" && !strings.Contains(page, "--"+f.Name) {
				t.Errorf("%s has no --%s", name, f.Name)
			}
		})
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() {
				walk(below)
			}
		}
	}
	program := root()
	walk(program)
	for name := range dir {
		if strings.HasPrefix(name, manual.Pages) && !want[name] {
			t.Errorf("%s is the page of no command", name)
		}
	}
	accepted(t, program.Name(), dir)
}

// written returns the files that manual.Write writes, by name.
func written(t *testing.T, root *cobra.Command) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := manual.Write(root, dir, time.Date(1999, 7, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// accepted has each shell that is installed here read its completions.
func accepted(t *testing.T, program string, files map[string]string) {
	t.Helper()
	for shell, name := range map[string]string{
		"bash": filepath.Join(manual.Bash, program),
		"zsh":  filepath.Join(manual.Zsh, "_"+program),
		"fish": filepath.Join(manual.Fish, program+".fish"),
	} {
		if !strings.Contains(files[name], program) {
			t.Errorf("%s completes nothing of %s", name, program)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			continue // bash is everywhere, the other shells are not
		}
		cmd := exec.CommandContext(t.Context(), path, "-n")
		cmd.Stdin = strings.NewReader(files[name])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s -n < %s: %v\n%s", shell, name, err, out)
		}
	}
}
