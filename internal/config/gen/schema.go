package main

import (
	"encoding/json"
	"strconv"

	"ociproxy/internal/config"
)

// node is as much of JSON Schema 2020-12 as the file needs. encoding/json sorts the keys of its maps, so that the output
// is the same each time.
type node struct {
	Schema      string           `json:"$schema,omitempty"`
	Title       string           `json:"title,omitempty"`
	Description string           `json:"description,omitempty"`
	Ref         string           `json:"$ref,omitempty"`
	Type        string           `json:"type,omitempty"`
	Pattern     string           `json:"pattern,omitempty"`
	Enum        []string         `json:"enum,omitempty"`
	Const       any              `json:"const,omitempty"`
	Default     any              `json:"default,omitempty"`
	Items       *node            `json:"items,omitempty"`
	AnyOf       []*node          `json:"anyOf,omitempty"`
	Properties  map[string]*node `json:"properties,omitempty"`
	Names       *node            `json:"propertyNames,omitempty"`
	Additional  any              `json:"additionalProperties,omitempty"` // false, or a *node
	Required    []string         `json:"required,omitempty"`
	Defs        map[string]*node `json:"$defs,omitempty"`
}

// patterns of what the file spells as a word of a certain form. They are no stricter than the program.
var patterns = map[string]string{
	"a duration":   `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`,
	"a date":       `^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2}))?$`,
	"a place":      `^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9-]*[a-z0-9])?$`,
	"a percentage": `^[0-9]+(\.[0-9]+)?%$`,
	"a CIDR range": `^[0-9a-fA-F:.]+/[0-9]{1,3}$`,
	"a digest":     `^[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$`,
}

// schema writes docs/config.schema.json.
func schema(c comments) ([]byte, error) {
	defs := map[string]*node{}
	for _, s := range config.Describe() {
		n, err := object(c, s)
		if err != nil {
			return nil, err
		}
		if s.Short {
			first := n.Properties[s.Keys[0].Name]
			n = &node{AnyOf: []*node{{Type: "string", Enum: first.Enum}, n}}
		}
		defs[s.Type] = n
	}
	top := defs["Config"]
	delete(defs, "Config")
	top.Schema, top.Title, top.Defs = "https://json-schema.org/draft/2020-12/schema", "oci-proxy configuration", defs
	v := top.Properties["version"]
	v.Const, v.Default = config.Version, nil
	out, err := json.MarshalIndent(top, "", "  ")
	return append(out, '\n'), err
}

func object(c comments, s config.Stanza) (*node, error) {
	about, err := c.of(s.Type, "")
	if err != nil {
		return nil, err
	}
	n := &node{Type: "object", Description: about, Properties: map[string]*node{}, Additional: false}
	for _, k := range s.Keys {
		text, err := c.of(s.Type, k.Field)
		if err != nil {
			return nil, err
		}
		p := property(k)
		p.Description = text
		if k.Required {
			n.Required = append(n.Required, k.Name)
		}
		n.Properties[k.Name] = p
	}
	return n, nil
}

func property(k config.Key) *node {
	one := &node{Type: k.JSON, Pattern: patterns[k.Want], Enum: k.Enum}
	if k.Stanza != "" {
		one = &node{Ref: "#/$defs/" + k.Stanza}
	}
	switch {
	case k.Map != "":
		return &node{Type: "object", Names: &node{Pattern: patterns[k.Map]}, Additional: one}
	case k.OneWord:
		return &node{AnyOf: []*node{one, {Type: "array", Items: one}}}
	case k.List:
		return &node{Type: "array", Items: one}
	}
	one.Default = typed(k)
	return one
}

// typed is the default in its JSON type.
func typed(k config.Key) any {
	if k.Default == "" || k.Required {
		return nil
	}
	switch k.JSON {
	case "integer", "number":
		if f, err := strconv.ParseFloat(k.Default, 64); err == nil {
			return f
		}
	case "boolean":
		return k.Default == "true"
	}
	return k.Default
}
