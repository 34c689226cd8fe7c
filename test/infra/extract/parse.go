package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ociproxy/test/infra/schema"
)

var (
	source    = regexp.MustCompile(`(?m)^// https://(registry\.terraform\.io/providers/(\S+))`)
	class     = regexp.MustCompile(`(?m)^export class (\w+) extends cdktf\.(\w+)`)
	function  = regexp.MustCompile(`(?m)^export function (\w+)ToHclTerraform\(`)
	member    = regexp.MustCompile(`(?m)^  // (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$`)
	object    = regexp.MustCompile(`new (cdktf\.)?(\w+)\(this, "\w+"(?:, (true|false))?\)`)
	getter    = regexp.MustCompile(`this\.(get\w+Attribute|interpolationForAttribute)\('`)
	hclField  = regexp.MustCompile(`(?m)^ {4}(?: {2})?(\w+): \{\n\s+value: (.*),\n\s+isBlock: (true|false),\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)",`)
	structFn  = regexp.MustCompile(`(?:listMapperHcl\((\w+)ToHclTerraform, (true|false)\)|(\w+)ToHclTerraform)\(`)
	reference = regexp.MustCompile(`super\(terraformResource, terraformAttribute, (true|false), 0\)`)
)

// parser reads the classes of one resource.
type parser struct {
	classes   map[string]string // text by name
	fields    map[string]map[string]field
	main      string
	isProvide bool
}

// field is how the class writes a field as HCL.
type field struct{ value, kind, storage string }

func parse(text string) (schema.File, error) {
	m := source.FindStringSubmatch(text)
	if m == nil {
		return schema.File{}, fmt.Errorf("the source does not say where it is from")
	}
	p := parser{classes: map[string]string{}, fields: map[string]map[string]field{}}
	for name, body := range split(text, class) {
		p.classes[name] = body
		head := class.FindStringSubmatch(body)
		switch head[2] {
		case "TerraformResource", "TerraformDataSource", "TerraformProvider":
			p.main, p.isProvide = name, head[2] == "TerraformProvider"
			p.fields[name] = fieldsOf(body)
		}
	}
	for name, body := range split(text, function) {
		p.fields[strings.ToLower(name)] = fieldsOf(body)
	}
	if p.main == "" {
		return schema.File{}, fmt.Errorf("no class of a resource")
	}
	b, err := p.block(p.main, p.fields[p.main])
	return schema.File{Source: "https://" + m[1] + " (MPL-2.0)", Block: b}, err
}

// split cuts the text at the matches of start and returns the pieces by the first group.
func split(text string, start *regexp.Regexp) map[string]string {
	pieces := map[string]string{}
	for _, at := range start.FindAllStringSubmatchIndex(text, -1) {
		body := text[at[0]:]
		if end := strings.Index(body, "\n}\n"); end >= 0 {
			body = body[:end+3]
		}
		pieces[text[at[2]:at[3]]] = body
	}
	return pieces
}

func fieldsOf(body string) map[string]field {
	fields := map[string]field{}
	for _, m := range hclField.FindAllStringSubmatch(body, -1) {
		fields[m[1]] = field{m[2], m[4], m[5]}
	}
	return fields
}

// block returns the schema of a class whose fields are written as HCL like that.
func (p parser) block(name string, fields map[string]field) (schema.Block, error) {
	b := schema.Block{Attributes: map[string]schema.Attribute{}, Blocks: map[string]schema.Nested{}}
	body, known := p.classes[name]
	if !known {
		return b, fmt.Errorf("no class %s", name)
	}
	at := member.FindAllStringSubmatchIndex(body, -1)
	for i, a := range at {
		end := len(body)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		sub := func(n int) string { return body[a[2*n]:a[2*n+1]] }
		attr := schema.Attribute{Computed: sub(2) == "true", Optional: sub(3) == "true", Required: sub(4) == "true"}
		if err := p.member(&b, sub(1), body[a[1]:end], attr, fields[sub(1)]); err != nil {
			return b, fmt.Errorf("%s.%s: %w", name, sub(1), err)
		}
	}
	return b, nil
}

