// Package clitest tests what both programs promise: they share one scheme of exit codes, and a flag means the same in
// both.
package clitest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

// Run runs a program and returns its exit code.
type Run func(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int

// Root fails when exit codes are outside the scheme, when a flag has two meanings, or when a required part of both
// programs is missing.
func Root(t *testing.T, root *cobra.Command) {
	t.Helper()
	for _, fault := range append(cli.ExitFaults(root), cli.FlagFaults(root)...) {
		t.Error(fault)
	}
	var configs int
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if f := cmd.Flags().Lookup("output"); f != nil && f.Value.Type() != new(cli.Format).Type() {
			t.Errorf("%s --output takes %s", cmd.CommandPath(), f.Value.Type())
		}
		if f := cmd.Flags().Lookup("config"); f != nil {
			configs++
			if f.DefValue != cli.DefaultConfig {
				t.Errorf("%s --config is %q unless the environment says otherwise, want %q", cmd.CommandPath(), f.DefValue, cli.DefaultConfig)
			}
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(root)
	if configs == 0 {
		t.Error("no command has --config")
	}
	if text := help(root); !strings.Contains(text, cli.ExitsPage) || strings.Contains(text, "Exit codes:\n") {
		t.Errorf("the help of %s does not lead to %s, or lists codes of commands:\n%s", root.Name(), cli.ExitsPage, text)
	}
}

func help(cmd *cobra.Command) string {
	var out bytes.Buffer
	cmd.SetOut(&out)
	_ = cmd.Help()
	return out.String()
}

// Program describes a program for [ExitCodes].
type Program struct {
	Name string
	// Config is a valid config. Its stores and registries need not answer.
	Config string
	// Commands are the commands that have --config, each with its required arguments.
	Commands map[string][]string
	// Lasting has those of Commands that serve until they are told to stop, which is not a failure.
	Lasting map[string]bool
}

// ExitCodes runs a program in each of the wrong ways that both programs know.
func ExitCodes(t *testing.T, run Run, root *cobra.Command, p Program) {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad, gone := file("good.yaml", p.Config), file("bad.yaml", "version: 1\nnonsense: 1\n"), filepath.Join(dir, "gone.yaml")
	ended, end := context.WithCancel(t.Context())
	end()
	try := func(name string, ctx context.Context, config string, code int, stderr string, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			env := func(key string) string { return map[string]string{cli.ConfigVariable: config}[key] }
			var out, errs bytes.Buffer
			if got := run(ctx, args, env, strings.NewReader(""), &out, &errs); got != code || !strings.Contains(errs.String(), stderr) {
				t.Errorf("%s %q: exit code %d, want %d and %q\n%s%s", p.Name, args, got, code, stderr, &out, &errs)
			}
		})
	}
	try("unknown command", t.Context(), "", cli.CodeUsage, "hint: "+p.Name+" --help", "nonsense")
	try("unknown flag", t.Context(), "", cli.CodeUsage, "hint: "+p.Name+" version --help", "version", "--nonsense")
	try("no such format", t.Context(), "", cli.CodeUsage, "want text or json", "version", "--output", "nonsense")
	try("too many arguments", t.Context(), "", cli.CodeUsage, "hint: ", "version", "nonsense")
	try("help about nothing known", t.Context(), "", cli.CodeUsage, "hint: "+p.Name+" --help", "help", "nonsense")
	try("completion for no shell", t.Context(), "", cli.CodeUsage, "hint: "+p.Name+" completion --help", "completion", "nonsense")
	try("help", t.Context(), "", cli.CodeOK, "", "--help")
	versions(t, run)
	for path, cmd := range configured(root) {
		args, known := p.Commands[path]
		if !known {
			t.Errorf("%s has --config, and the test does not know how to call it", path)
			continue
		}
		args = append(strings.Fields(path), args...)
		with := func(config string) []string { return append(args[:len(args):len(args)], "--config", config) }
		try(path+" without the file", t.Context(), "", cli.CodeFailure, cli.ConfigVariable, with(gone)...)
		try(path+" with an invalid file", t.Context(), "", cli.CodeInvalid, "is invalid: ", with(bad)...)
		try(path+" with the file of the environment", t.Context(), bad, cli.CodeInvalid, "is invalid: ", args...)
		code, says := cli.CodeFailure, p.Name+": interrupted\n"
		if p.Lasting[path] {
			code, says = cli.CodeOK, ""
		}
		try(path+" interrupted", ended, "", code, says, with(good)...)
		if _, err := os.Stat(cli.DefaultConfig); errors.Is(err, fs.ErrNotExist) && cmd.PreRun == nil { // required
			try(path+" with the default file", t.Context(), "", cli.CodeFailure, cli.DefaultConfig, args...)
		}
	}
}

// configured returns the commands below root that have --config, by their words.
func configured(root *cobra.Command) map[string]*cobra.Command {
	out := map[string]*cobra.Command{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("config") != nil {
			_, path, _ := strings.Cut(cmd.CommandPath(), " ")
			out[path] = cmd
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(root)
	return out
}

// versions requires that --version and version print the same.
func versions(t *testing.T, run Run) {
	t.Helper()
	said := map[string]string{}
	for _, arg := range []string{"version", "--version", "-v"} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{arg}, func(string) string { return "" }, nil, &out, &errs); code != cli.CodeOK {
			t.Errorf("%s: exit code %d: %s", arg, code, &errs)
		}
		said[arg] = out.String()
	}
	if v := said["version"]; v == "" || said["--version"] != v || said["-v"] != v {
		t.Errorf("the version is %q", said)
	}
}
