package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// decoder turns the YAML library's nodes into a Config. The library parses; what this adds over its own construction is
// what an operator reads when something is wrong: each fault has its path and a hint, messages speak of keys and not of
// Go types, and a duplicate key does not hide the other faults of its mapping.
type decoder struct {
	source
	nodes map[string]*yaml.Node // value by path, for the rules that run afterwards
	bad   map[string]bool       // paths already reported: later rules say nothing about them
	merge []*yaml.Node          // mappings being merged, against cycles
}

// value reads n into v. Each path is read once.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	at := n // an alias is reported where it is used
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.nodes[path] = at
	null := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
	if lf, ok := leafOf(v.Type()); ok {
		if null {
			d.reject(path, at, "has no value", "give it a value or remove the key")
			return
		}
		d.leaf(lf, n, at, v, path)
		return
	}
	if null { // "stores:" with nothing under it
		if v.Kind() != reflect.Struct {
			return
		}
		n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column} // defaults, and missing keys
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(at, p.Elem(), path)
		if !d.bad[path] {
			v.Set(p)
		}
	case reflect.Struct:
		d.structure(n, at, v, path)
	case reflect.Slice:
		d.list(n, at, v, path)
	case reflect.Map:
		d.mapping(n, at, v, path)
	default:
		panic("config: no reader for " + v.Type().String()) // a test reads every type of the file
	}
}

func (d *decoder) leaf(lf leaf, n, at *yaml.Node, v reflect.Value, path string) {
	var words []string
	switch {
	case n.Kind == yaml.ScalarNode:
		words = []string{n.Value}
	case lf.list && n.Kind == yaml.SequenceNode:
		for i, e := range n.Content {
			for e.Kind == yaml.AliasNode {
				e = e.Alias
			}
			if e.Kind != yaml.ScalarNode {
				d.reject(fmt.Sprintf("%s[%d]", path, i), e, "expected a word, found "+kindName(e), "")
				d.bad[path] = true
				return
			}
			words = append(words, e.Value)
		}
	default:
		d.reject(path, at, "expected "+lf.want+", found "+kindName(n), "")
		return
	}
	got, hint, err := lf.parse(words, v.Type())
	if err != nil {
		d.reject(path, at, err.Error(), hint)
		return
	}
	v.Set(got)
}

func (d *decoder) structure(n, at *yaml.Node, v reflect.Value, path string) {
	Fill(v.Addr().Interface())
	switch short := v.Addr().Interface().(type) { // the stanzas with a short spelling
	case *Behind:
		*short = Behind{} // a rule spelled out has no preset
		if n.Kind == yaml.ScalarNode {
			short.Preset = n.Value
			return
		}
	case *Admin:
		if n.Kind == yaml.ScalarNode {
			short.Listen = n.Value
			return
		}
	}
	fields := fieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		d.reject(path, at, "expected keys and values, found "+kindName(n), requiredKeys(fields))
		return
	}
	seen := map[string]bool{}
	var misspelt []string
	for _, e := range d.entries(n, path) {
		name := e.key.Value
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == name })
		at := join(path, name)
		switch {
		case e.key.Kind != yaml.ScalarNode:
			d.fault(path, e.key, "a key must be a word, found "+kindName(e.key), "")
		case i < 0:
			meant, hint := unknownKey(name, fields)
			d.fault(at, e.key, fmt.Sprintf("unknown key %q", shorten(name)), hint)
			if meant != "" { // then that one is not missing, only misspelt
				misspelt = append(misspelt, meant)
			}
		default:
			seen[name] = true
			d.value(e.value, v.Field(fields[i].index), at)
		}
	}
	for _, key := range misspelt {
		if !seen[key] {
			seen[key] = true
			d.bad[join(path, key)] = true
		}
	}
	for _, f := range fields {
		if f.required && !seen[f.key] {
			d.missing(path, at, f)
		}
	}
}

func (d *decoder) missing(path string, n *yaml.Node, f field) {
	d.fault(path, n, fmt.Sprintf("missing key %q", f.key), f.hint)
	d.bad[join(path, f.key)] = true
}

