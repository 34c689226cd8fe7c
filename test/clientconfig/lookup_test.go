package clientconfig

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
)

// lookup says which struct in the source of a client that does not run here a block fills.
type lookup struct {
	source    string // a part of scripts/parts.txt
	tag       string // of the struct's fields, and the language of the block: json, yaml or toml
	types     []typeName
	situation string
}

// typeName is a type in a directory of the source. A block of several documents has one for each.
type typeName struct{ dir, name string }

var lookups = map[string]lookup{
	"buildkit":     {"buildkit", "toml", []typeName{{"cmd/buildkitd/config", "Config"}}, "B"},
	"docker":       {"moby", "json", []typeName{{"daemon/config", "CommonConfig"}}, "B"},
	"kubelet":      {"kubelet", "json", []typeName{{"config/v1beta1", "KubeletConfiguration"}}, "A, B"},
	"k3s":          {"wharfie", "yaml", []typeName{{"pkg/registries", "Registry"}}, "B"},
	"k3s-own-http": {"wharfie", "yaml", []typeName{{"pkg/registries", "Registry"}}, "A"},
	"k3s-rewrite":  {"wharfie", "yaml", []typeName{{"pkg/registries", "Registry"}}, "B"},
	"talos": {"talos", "yaml", []typeName{
		{"config/types/cri", "RegistryMirrorConfigV1Alpha1"}, {"config/types/cri", "RegistryTLSConfigV1Alpha1"},
	}, "B"},
	"talos-machine": {"talos", "yaml", []typeName{{"config/types/v1alpha1", "Config"}}, "B"},
}

// Each key of these blocks is one that the client reads.
func TestKeysAreKnown(t *testing.T) {
	all := blocks(t)
	for _, name := range slices.Sorted(maps.Keys(lookups)) {
		t.Run(name, func(t *testing.T) {
			l := lookups[name]
			src := &source{root: parts.Source(t, l.source), tag: l.tag, module: strings.Split(pinned(t, l.source), "@")[0]}
			documents := strings.Split(all[name].text, "\n---\n")
			if len(documents) != len(l.types) {
				t.Fatalf("%d documents, want %d", len(documents), len(l.types))
			}
			for i, document := range documents {
				if spec, _ := src.find(l.types[i].dir, l.types[i].name); spec == nil { // any key would be known
					t.Fatalf("%s has no type %s in %s", l.source, l.types[i].name, l.types[i].dir)
				}
				for _, fault := range src.faults(l.types[i].dir, ast.NewIdent(l.types[i].name), nil, decode(t, l.tag, document), "") {
					t.Error(fault)
				}
			}
		})
	}
}

// The look-up finds a key that is wrong, at each level.
func TestWrongKeysAreFound(t *testing.T) {
	src := &source{root: "testdata/source", tag: "yaml", module: "example.org/source"}
	for text, want := range map[string]int{
		"name: a\nkind: k\nmap: {x: {url: u}}\nlist: [{url: u}]\nother: {deep: 1}": 0,
		"nam: a":              1,
		"map: {x: {uri: u}}":  1,
		"list: [{uri: u}]":    1,
		"other: {deeper: 1}":  1,
		"map: {x: u}":         1, // not a struct
		"hidden: a":           1,
		"nam: a\nother: [{}]": 2,
	} {
		if faults := src.faults("top", ast.NewIdent("Top"), nil, decode(t, "yaml", text), ""); len(faults) != want {
			t.Errorf("%q: faults %q, want %d", text, faults, want)
		}
	}
}

