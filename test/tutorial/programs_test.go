package tutorial

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// builders returns a directory with a make and a go that do what a page asks of them without building again. They take
// only commands that would bring the programs that the tests have: `make build`, and `go install` of the packages and
// versions of scripts/parts.txt, from which the installed programs were built.
func builders(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var install strings.Builder
	for name, source := range pinned(t) {
		file := parts.Find(t, name)
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if built := info.Path + "@" + info.Main.Version; built != source {
			t.Fatalf("%s was built from %s, scripts/parts.txt has %s", file, built, source)
		}
		fmt.Fprintf(&install, "'install %s') ln -s %s \"$GOBIN\"/ ;;\n", source, quoted(file))
	}
	script(t, dir, "go", `case "$*" in
`+install.String()+`*) echo "the tests have no program from: go $*" >&2; exit 1 ;;
esac
`)
	script(t, dir, "make", fmt.Sprintf(`case "$*" in
build\ OUT=*) mkdir -p "${2#OUT=}" && ln -s %s %s "${2#OUT=}"/ ;;
*) echo "the tests do not make: $*" >&2; exit 1 ;;
esac
`, quoted(proxy.Binary(t)), quoted(ctl.Binary(t))))
	return dir
}

func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// pinned returns package@version of the programs that pages install, by name.
func pinned(t *testing.T) map[string]string {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(parts.Root(), "scripts", "parts.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "go" && f[1] == "test" && (f[2] == "registry" || f[2] == "versitygw" || f[2] == "crane") {
			all[f[2]] = f[3]
		}
	}
	if len(all) != 3 {
		t.Fatalf("scripts/parts.txt: found only %q", all)
	}
	return all
}
