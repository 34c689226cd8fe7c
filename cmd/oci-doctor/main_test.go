package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/cli/clitest"
)

// TestManual: the program has its manual page, and shells accept the completions.
func TestManual(t *testing.T) {
	clitest.Manual(t, func() *cobra.Command { return command(&bytes.Buffer{}, &bytes.Buffer{}, new(cli.Format)) })
}

func TestUsage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	tests := []struct {
		args           string
		code           int
		stdout, stderr string // contained
	}{
		{"--help", 0, "Exit codes:", ""},
		{"--help", 0, "reads at most ", ""},
		{"--version", 0, "oci-doctor devel ", ""},
		{"--print-script", 0, "#!/bin/sh\n", ""},
		{"", 2, "", "hint: oci-doctor registry.example.org/sample/app:1.0"},
		{"a b", 2, "", "hint: oci-doctor --help"},
		{"r.example.org --nonsense", 2, "", "unknown flag: --nonsense"},
		{"r.example.org --output yaml", 2, "", "want text or json"},
		{"r.example.org --timeout 1h", 2, "", "want 100ms to 1m"},
		{"r.example.org --image UPPER", 2, "", "--image: image \"UPPER\""},
		{"r.example.org/a:1 --image b:1", 2, "", "two images"},
		{"bad_^name", 2, "", "want a name such as registry.example.org"},
		{"--timeout 500ms " + closed, 1, "Connections to " + closed + " are refused", ""},
		{"--timeout 500ms --output json " + closed, 1, `"kind": "refused"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), strings.Fields(tt.args), &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stdout, want %q:\n%s\nstderr, want %q:\n%s", tt.stdout, &stdout, tt.stderr, &stderr)
			}
		})
	}
}

// TestEnvironment: a variable that leads to no authorities is named, because every request would fail for it.
func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"r.example.org"}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "AWS_CA_BUNDLE") {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
}

func TestFlags(t *testing.T) {
	if faults := append(cli.ExitFaults(command(nil, nil, new(cli.Format))), cli.FlagFaults(command(nil, nil, new(cli.Format)))...); len(faults) > 0 {
		t.Error(faults)
	}
}