// decode reads a document in a language.
func decode(t *testing.T, language, text string) (value any) {
	t.Helper()
	var err error
	if language == "toml" {
		err = toml.Unmarshal([]byte(text), &value)
	} else {
		err = yaml.Unmarshal([]byte(text), &value) // JSON is YAML
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// source reads types of a module from its Go files.
type source struct {
	root, module string
	tag          string
	files        map[string][]*ast.File // by directory
}

// faults compares a value with the type of the expression in the file of a directory. Types of other modules accept
// everything.
func (s *source) faults(dir string, expr ast.Expr, file *ast.File, value any, path string) []string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return s.faults(dir, e.X, file, value, path)
	case *ast.ArrayType:
		list, ok := value.([]any)
		if !ok {
			return []string{path + " must be a list"}
		}
		var all []string
		for i, v := range list {
			all = append(all, s.faults(dir, e.Elt, file, v, fmt.Sprintf("%s[%d]", path, i))...)
		}
		return all
	case *ast.MapType:
		entries, ok := value.(map[string]any)
		if !ok {
			return []string{path + " must be a map"}
		}
		var all []string
		for k, v := range entries {
			all = append(all, s.faults(dir, e.Value, file, v, path+"."+k)...)
		}
		return all
	case *ast.SelectorExpr:
		inside, ok := strings.CutPrefix(imported(file, e.X.(*ast.Ident).Name), s.module+"/")
		if !ok {
			return nil
		}
		return s.faults(inside, e.Sel, nil, value, path)
	case *ast.Ident:
		spec, in := s.find(dir, e.Name)
		if spec == nil {
			return nil // built in
		}
		return s.faults(dir, spec.Type, in, value, path)
	case *ast.StructType:
		entries, ok := value.(map[string]any)
		if !ok {
			return s.noStruct(dir, file, e, path)
		}
		var all []string
		known := s.fields(dir, e, file)
		for k, v := range entries {
			f, ok := known[k]
			if !ok {
				all = append(all, path+"."+k+" is not known")
				continue
			}
			all = append(all, s.faults(f.dir, f.expr, f.file, v, path+"."+k)...)
		}
		return all
	}
	return nil
}

// noStruct accepts a scalar for a struct that wraps a type of another module, such as a URL.
func (s *source) noStruct(dir string, file *ast.File, e *ast.StructType, path string) []string {
	if len(s.fields(dir, e, file)) == 0 {
		return nil
	}
	return []string{path + " must have keys"}
}

// field is a field's type, and where it is.
type field struct {
	dir  string
	expr ast.Expr
	file *ast.File
}

// fields returns the fields of a struct by their keys, with those of embedded structs.
func (s *source) fields(dir string, e *ast.StructType, file *ast.File) map[string]field {
	all := map[string]field{}
	for _, f := range e.Fields.List {
		tag := ""
		if f.Tag != nil {
			text, _ := strconv.Unquote(f.Tag.Value)
			tag = reflect.StructTag(text).Get(s.tag)
		}
		key, _, _ := strings.Cut(tag, ",")
		switch {
		case key == "-":
		case key != "":
			all[key] = field{dir, f.Type, file}
		case len(f.Names) == 0:
			in, name, expr := dir, "", f.Type
			if star, ok := expr.(*ast.StarExpr); ok {
				expr = star.X
			}
			switch x := expr.(type) {
			case *ast.Ident:
				name = x.Name
			case *ast.SelectorExpr:
				inside, ok := strings.CutPrefix(imported(file, x.X.(*ast.Ident).Name), s.module+"/")
				if !ok {
					if x.Sel.Name == "TypeMeta" { // Kubernetes' own
						all["apiVersion"], all["kind"] = field{expr: ast.NewIdent("string")}, field{expr: ast.NewIdent("string")}
					}
					continue
				}
				in, name = inside, x.Sel.Name
			}
			if spec, at := s.find(in, name); spec != nil {
				if embedded, ok := spec.Type.(*ast.StructType); ok {
					maps.Copy(all, s.fields(in, embedded, at))
				}
			}
		}
	}
	return all
}

// find returns the declaration of a type, and its file.
func (s *source) find(dir, name string) (*ast.TypeSpec, *ast.File) {
	if s.files == nil {
		s.files = map[string][]*ast.File{}
	}
	if _, read := s.files[dir]; !read {
		names, _ := filepath.Glob(filepath.Join(s.root, dir, "*.go"))
		for _, name := range names {
			if file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution); err == nil && !strings.HasSuffix(name, "_test.go") {
				s.files[dir] = append(s.files[dir], file)
			}
		}
	}
	for _, file := range s.files[dir] {
		for _, d := range file.Decls {
			if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.TYPE {
				for _, spec := range d.Specs {
					if spec := spec.(*ast.TypeSpec); spec.Name.Name == name {
						return spec, file
					}
				}
			}
		}
	}
	return nil, nil
}

// imported returns the path of the package that has the name in a file.
func imported(file *ast.File, name string) string {
	for _, i := range file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		if i.Name != nil && i.Name.Name == name || i.Name == nil && filepath.Base(path) == name {
			return path
		}
	}
	return ""
}
