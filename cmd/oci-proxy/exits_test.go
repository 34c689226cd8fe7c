package main

import (
	"testing"

	"ociproxy/internal/cli/clitest"
)

func emptyEnv(string) string { return "" }

// TestCommands checks what both programs promise: one scheme of exit codes, and the same meaning for the same flag.
func TestCommands(t *testing.T) { clitest.Root(t, (&app{env: emptyEnv}).root()) }

// TestManual: every command has its manual page, and shells accept the completions.
func TestManual(t *testing.T) { clitest.Manual(t, (&app{env: emptyEnv}).root) }

// TestExitCodes checks that the same kind of failure gives the same exit code in both programs.
func TestExitCodes(t *testing.T) {
	clitest.ExitCodes(t, run, (&app{env: emptyEnv}).root(), clitest.Program{
		Name: "oci-proxy",
		Config: `version: 1
location: aws/us-east-1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
limits: {drain: 1s}
ranges: {cache: "", feeds: [{provider: aws, url: "http://127.0.0.1:1/", insecure: true}]}
upstreams: [{name: main, url: "http://127.0.0.1:1", insecure: true, place: aws/us-east-1, canonical: true}]
`,
		Commands: map[string][]string{
			"serve": nil, "check": {"--live", "--image", "app:1"}, "explain": {"--ip", "192.0.2.1"}, "routes": nil,
		},
		Lasting: map[string]bool{"serve": true},
	})
}
