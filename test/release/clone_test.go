package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// command runs a program in dir and returns what it printed on stdout. It adds env to the environment of the test.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// clone makes copies of the working tree: the commit, and what is not committed yet. Call it once for all copies,
// before any is used, so that they are the same although a person works in the tree.
func clone(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		cloneInto(t, dir)
	}
}

func cloneInto(t *testing.T, dir string) {
	t.Helper()
	root := parts.Root()
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skipf("a release is built from a clone: %v", err)
	}
	command(t, root, nil, "git", "clone", "-q", "--no-hardlinks", root, dir)
	changed := lines(command(t, root, nil, "git", "diff", "--name-only", "--no-renames", "HEAD"))
	changed = append(changed, lines(command(t, root, nil, "git", "ls-files", "-o", "--exclude-standard"))...)
	for _, name := range changed {
		from, to := filepath.Join(root, name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			if err := os.Remove(to); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			continue // a link to a directory, such as a .bin that several worktrees share
		}
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
