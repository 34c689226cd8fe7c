package parts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Tree returns a directory with the files of the main module as they were at a commit. It is below .bin/test, and all
// tests of this working copy share it.
//
// If this working copy is no git repository, or a shallow one that lacks the commit, the test is skipped, or fails, as
// with [Find].
func Tree(t testing.TB, commit string) string {
	t.Helper()
	dir := filepath.Join(Root(), ".bin", "test", "commits", commit)
	if err := exec.Command("git", "-C", Root(), "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		missing(t, "no commit %s in %s: `git fetch --unshallow` gets it", commit, Root())
	}
	err := alone(dir, func() error {
		if _, err := os.Stat(dir); err == nil {
			return nil
		}
		// Unpack beside it first: a run that is killed leaves no half of a tree.
		part := dir + ".part"
		if err := os.RemoveAll(part); err != nil {
			return err
		}
		if err := os.Mkdir(part, 0o755); err != nil {
			return err
		}
		script := `git -C "$0" archive "$1" >"$2.tar" && tar -xf "$2.tar" -C "$2" && rm "$2.tar"`
		if out, err := exec.Command("/bin/sh", "-c", script, Root(), commit, part).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack commit %s: %w\n%s", commit, err, out)
		}
		return os.Rename(part, dir)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// BuildAt builds a command of the main module as it was at a commit, and returns the path of the program. See [Tree].
func BuildAt(t testing.TB, commit, name string) string {
	t.Helper()
	dir := Tree(t, commit)
	file := filepath.Join(dir+".bin", name)
	// Go would take the revision of this working copy for that of the commit.
	if err := build(dir, file, "./cmd/"+name, "-buildvcs=false"); err != nil {
		t.Fatal(err)
	}
	return file
}
