package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/internal/manifest"
)

// readManifest must not read a large file completely, only enough to see that it is too large.
func TestFormatReadsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "images.yaml")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(10 * manifest.MaxBytes); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	a := &app{stdin: io.LimitReader(zeros{}, 10*manifest.MaxBytes)}
	for _, name := range []string{name, "-"} {
		if data, err := a.readManifest(name); err != nil || len(data) != manifest.MaxBytes+1 {
			t.Errorf("%s: read %d bytes, %v; want %d", name, len(data), err, manifest.MaxBytes+1)
		}
	}
}

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
