package proxy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/internal/atomicfile"
)

// A start removes files of every kind that a killed process left in the cache. It keeps what another process is
// writing.
func TestStartSweepsTheCache(t *testing.T) {
	dir := t.TempDir()
	edit := []string{"ranges:\n", "ranges:\n  cache: " + dir + "\n"}
	w := newWorld(t, edit...)
	left := []string{".client-paths.ociproxy-17", "feeds/.aws.json.ociproxy-4711", "inventory/head/.h-va.json.ociproxy-12", "inventory/seg/.abc.ociproxy-3", "inventory/table/.table.ociproxy-99"}
	for _, name := range left {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("half"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	theirs := filepath.Join(dir, "app", ".state.7") // belongs to a program that shares the directory
	if err := errors.Join(os.MkdirAll(filepath.Dir(theirs), 0o755), os.WriteFile(theirs, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	other, err := atomicfile.Create(filepath.Join(dir, "inventory", "seg", "abc"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Abort()
	w.again(t, edit...)
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("another program's file: %v", err)
	}
	if err := other.Commit(); err != nil {
		t.Errorf("what was being written: %v", err)
	}
}
