package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Print writes the effective configuration as YAML: defaults filled in, short spellings written out. Parsing it gives
// the same Config again (but for Hash and Warnings). Optional keys that are unset are left out.
func Print(c *Config) ([]byte, error) {
	n, err := encode(reflect.ValueOf(c).Elem())
	if err != nil {
		return nil, fmt.Errorf("print config: %w", err)
	}
	out, err := yaml.Dump(n, yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("print config: %w", err)
	}
	return out, nil
}

func encode(v reflect.Value) (*yaml.Node, error) {
	if lf, ok := leafOf(v.Type()); ok {
		return lf.node(v), nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.Struct:
		return encodeStruct(v)
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			e, err := encode(v.Index(i))
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, e)
		}
		return n, nil
	case reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		lf, _ := leafOf(v.Type().Key())
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(lf.words(a)[0], lf.words(b)[0]) })
		for _, k := range keys {
			e, err := encode(v.MapIndex(k))
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, lf.node(k), e)
		}
		return n, nil
	default:
		return nil, fmt.Errorf("no writer for %s", v.Type())
	}
}

// encodeStruct leaves out a key when its value is zero and its default is too.
func encodeStruct(v reflect.Value) (*yaml.Node, error) {
	def := reflect.New(v.Type())
	Fill(def.Interface())
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fieldsOf(v.Type()) {
		val := v.Field(f.index)
		if val.IsZero() && def.Elem().Field(f.index).IsZero() || val.Kind() == reflect.Slice && val.Len() == 0 {
			continue
		}
		e, err := encode(val)
		if err != nil {
			return nil, err
		}
		if e.Kind == yaml.MappingNode && len(e.Content) == 0 {
			continue
		}
		n.Content = append(n.Content, textNode(f.key), e)
	}
	return n, nil
}

func (lf leaf) node(v reflect.Value) *yaml.Node {
	ws := lf.words(v)
	if !lf.list {
		if v.Kind() == reflect.String {
			return textNode(ws[0])
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Value: ws[0]}
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, w := range ws {
		n.Content = append(n.Content, textNode(w))
	}
	return n
}

// textNode is quoted by the library where YAML would read the text as something else.
func textNode(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s)
	return n
}
