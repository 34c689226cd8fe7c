package test

import (
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/script"
)

// The table of docs/request-handling.md, asked of the built program: testdata/http has a script for each of its parts.
func TestHTTP(t *testing.T) {
	files, err := filepath.Glob("testdata/http/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { script.Run(t, file) })
	}
}
