package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const columns = 100

// breakable is a line without what cannot be broken: links, code and the marks around them.
func breakable(line string) string {
	return regexp.MustCompile("!?\\[[^\\]]*\\]\\([^)]*\\)|`[^`]*`|<!--.*-->|[-*.,:; ]+|https?://\\S+").ReplaceAllString(line, "")
}

// overlong are the lines of a page that are longer than columns and could be shorter.
func overlong(page string) []string {
	var all []string
	for line := range strings.Lines(fence.ReplaceAllString(page, "")) {
		line = strings.TrimRight(line, "\n")
		if utf8.RuneCountInString(line) > columns && !strings.HasPrefix(strings.TrimSpace(line), "|") && breakable(line) != "" {
			all = append(all, line)
		}
	}
	return all
}

// widecells are the cells of tables that need more than two lines of columns. Such a table is better a list.
func widecells(page string) []string {
	var all []string
	for line := range strings.Lines(fence.ReplaceAllString(page, "")) {
		if !strings.HasPrefix(strings.TrimSpace(line), "|") {
			continue
		}
		for _, cell := range strings.Split(line, "|") {
			if utf8.RuneCountInString(strings.TrimSpace(cell)) > 2*columns {
				all = append(all, cell)
			}
		}
	}
	return all
}

// TestPagesFitOnTheScreen: prose is wrapped, and tables have short cells.
func TestPagesFitOnTheScreen(t *testing.T) {
	for _, name := range pages(t) {
		page := read(t, name)
		for _, line := range overlong(page) {
			t.Errorf("%s: a line of more than %d columns: %q", name, columns, line)
		}
		for _, cell := range widecells(page) {
			t.Errorf("%s: a cell of a table has more than %d letters, make it a list: %q", name, 2*columns, cell)
		}
	}
}

func TestOverlong(t *testing.T) {
	long := strings.Repeat("word ", 21)
	link := "[" + long + "](page.md)"
	for text, want := range map[string]int{
		long: 1, "- " + long: 1, "> " + long: 1, // prose
		strings.Repeat("é", columns): 0, strings.Repeat("é", columns+1): 1, // letters, not bytes
		"| " + long + " |": 0, "```text\n" + long + "\n```": 0, "  ```text\n" + long + "\n  ```": 0, // tables and code
		link: 0, "- " + link + ", " + link: 0, "see " + link: 1, // nothing but links
	} {
		if got := overlong(text + "\n"); len(got) != want {
			t.Errorf("%q: %d overlong lines, want %d", text, len(got), want)
		}
	}
	if got := widecells("| a | " + strings.Repeat(long, 2) + " | " + long + " |\n"); len(got) != 1 {
		t.Errorf("wide cells: %q, want one", got)
	}
}

// riddles are words that the style of CONTRIBUTING.md forbids, each with a plain one.
var riddles = map[string]string{
	`anew`:             "again, new",
	`in\s+vain`:        "without success",
	`for\s+ever`:       "forever, or how long",
	`by\s+the\s+clock`: "scheduled",
	`mend(s|ed|ing)?`:  "fix, repair",
}

// plainFiles are all pages, and what else operators read: examples, deployments and the comments of the config.
func plainFiles(t *testing.T) []string {
	t.Helper()
	all := pages(t)
	for _, dir := range []string{"examples", "deploy", "internal/config"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.Contains(path, "testdata") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name, err := filepath.Rel(root, path)
			all = append(all, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// span is code in the prose of a page: the names of fields and flags are what they are.
var span = regexp.MustCompile("`[^`\n]+`")

// TestNoRiddles: what operators read has none of these words.
func TestNoRiddles(t *testing.T) {
	files := plainFiles(t)
	for word, plain := range riddles {
		pattern := regexp.MustCompile(`(?i)\b` + word + `\b`)
		for _, name := range files {
			text := comments(read(t, name))
			if filepath.Ext(name) == ".md" {
				text = span.ReplaceAllString(text, "`code`")
			}
			for _, at := range pattern.FindAllStringIndex(text, -1) {
				t.Errorf("%s: write %q instead: …%s…", name, plain, text[max(0, at[0]-40):min(len(text), at[1]+40)])
			}
		}
	}
	if len(files) < 20 {
		t.Errorf("only %d files looked at", len(files))
	}
}

// comments is a text without the marks of comments at the beginning of lines, which would stand between two words.
func comments(text string) string {
	return regexp.MustCompile(`(?m)^[ \t]*(#|//|>)[ \t]?`).ReplaceAllString(text, "")
}
