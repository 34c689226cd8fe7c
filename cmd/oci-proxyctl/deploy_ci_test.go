package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

// The jobs under deploy/ci match the program: every command and flag in them must exist.
func TestJobsOfCI(t *testing.T) {
	for _, file := range []string{"github-actions.yaml", "prow.yaml"} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile("../../deploy/ci/" + file)
			if err != nil {
				t.Fatal(err)
			}
			var doc yaml.Node
			if err := yaml.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			calls := 0
			var walk func(n *yaml.Node)
			walk = func(n *yaml.Node) {
				if n.Kind == yaml.ScalarNode {
					for _, line := range strings.Split(strings.ReplaceAll(n.Value, "\\\n", " "), "\n") {
						if _, call, ok := strings.Cut(line, "oci-proxyctl promote "); ok {
							calls++
							checkCall(t, "promote "+call)
						}
					}
				}
				for _, child := range n.Content {
					walk(child)
				}
			}
			walk(&doc)
			if calls < 5 {
				t.Errorf("found %d calls", calls)
			}
		})
	}
}

var shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)

// checkCall splits a command line into words as a shell does, as far as these jobs need, and checks the command.
func checkCall(t *testing.T, line string) {
	t.Helper()
	var args []string
	for _, word := range shellWord.FindAllString(line, -1) {
		if strings.ContainsAny(word[:1], ">|&;") || word == "2>&1" {
			break
		}
		args = append(args, strings.Trim(word, `"'`))
	}
	a := &app{env: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard}
	cmd, rest, err := a.root().Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || !cmd.Runnable() || cmd.HasSubCommands() {
		t.Errorf("%q: %v", line, err)
	}
}
