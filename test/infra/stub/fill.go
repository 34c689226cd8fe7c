package main

import (
	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// filler returns the value of an attribute that the provider computes.
type filler func(name string, t tftypes.Type) tftypes.Value

// change returns the value with what the configuration leaves to the provider. A resource that is deleted stays null.
func change(s *tfprotov5.Schema, from *tfprotov5.DynamicValue, fillerOf func(tftypes.Value) filler) (*tfprotov5.DynamicValue, error) {
	typ := s.ValueType()
	value, err := from.Unmarshal(typ)
	if err != nil {
		return nil, err
	}
	if !value.IsNull() {
		if value, err = fill(s.Block, value, fillerOf(value)); err != nil {
			return nil, err
		}
	}
	result, err := tfprotov5.NewDynamicValue(typ, value)
	return &result, err
}

// fill fills a block.
func fill(b *tfprotov5.SchemaBlock, value tftypes.Value, with filler) (tftypes.Value, error) {
	if value.IsNull() || !value.IsKnown() {
		return value, nil
	}
	fields := map[string]tftypes.Value{}
	if err := value.As(&fields); err != nil {
		return value, err
	}
	for _, a := range b.Attributes {
		if v := fields[a.Name]; a.Computed && (v.IsNull() || !v.IsKnown()) {
			fields[a.Name] = with(a.Name, a.Type)
		}
	}
	for _, n := range b.BlockTypes {
		filled, err := fillNested(n, fields[n.TypeName], with)
		if err != nil {
			return value, err
		}
		fields[n.TypeName] = filled
	}
	return tftypes.NewValue(value.Type(), fields), nil
}

func fillNested(n *tfprotov5.SchemaNestedBlock, value tftypes.Value, with filler) (tftypes.Value, error) {
	if n.Nesting == tfprotov5.SchemaNestedBlockNestingModeSingle {
		return fill(n.Block, value, with)
	}
	if value.IsNull() || !value.IsKnown() {
		return value, nil
	}
	var items []tftypes.Value
	if err := value.As(&items); err != nil {
		return value, err
	}
	for i := range items {
		filled, err := fill(n.Block, items[i], with)
		if err != nil {
			return value, err
		}
		items[i] = filled
	}
	return tftypes.NewValue(value.Type(), items), nil
}

// argument returns the text of an argument, or "" when the configuration has none.
func argument(value tftypes.Value, name string) string {
	var text string
	fields := map[string]tftypes.Value{}
	if err := value.As(&fields); err != nil {
		return ""
	}
	if v, has := fields[name]; has && v.Type().Is(tftypes.String) && v.IsKnown() && !v.IsNull() {
		_ = v.As(&text)
	}
	return text
}

// first returns the first text of a list or set, or "" when the configuration has none.
func first(value tftypes.Value, name string) string {
	fields := map[string]tftypes.Value{}
	var items []tftypes.Value
	var text string
	if value.As(&fields) != nil || fields[name].As(&items) != nil || len(items) == 0 || items[0].As(&text) != nil {
		return ""
	}
	return text
}
