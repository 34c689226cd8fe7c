package doctor

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestScriptUsage runs the script in each wrong way. test/doctor runs it in broken networks.
func TestScriptUsage(t *testing.T) {
	tests := []struct {
		args string
		code int
		says string
	}{
		{"-h", 0, "usage: oci-doctor.sh"},
		{"--help", 0, "usage: oci-doctor.sh"},
		{"-t", 2, "-t: want a number of seconds"},
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
			if out, code := script(t, nil, strings.Fields(tt.args)...); code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, out)
			}
		})
	}
}

// script runs the script, and returns what it prints and its exit code.
func script(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("OCIPROXY_REQUIRE_PARTS") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-s", "--"}, args...)...)
	cmd.Stdin, cmd.Env = strings.NewReader(Script), append(append(cmd.Environ(), "TMPDIR="+t.TempDir()), env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestScriptVariables: the script takes the proxy that runtimes take.
func TestScriptVariables(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	noProxy := "The proxy " + dead + " of your environment does not answer: start it, or correct "
	direct := "Connections to 0.0.0.0:9 are refused"
	for _, tt := range []struct{ env, target, says string }{
		{"HTTPS_PROXY=" + dead, "0.0.0.0:9", noProxy + "HTTPS_PROXY"},
		{"https_proxy=" + dead, "0.0.0.0:9", noProxy + "HTTPS_PROXY"},
		{"HTTPS_PROXY=" + dead + " https_proxy=nowhere.invalid", "0.0.0.0:9", noProxy + "HTTPS_PROXY"},
		{"HTTP_PROXY=" + dead, "http://0.0.0.0:9", noProxy + "HTTP_PROXY"},
		{"http_proxy=" + dead, "http://0.0.0.0:9", noProxy + "HTTP_PROXY"},
		{"HTTP_PROXY=gopher://p", "http://0.0.0.0:9", "The proxy in HTTP_PROXY of your environment cannot be read"},
		{"http_proxy=http://user:SECRET@PW@" + dead, "http://0.0.0.0:9", "The proxy in HTTP_PROXY of your environment cannot be read"},
		{"HTTP_PROXY=gopher://p", "0.0.0.0:9", direct},
		{"HTTP_PROXY=" + dead, "0.0.0.0:9", direct},
		{"ALL_PROXY=" + dead, "0.0.0.0:9", direct},
		{"HTTPS_PROXY=" + dead + " NO_PROXY=0.0.0.0", "0.0.0.0:9", direct},
		{"HTTPS_PROXY=gopher://p HTTP_PROXY=gopher://p", "127.0.0.1:9", "Connections to 127.0.0.1:9 are refused"},
		{"HTTPS_PROXY=" + dead, "https://localhost:9", "Connections to localhost:9 are refused"},
	} {
		t.Run(tt.env+" "+tt.target, func(t *testing.T) {
			for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"} {
				t.Setenv(name, "")
				t.Setenv(strings.ToLower(name), "")
			}
			if out, code := script(t, strings.Fields(tt.env), "-t", "2", tt.target); code != 1 || !strings.HasPrefix(out, tt.says) || strings.Contains(out, "PW") {
				t.Errorf("exit code %d, want %s\n%s", code, tt.says, out)
			}
		})
	}
}
