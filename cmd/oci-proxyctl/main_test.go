package main

import (
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("OCI_PROXY_CONFIG", "")
			env.Setenv("NO_PROXY", "*")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector, each command would end a second later
			env.Setenv("TMPDIR", env.WorkDir+"/tmp")
			env.Values[storesKey{}] = stores{}
			return os.Mkdir(env.WorkDir+"/tmp", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"admission":   admitted,
			"break":       damage,
			"drop":        drop,
			"envsubst":    envsubst,
			"exits":       exits,
			"hold":        hold,
			"images":      pushed,
			"keypair":     keypair,
			"left":        left,
			"publish":     publishBlobs,
			"push":        push,
			"registry":    emptyRegistry,
			"signing-key": signingKey,
			"store":       start,
		},
	})
}

// exits CODE COMMAND… runs the command and checks its exit code. Plain exec cannot distinguish exit codes.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		got = strconv.Itoa(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// envsubst FILE… replaces $NAME in the files by its value in the script's environment.
func envsubst(ts *testscript.TestScript, _ bool, files []string) {
	for _, name := range files {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// left fails if a command has left files in the directory for temporary files.
func left(ts *testscript.TestScript, neg bool, _ []string) {
	entries, err := os.ReadDir(ts.Getenv("TMPDIR"))
	ts.Check(err)
	if !neg || len(entries) > 0 {
		ts.Fatalf("left behind: %v", entries)
	}
}
