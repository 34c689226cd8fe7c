package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"strings"
)

// comments are the field comments of structs, by type and field; the type's own comment has no field.
type comments map[[2]string]string

// of returns a comment, or an error: every key of the file must be explained.
func (c comments) of(typ, field string) (string, error) {
	text := c[[2]string{typ, field}]
	if text == "" {
		return "", fmt.Errorf("%s.%s has no comment", typ, field)
	}
	return text, nil
}

// elsewhere are the words for place.Override, whose comments speak to programmers.
var elsewhere = comments{
	{"Override", ""}:          "Your own prices, in US cents per `unit`. If you leave one out, the built-in price table has it.",
	{"Override", "Internet"}:  "The price to anywhere outside the cloud, and to every client of a CDN.",
	{"Override", "SameCloud"}: "The price to another region of the same cloud and partition.",
	{"Override", "Unit"}:      "What the prices are for: `GiB` (2³⁰ bytes) or `GB` (10⁹ bytes). Default: what the provider's price list has; `GiB` where there is no list. The page cost.md names them.",
}

// readComments reads the Go files of a directory.
func readComments(dir string) (comments, error) {
	out := maps.Clone(elsewhere)
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		out.file(f)
	}
	return out, nil
}

func (c comments) file(f *ast.File) {
	for _, decl := range f.Decls {
		gd, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gd.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			c[[2]string{ts.Name.Name, ""}] = plain(gd.Doc.Text(), ts.Name.Name)
			for _, field := range st.Fields.List {
				text := field.Doc.Text()
				if text == "" {
					text = field.Comment.Text()
				}
				for _, n := range field.Names {
					c[[2]string{ts.Name.Name, n.Name}] = plain(text, n.Name)
				}
			}
		}
	}
}

// plain makes one line of a comment and drops the Go name it begins with: "State is whether …" → "Whether …".
func plain(text, name string) string {
	text = strings.Join(strings.Fields(text), " ")
	rest, ok := strings.CutPrefix(text, name+" ")
	if !ok {
		return capital(text)
	}
	for _, verb := range []string{"is ", "are "} {
		if r, ok := strings.CutPrefix(rest, verb); ok {
			return capital(r)
		}
	}
	return capital(rest)
}

func capital(s string) string {
	if s == "" || s[0] == '`' {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