// member adds what a class has under that name.
func (p parser) member(b *schema.Block, name, body string, attr schema.Attribute, f field) error {
	if p.isProvide {
		return p.provide(b, name, attr, f)
	}
	o := object.FindStringSubmatch(body)
	if o == nil || o[1] != "" {
		typ, err := simple(body, o, f)
		attr.Type = typ
		b.Attributes[name] = attr
		return err
	}
	inner, isList := strings.CutSuffix(o[2], "List")
	class := inner
	if isList {
		class += "OutputReference"
	} else {
		class = o[2]
	}
	fields := p.fields[strings.ToLower(strings.TrimSuffix(class, "OutputReference"))]
	nested, err := p.block(class, fields)
	if err != nil {
		return err
	}
	n := schema.Nested{Nesting: "single", Block: nested}
	switch {
	case isList && o[3] == "true":
		n.Nesting = "set"
	case isList:
		n.Nesting = "list"
	default:
		if r := reference.FindStringSubmatch(p.classes[class]); r != nil {
			n.Nesting, n.Max = map[string]string{"true": "set", "false": "list"}[r[1]], 1
		}
	}
	// A field that is not written as a block is an attribute whose type is an object.
	m := structFn.FindStringSubmatch(f.value)
	if f.value == "" || m != nil && m[2] == "false" {
		attr.Type = encode(n)
		b.Attributes[name] = attr
		return nil
	}
	if attr.Required {
		n.Min = 1
	}
	b.Blocks[name] = n
	return nil
}

// provide adds an argument of a provider, whose blocks have no classes.
func (p parser) provide(b *schema.Block, name string, attr schema.Attribute, f field) error {
	m := structFn.FindStringSubmatch(f.value)
	if m == nil || m[1] == "cdktf" || strings.Contains(f.value, "cdktf.listMapperHcl(cdktf.") || m[1] == "" && strings.HasPrefix(f.value, "cdktf.") {
		typ, err := plain(f)
		attr.Type = typ
		b.Attributes[name] = attr
		return err
	}
	n, err := p.structure(m[1]+m[3], f)
	if attr.Required {
		n.Min = 1
	}
	b.Blocks[name] = n
	return err
}

// structure returns the block that a function writes.
func (p parser) structure(fn string, f field) (schema.Nested, error) {
	n := schema.Nested{Nesting: f.kind, Block: schema.Block{Attributes: map[string]schema.Attribute{}, Blocks: map[string]schema.Nested{}}}
	if !strings.Contains(f.value, "listMapperHcl") {
		n.Max = 1
	}
	for name, inner := range p.fields[strings.ToLower(fn)] {
		if err := p.provide(&n.Block, name, schema.Attribute{Optional: true}, inner); err != nil {
			return n, fmt.Errorf("%s: %w", name, err)
		}
	}
	return n, nil
}

var byGetter = map[string]string{
	"getStringAttribute": `"string"`, "getBooleanAttribute": `"bool"`, "getNumberAttribute": `"number"`,
	"getListAttribute": `["list","string"]`, "getNumberListAttribute": `["list","number"]`,
	"getStringMapAttribute": `["map","string"]`, "getBooleanMapAttribute": `["map","bool"]`,
	"getNumberMapAttribute": `["map","number"]`, "getAnyMapAttribute": `"dynamic"`,
}

var byClass = map[string]string{
	"StringMap": `["map","string"]`, "BooleanMap": `["map","bool"]`, "NumberMap": `["map","number"]`,
	"StringMapList": `["list",["map","string"]]`,
}

// simple returns the type of an attribute that has no class of its own.
func simple(body string, o []string, f field) (json.RawMessage, error) {
	var typ string
	if o != nil {
		typ = byClass[o[2]]
	} else if m := getter.FindStringSubmatch(body); m != nil {
		typ = byGetter[m[1]]
	}
	if typ == "" {
		return nil, fmt.Errorf("unknown type of %.200s", body)
	}
	if f.kind == "set" || f.value == "" && strings.Contains(body, "cdktf.Fn.tolist(") {
		typ = strings.Replace(typ, "list", "set", 1)
	}
	return json.RawMessage(typ), nil
}

var byStorage = map[string]string{"string": `"string"`, "boolean": `"bool"`, "number": `"number"`, "stringMap": `["map","string"]`,
	"stringList": `["list","string"]`, "numberList": `["list","number"]`}

// plain returns the type of a field by how it is written.
func plain(f field) (json.RawMessage, error) {
	typ := byStorage[f.storage]
	if typ == "" {
		return nil, fmt.Errorf("unknown storage %s", f.storage)
	}
	if f.kind == "set" {
		typ = strings.Replace(typ, "list", "set", 1)
	}
	return json.RawMessage(typ), nil
}

// encode returns the type of an attribute that holds such blocks.
func encode(n schema.Nested) json.RawMessage {
	fields := map[string]json.RawMessage{}
	for name, a := range n.Block.Attributes {
		fields[name] = a.Type
	}
	for name, inner := range n.Block.Blocks {
		fields[name] = encode(inner)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // types are valid JSON
	}
	typ := `["object",` + string(text) + `]`
	if slices.Contains([]string{"list", "set"}, n.Nesting) {
		typ = `["` + n.Nesting + `",` + typ + `]`
	}
	return json.RawMessage(typ)
}
