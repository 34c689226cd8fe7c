package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// phrase is a text of the code that people may read: an error, a hint, a line of a log, help.
type phrase struct {
	at, text string
	long     bool // it is the explanation of a command
}

// phrases are the strings of the programs, but for tags of fields and single words, which are names.
func phrases(t *testing.T) []phrase {
	t.Helper()
	var all []phrase
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err == nil {
				all = append(all, spoken(set, file)...)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func spoken(set *token.FileSet, file *ast.File) []phrase {
	var all []phrase
	long := map[ast.Expr]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			n.Tag = nil
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Long" {
				long[n.Value] = true
			}
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			if n.Kind == token.STRING && err == nil && strings.Contains(text, " ") {
				all = append(all, phrase{set.Position(n.Pos()).String(), text, long[n]})
			}
		}
		return true
	})
	return all
}

// TestProgramsSpeakPlainly: no error, hint or help has a word that the pages must not have.
func TestProgramsSpeakPlainly(t *testing.T) {
	all := phrases(t)
	for word, plain := range riddles {
		pattern := regexp.MustCompile(`(?i)\b` + word + `\b`)
		for _, p := range all {
			if pattern.MatchString(p.text) {
				t.Errorf("%s: write %q instead: %s", p.at, plain, p.text)
			}
		}
	}
	if len(all) < 1000 {
		t.Errorf("only %d phrases found", len(all))
	}
}

// TestHelpFitsOnTheScreen: a line of help that a terminal breaks is hard to read.
func TestHelpFitsOnTheScreen(t *testing.T) {
	found := 0
	for _, p := range phrases(t) {
		if !p.long {
			continue
		}
		found++
		for line := range strings.SplitSeq(p.text, "\n") {
			if n := utf8.RuneCountInString(line); n > columns {
				t.Errorf("%s: %d columns: %s", p.at, n, line)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d explanations of commands found", found)
	}
}
