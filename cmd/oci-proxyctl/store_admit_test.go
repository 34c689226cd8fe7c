package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/internal/admission"
	"ociproxy/internal/cli"
)

// An examination takes minutes. What it found is printed even if the file for it cannot be written at the end.
func TestFindingsWithoutRecord(t *testing.T) {
	for _, format := range []cli.Format{cli.Text, cli.JSON} {
		dir := filepath.Join(t.TempDir(), "records")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "r.json")
		file, err := beginRecord(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		var stdout bytes.Buffer
		a := &app{stdout: &stdout, env: emptyEnv, format: format}
		r := &admission.Record{Subject: admission.Subject{Store: "s3-use1"}, Verdict: admission.Pass}
		err = a.tellAdmission(r, file, name, nil)
		if err == nil || !strings.Contains(err.Error(), "write record "+name) {
			t.Errorf("%s: %v", format, err)
		}
		if !strings.Contains(stdout.String(), "s3-use1") {
			t.Errorf("%s: no findings: %q", format, stdout.String())
		}
	}
}
