package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// printed finds the commands of this program that a page shows: a line of a block of code, or code between two words.
var printed = regexp.MustCompile("(?m)(?:^ *(?:\\$ )?(?:\\./)?|`|\\| |^# *)oci-proxyctl ((?:\\\\\n|[^\n`|#])+)")

// TestPagesShowFlags guards that four pages of the Terraform modules had "infra export -o FILE", and "infra import" without the
// file that it reads: each flag that a page shows is one of the command's, -o is a format, and infra import has its file.
func TestPagesShowFlags(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md" || d.Name() == "CHANGELOG.md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range printed.FindAllStringSubmatch(string(text), -1) {
			seen++
			one, _, _ := strings.Cut(strings.ReplaceAll(m[1], "\\\n", " "), ", ") // a list of commands
			shown(t, path, strings.Fields(one))
		}
		return nil
	})
	if err != nil || seen < 200 {
		t.Errorf("%d commands on all pages, %v", seen, err)
	}
}

// shown checks the flags of one command.
func shown(t *testing.T, path string, words []string) {
	t.Helper()
	cmd, rest, err := (&app{env: emptyEnv}).root().Find(words)
	if err != nil {
		return // prose
	}
	cmd.InitDefaultHelpFlag()
	given := map[string]bool{}
	for i, word := range rest {
		name, value, has := strings.Cut(strings.TrimRight(strings.Trim(word, "[]()"), ",.;:"), "=")
		var flag *pflag.Flag
		switch {
		case strings.HasPrefix(name, "--") && len(name) > 2:
			flag = cmd.Flag(name[2:])
		case len(name) == 2 && name[0] == '-' && name[1] != '-':
			flag = cmd.Flags().ShorthandLookup(name[1:])
		default:
			continue
		}
		if flag == nil {
			t.Errorf("%s: oci-proxyctl %s: %s has no flag %s", path, strings.Join(words, " "), cmd.CommandPath(), name)
			continue
		}
		given[flag.Name] = true
		if !has && i+1 < len(rest) {
			value = rest[i+1]
		}
		if flag.Name == "output" && strings.Contains(value, ".") && !strings.HasPrefix(value, "json") && !strings.HasPrefix(value, "text") {
			t.Errorf("%s: oci-proxyctl %s: -o is the format, not a file", path, strings.Join(words, " "))
		}
	}
	if cmd.CommandPath() == "oci-proxyctl infra import" && len(given) == 0 && strings.Contains(path, "deploy") {
		t.Errorf("%s: oci-proxyctl %s: --outputs is missing", path, strings.Join(words, " "))
	}
}
