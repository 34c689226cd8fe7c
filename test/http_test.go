package test

import (
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/script"
)

// The scripts in testdata/http test the built program against the table of docs/request-handling.md. Each part of the
// table has a script.
func TestHTTP(t *testing.T) {
	files, err := filepath.Glob("testdata/http/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { script.Run(t, file) })
	}
}
