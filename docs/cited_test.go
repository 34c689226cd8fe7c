package docs_test

import (
	"bytes"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What comments and pages name of this repository.
var (
	citedPath = regexp.MustCompile(`(?:^|[\s("'` + "`" + `\[])((?:docs|internal|cmd|test|bench|scripts|deploy|examples|\.ci)/[\w./-]*\w)`)
	citedPage = regexp.MustCompile(`(?:^|[\s("'` + "`" + `\[/])([\w-]+\.md)\b`)
	adr       = regexp.MustCompile(`(?i)\b(?:adr|decisions?)[ -]#?(\d{1,4})\b`)
	// A section is one of a document that is named before it: an RFC, a specification with an address.
	section = regexp.MustCompile(`(\S+) +§`)
	// What people who wrote this had beside them, and readers have not.
	elsewhere = regexp.MustCompile(`(?i)\b(?:the|by|of|per|see) design(?:'s|\b)|\bdesign (?:§|section|doc|page)|\b(?:issue|requirement) #?\d`)
)

// public is an address, whose parts are not ours.
var public = regexp.MustCompile(`https?://\S+`)

// made are paths that commands write and Git does not keep.
var made = []string{"bench/out"}

// faultsOf returns what text cites that is not there. exists tells of a path from the root, page of a page's name.
func faultsOf(text string, exists, page func(string) bool) (faults []string) {
	text = public.ReplaceAllString(text, "URL")
	for _, m := range citedPath.FindAllStringSubmatch(text, -1) {
		if !exists(m[1]) {
			faults = append(faults, m[1]+" does not exist")
		}
	}
	for _, m := range citedPage.FindAllStringSubmatch(text, -1) {
		if !page(m[1]) {
			faults = append(faults, "there is no page "+m[1])
		}
	}
	for _, m := range adr.FindAllStringSubmatch(text, -1) {
		if number := ("0000" + m[1])[len(m[1]):]; !exists("docs/decisions/" + number + "-*.md") {
			faults = append(faults, "there is no decision "+number)
		}
	}
	for _, m := range section.FindAllStringSubmatch(text, -1) {
		if last := strings.Trim(m[1], "(),;:"); !isNumber(last) && last != "and" && !strings.Contains(last, ".") {
			faults = append(faults, "a section of "+last)
		}
	}
	for _, m := range elsewhere.FindAllString(text, -1) {
		faults = append(faults, "it cites "+m)
	}
	return faults
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Comments and pages cite only what a reader has: what is in the repository, and what is public.
func TestCited(t *testing.T) {
	pageNames := map[string]bool{}
	for _, name := range pages(t) {
		pageNames[filepath.Base(name)] = true
	}
	exists := func(path string) bool {
		if slices.Contains(made, path) {
			return true
		}
		found, err := filepath.Glob(filepath.Join(root, path))
		if err == nil && len(found) == 0 { // a path of Go is one of a package, of a symbol, or without its ending
			found, err = filepath.Glob(filepath.Join(root, path+".go"))
		}
		return err == nil && len(found) > 0
	}
	for name, text := range commented(t) {
		for _, fault := range faultsOf(text, exists, func(page string) bool { return pageNames[page] }) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

func TestCitedKinds(t *testing.T) {
	exists := func(path string) bool { return path == "docs/there.md" || path == "docs/decisions/0007-*.md" }
	page := func(name string) bool { return name == "there.md" }
	for text, want := range map[string]int{
		"as docs/there.md says, and there.md": 0,
		"as docs/gone.md says":                2, // a path and a page
		"(gone.md)":                           1,
		"ADR 7, decision 0007":                0,
		"ADR 8":                               1,
		"RFC 9110 §14.4, RFC 9112 §2.2 and §5.2":   0,
		"haproxy.org/proxy-protocol.txt §2.1":      0,
		"the layout of stores (design §12)":        2,
		"as the design's formula has it":           1,
		"issue 12 asks for it":                     1,
		"https://example.org/specs/GONE.md":        0,
		"by its designer; https://example.org/x.y": 0,
	} {
		if got := faultsOf(text, exists, page); len(got) != want {
			t.Errorf("%q: faults %q, want %d", text, got, want)
		}
	}
}

// commented are the comments of all code and configuration and the text of all pages, by name.
func commented(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (built(t, name) || strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci"):
			return fs.SkipDir
		case built(t, name), !d.Type().IsRegular(), d.Name() == "CHANGELOG.md", d.Name() == "cited_test.go": // of the past; the examples above
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".go":
			out[name] = goComments(data)
		case ".md":
			out[name] = string(data)
		case ".yaml", ".yml", ".sh", ".txtar", ".mod", ".tf", ".txt", "":
			out[name] = hashComments(data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func goComments(source []byte) string {
	var all strings.Builder
	var s scanner.Scanner
	set := token.NewFileSet()
	s.Init(set.AddFile("", -1, len(source)), source, func(token.Position, string) {}, scanner.ScanComments)
	for {
		_, kind, text := s.Scan()
		if kind == token.EOF {
			return all.String()
		}
		if kind == token.COMMENT {
			all.WriteString(strings.TrimLeft(text, "/") + "\n")
		}
	}
}

func hashComments(text []byte) string {
	var all strings.Builder
	for line := range bytes.Lines(text) {
		if _, comment, ok := bytes.Cut(line, []byte("#")); ok {
			all.Write(comment)
		}
	}
	return all.String()
}
