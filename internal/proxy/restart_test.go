package proxy

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each reload names the keys that need a restart, as long as they differ from the config at the start.
func TestKeysThatNeedARestart(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	w.server.source = plainFile{name: file}
	const limits, page = "drain: 0s", "example.org/registry"
	for _, step := range []struct {
		edit []string
		want string // "": no warning
	}{
		{nil, ""},
		{[]string{limits, "drain: 1s"}, `"keys":["limits"]`},
		{[]string{limits, "drain: 1s", page, "example.org/other"}, `"keys":["limits"]`},
		{[]string{limits, "drain: 1s", "deny:", "listen: \":1\"\ndeny:"}, `"keys":["listen","limits"]`},
		{[]string{page, "example.org/other"}, ""},
	} {
		if err := os.WriteFile(file, []byte(w.config(step.edit...)), 0o600); err != nil {
			t.Fatal(err)
		}
		was := len(w.log.String())
		if err := w.server.reload(); err != nil {
			t.Fatal(err)
		}
		log := w.log.String()[was:]
		if got := strings.Contains(log, "restart the server"); got != (step.want != "") || !strings.Contains(log, step.want) {
			t.Errorf("%q: want %q in\n%s", step.edit, step.want, log)
		}
	}
}

// With sockets of a service manager, the server does not use the addresses of the configuration. So a change of them
// needs no restart.
func TestPassedSocketsNeedNoRestart(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(t.TempDir(), "config.yaml")
	w.server.source = plainFile{name: file}
	for passed, want := range map[string]string{
		"neither": `"keys":["listen","admin.listen"]`, "clients": `"keys":["admin.listen"]`, "admin": `"keys":["listen"]`, "both": "",
	} {
		w.server.opt.Clients, w.server.opt.Admin = nil, nil
		if passed == "clients" || passed == "both" {
			w.server.opt.Clients = l
		}
		if passed == "admin" || passed == "both" {
			w.server.opt.Admin = l
		}
		text := w.config("deny:", "listen: \":1\"\nadmin: \":2\"\ndeny:")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		was := len(w.log.String())
		if err := w.server.reload(); err != nil {
			t.Fatal(err)
		}
		log := w.log.String()[was:]
		if got := strings.Contains(log, "restart the server"); got != (want != "") || !strings.Contains(log, want) {
			t.Errorf("%s passed: want %q in\n%s", passed, want, log)
		}
	}
}
