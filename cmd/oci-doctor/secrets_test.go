package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/doctor"
)

// asProgram makes the test binary be the program: net/http reads the proxy of the environment once for a process.
const asProgram = "TEST_AS_OCI_DOCTOR"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	m.Run()
}

// TestSecrets gives the program and the script proxies with a password, written in every odd way. No part of the
// password may show, and the sentence must fit.
func TestSecrets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	demanding := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusProxyAuthRequired) }))
	t.Cleanup(demanding.Close)
	login := demanding.Listener.Addr().String()
	const (
		unread = "The proxy in HTTPS_PROXY of your environment cannot be read: write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with special characters as %XX."
		silent = "The proxy DEAD of your environment does not answer: start it, or correct HTTPS_PROXY."
		wanted = "The proxy LOGIN wants a user and password (407): write them into HTTPS_PROXY as http://USER:PASSWORD@LOGIN."
	)
	tests := []struct {
		proxy   string // its password has s3c, r3t or 99177 in it
		program string // its sentence
		script  string // "": the same
	}{
		{"http://user:s3cr3t@DEAD", silent, ""},
		{"http://user:s3cr3t@DEAD/", silent, ""},
		{"http://s3cr3t@DEAD", silent, ""},
		{"user:s3cr3t@DEAD", silent, ""},
		{"http:user:s3cr3t@DEAD", silent, ""},
		{"HTTP://user:s3cr3t@DEAD", silent, ""},
		{"https://user:s3cr3t@DEAD", silent, ""},
		{"socks5://user:s3cr3t@DEAD", silent, ""},
		{"http://user:s3cr3t@LOGIN", wanted, ""},
		{"http://user:s3c%23r3t@LOGIN", wanted, ""},
		{"http://user:s3c'r3t@LOGIN", wanted, ""},
		{"http://user:s3c'r3t@DEAD", silent, ""},
		{"http://user:s3c$r3t@DEAD", silent, ""},
		{"http://user:s3c&r3t@DEAD", silent, ""},
		{"http://user:s3c:r3t@DEAD", silent, ""},
		{"http://user:s3c@r3t@DEAD", silent, unread}, // curl does not take it
		{"http://user:s3c#r3t@DEAD", unread, ""},
		{"http://user:s3c/r3t@DEAD", unread, ""},
		{"http://user:s3c?r3t@DEAD", unread, ""},
		{"http://user:99177/s3cr3t@DEAD", unread, ""},
		{"http://user:99177?s3cr3t@DEAD", unread, ""},
		{"http://user:99177#s3cr3t@DEAD", unread, ""},
		{"http://s3c/r3t@DEAD", unread, ""},
		{"http://us@s3c:1/r3t@DEAD", unread, ""},
		{"http://user:s3c r3t@DEAD", unread, ""},
		{"http://us er:s3cr3t@DEAD", unread, ""},
		{" http://user:s3cr3t@DEAD", unread, ""},
		{"http://user:s3c\nr3t@DEAD", unread, ""},
		{"http://user:s3cr3t@DEAD\nhttp://user:s3cr3t@DEAD", unread, ""},
		{"http://user:s3c\tr3t@DEAD", unread, ""},
		{"http://user:s3c\x1b[1mr3t@DEAD", unread, ""},
		{"http://user:s3c\"r3t@DEAD", unread, ""},
		{"http://user:s3c`r3t@DEAD", unread, ""},
		{"http://user:s3c\\r3t@DEAD", unread, ""},
		{"http://user:s3c[r3t]@DEAD", unread, ""},
		{"http://user:s3c%r3t@DEAD", unread, ""},
		{"http://user:s3cär3t@DEAD", unread, ""},
		{"http://user:s3cr3t@", unread, ""},
		{"http://user:s3cr3t@:3128", unread, ""},
		{"http://user:s3cr3t@127.0.0.1:port", unread, ""},
		{"http://user:s3cr3t@[::1", unread, ""},
		{"http:///user:s3cr3t@DEAD", unread, ""},
		{"://user:s3cr3t@DEAD", unread, ""},
		{"ftp://user:s3cr3t@DEAD", unread, ""},
		{"http://user:s3cr3t", unread, ""},
		{"user:s3cr3t", unread, ""},
		{"not a url with s3cr3t", unread, ""},
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const target = "0.0.0.0:9" // this machine, but not by an address for which no client uses a proxy
	replacer := strings.NewReplacer("DEAD", dead, "LOGIN", login)
	for _, tt := range tests {
		if tt.script == "" {
			tt.script = tt.program
		}
		for _, run := range []struct{ name, stdin, want, args string }{
			{self, "", tt.program, "--timeout 2s " + target},
			{self, "", tt.program, "--timeout 2s --output json " + target},
			{"sh", doctor.Script, tt.script, "-s -- -t 2 " + target},
		} {
			t.Run(tt.proxy+" "+run.args, func(t *testing.T) {
				t.Parallel()
				for _, tool := range []string{"sh", "curl"} {
					if _, err := exec.LookPath(tool); err != nil && run.stdin != "" {
						if os.Getenv("OCIPROXY_REQUIRE_PARTS") != "" {
							t.Fatal(err)
						}
						t.Skip(err)
					}
				}
				cmd := exec.CommandContext(t.Context(), run.name, strings.Fields(run.args)...)
				cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
					name, _, _ := strings.Cut(strings.ToLower(v), "=")
					return strings.HasSuffix(name, "_proxy")
				})
				cmd.Env = append(cmd.Env, asProgram+"=1", "TMPDIR="+t.TempDir(), "HTTPS_PROXY="+replacer.Replace(tt.proxy))
				var out strings.Builder
				cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(run.stdin), &out, &out
				if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
					t.Errorf("%v, want exit code 1", err)
				}
				if !strings.Contains(out.String(), replacer.Replace(run.want)) {
					t.Errorf("want %s", replacer.Replace(run.want))
				}
				for _, secret := range []string{"s3c", "r3t", "99177"} {
					if strings.Contains(out.String(), secret) {
						t.Errorf("it shows %s", secret)
					}
				}
				if t.Failed() {
					_, _ = io.WriteString(t.Output(), out.String())
				}
			})
		}
	}
}
