package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/cli/clitest"
)

// TestManual: the program has its manual page, and shells accept the completions.
func TestManual(t *testing.T) {
	clitest.Manual(t, func() *cobra.Command { return command(nil, &bytes.Buffer{}, &bytes.Buffer{}, new(cli.Format)) })
}

func TestUsage(t *testing.T) {
	tests := []struct {
		args           string
		code           int
		stdout, stderr string // contained
	}{
		{"--help", 0, "--fail store", ""},
		{"--help", 0, "--idle", ""},
		{"--help", 0, "Exit codes:", ""},
		{"--version", 0, "oci-proxy-demo devel ", ""},
		{"__complete --fail ", 0, "azure-westeurope", ""},
		{"nonsense", 2, "", "hint: oci-proxy-demo --help"},
		{"--nonsense", 2, "", "unknown flag: --nonsense"},
		{"--output yaml", 2, "", "want text or json"},
		{"--fail nonsense", 2, "", "hint: the stores are aws-us-east-1, "},
		{"--fail cdn --once", 2, "", "exclude each other"},
		{"--idle --once", 2, "", "hint: leave out --idle"},
		{"--idle --fail cdn", 2, "", "hint: leave out --idle"},
		{"--once --output json", 0, `"clients"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			// A space at the end makes an empty argument, as a shell's completion passes it.
			code := run(t.Context(), strings.Split(tt.args, " "), nil, &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stdout, want %q:\n%s\nstderr, want %q:\n%s", tt.stdout, &stdout, tt.stderr, &stderr)
			}
		})
	}
}