func (d *decoder) list(n, at *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.reject(path, at, "expected a list, found "+kindName(n), "write `- …` lines, or […]")
		return
	}
	if len(n.Content) == 0 {
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, e := range n.Content {
		d.value(e, out.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(out)
}

func (d *decoder) mapping(n, at *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.reject(path, at, "expected keys and values, found "+kindName(n), "")
		return
	}
	if len(n.Content) == 0 {
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, e := range d.entries(n, path) {
		at := join(path, e.key.Value)
		k, val := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		d.value(e.key, k, at)
		if d.bad[at] {
			continue
		}
		if out.MapIndex(k).IsValid() {
			d.fault(at, e.key, fmt.Sprintf("duplicate key %q", e.key.Value), "the same place is above, in another spelling")
			continue
		}
		d.value(e.value, val, at)
		out.SetMapIndex(k, val)
	}
	v.Set(out)
}

type entry struct{ key, value *yaml.Node }

// entries are the keys of a mapping in file order, those merged with "<<" last and only where the mapping itself is
// silent. A duplicate key is reported and its first value kept.
func (d *decoder) entries(n *yaml.Node, path string) []entry {
	var own, merged []entry
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.ShortTag() == "!!merge" || k.Value == "<<" && k.ShortTag() == "!!str" && k.Style == 0 {
			merged = append(merged, d.merged(v, path)...)
			continue
		}
		if line, dup := lines[k.Value]; dup && k.Kind == yaml.ScalarNode {
			d.fault(join(path, k.Value), k, fmt.Sprintf("duplicate key %q", k.Value), fmt.Sprintf("line %d has it already: keep one", line))
			continue
		}
		lines[k.Value] = k.Line
		own = append(own, entry{k, v})
	}
	for _, e := range merged {
		if _, set := lines[e.key.Value]; !set {
			lines[e.key.Value] = e.key.Line
			own = append(own, e)
		}
	}
	return own
}

func (d *decoder) merged(v *yaml.Node, path string) []entry {
	n := v
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if slices.Contains(d.merge, n) {
		d.fault(path, v, "a mapping cannot be merged into itself", "")
		return nil
	}
	d.merge = append(d.merge, n)
	defer func() { d.merge = d.merge[:len(d.merge)-1] }()
	switch n.Kind {
	case yaml.MappingNode:
		return d.entries(n, path)
	case yaml.SequenceNode:
		var all []entry
		for _, e := range n.Content {
			all = append(all, d.merged(e, path)...)
		}
		return all
	default:
		d.fault(path, v, "`<<` merges mappings, found "+kindName(n), "")
		return nil
	}
}

// reject reports a value that could not be read; later rules stay silent about it.
func (d *decoder) reject(path string, n *yaml.Node, message, hint string) {
	d.fault(path, n, message, hint)
	d.bad[path] = true
}

func (d *decoder) fault(path string, n *yaml.Node, message, hint string) {
	d.add(&Error{Path: path, Line: n.Line, Column: n.Column, Message: message, Hint: hint})
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return kindName(n.Alias)
	default:
		if n.ShortTag() == "!!null" {
			return "nothing"
		}
		return fmt.Sprintf("%q", shorten(n.Value))
	}
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "…"
	}
	return s
}

// requiredKeys is a hint about a mapping that was written as something else: the keys that it needs; "" when it needs
// none.
func requiredKeys(fields []field) string {
	var keys []string
	for _, f := range fields {
		if f.required {
			keys = append(keys, f.key+": …")
		}
	}
	if keys == nil {
		return ""
	}
	return "write {" + strings.Join(keys, ", ") + "}"
}

// unknownKey is the key that was meant, if any, and a hint.
func unknownKey(name string, fields []field) (meant, hint string) {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	if s := Suggest(name, keys); s != "" {
		return s, fmt.Sprintf("did you mean %q?", s)
	}
	return "", "known keys here: " + strings.Join(keys, ", ")
}
