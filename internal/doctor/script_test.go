package doctor

import (
	"os/exec"
	"strings"
	"testing"
)

// TestScriptUsage runs the script in each wrong way. test/doctor runs it in broken networks.
func TestScriptUsage(t *testing.T) {
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	tests := []struct {
		args string
		code int
		says string
	}{
		{"-h", 0, "usage: oci-doctor.sh"},
		{"", 2, "name the registry"},
		{"a b", 2, "name the registry"},
		{"-t 0 r.example", 2, "want a number of seconds"},
		{"-t 5s r.example", 2, "want a number of seconds"},
		{"-x r.example", 2, "unknown option"},
		{"r.example;reboot", 2, "want a name such as registry.example.org"},
		{"r.example/a$b", 2, "want REPOSITORY"},
		{"-t 2 127.0.0.1:1", 1, "Connections to 127.0.0.1:1 are refused: let the firewall allow TCP to 127.0.0.1:1, or tell the operator"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-s", "--"}, strings.Fields(tt.args)...)...)
			cmd.Stdin, cmd.Env = strings.NewReader(Script), append(cmd.Environ(), "NO_PROXY=*", "TMPDIR="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.says) {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, out)
			}
		})
	}
}
