package admission

import (
	"os"
	"path/filepath"
	"testing"

	"ociproxy/test/parts"
)

// Every client that is installed pulls from the store, and each pull counts only because its layers came from there.
func TestClients(t *testing.T) {
	parts.NeedRoot(t)
	crane := parts.Find(t, "crane")
	w := newWorld(t)
	t.Setenv("PATH", filepath.Dir(crane)+":"+os.Getenv("PATH"))
	r := w.admit(t, "--objects", "2", "--read-only")
	t.Log(&r)
	t.Logf("%+v", r.Figures.Pulls)
}
