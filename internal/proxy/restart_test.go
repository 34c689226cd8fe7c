package proxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each reload names the keys that need a restart, as long as they differ from the config at the start.
func TestKeysThatNeedARestart(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	w.server.opt.File = file
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
