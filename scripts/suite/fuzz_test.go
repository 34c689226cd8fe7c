package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fake is a target whose binary is a shell script instead of a fuzz binary.
func fake(t *testing.T, script string) target {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "fake")
	// Another process writes the script. If this process wrote it, a child that another test starts meanwhile would
	// inherit the open file, and the kernel does not start a program that is open for writing.
	write := exec.CommandContext(t.Context(), "bash", "-c", `cat > "$0" && chmod 700 "$0"`, binary)
	write.Stdin = strings.NewReader("#!/bin/bash\n" + script)
	if err := write.Run(); err != nil {
		t.Fatal(err)
	}
	return target{pkg: pkg{ImportPath: "ociproxy/internal/x", Dir: t.TempDir()}, binary: binary, fuzz: "FuzzIt"}
}

const (
	begins = "echo 'fuzz: elapsed: 0s, gathering baseline coverage: 5/5 completed, now fuzzing with 1 workers'\n"
	waits  = "until [ $done ]; do sleep 0.01; done\n"
)

func stats(execs string) string {
	return "echo 'fuzz: elapsed: 2s, execs: " + execs + " (0/sec), new interesting: 6 (total: 11)'\n"
}

func TestFuzzTarget(t *testing.T) {
	for name, tt := range map[string]struct{ script, line, err string }{
		"well":            {"trap done=1 INT\n" + begins + waits + stats("1234"), "1234 executions", ""},
		"arguments":       {"trap done=1 INT\n" + begins + waits + stats("1") + `[[ "$*" == *"^FuzzIt$"*"=there"* ]]`, "1 executions", ""},
		"nothing tried":   {"trap done=1 INT\n" + begins + waits + stats("0"), "", "nothing was tried"},
		"a seed fails":    {"echo '--- FAIL: FuzzIt/seed#3'; exit 1", "", "FuzzIt/seed#3"},
		"an input fails":  {begins + "echo Failing input written to testdata/fuzz/FuzzIt/12; exit 1", "", "FuzzIt/12"},
		"not interrupted": {begins + stats("1234") + "exec sleep 1000", "", "interrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, err := fake(t, tt.script).run(t.Context(), 20*time.Millisecond, "there")
			if !strings.Contains(line, tt.line) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q, %v, want %q, %q", line, err, tt.line, tt.err)
			}
		})
	}
}

func TestFindTargets(t *testing.T) {
	t.Chdir("../..")
	for name, tt := range map[string]struct {
		names []string
		want  string
		more  bool
	}{
		"all":                 {nil, "internal/inventory FuzzHead", true},
		"in package":          {[]string{"./internal/oci"}, "internal/oci FuzzParse", false},
		"by name, in package": {[]string{"./internal/oci", "FuzzParse"}, "internal/oci FuzzParse", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findTargets(t.Context(), tt.names)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, g := range got {
				found = found || g.String() == tt.want
			}
			if !found || len(got) > 1 != tt.more {
				t.Errorf("%v, want %s, others: %v", got, tt.want, tt.more)
			}
		})
	}
	if got, err := findTargets(t.Context(), []string{"FuzzNothing"}); err == nil {
		t.Errorf("%v, want an error", got)
	}
}
