package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"ociproxy/test/infra/schema"
)

var nestings = map[string]tfprotov5.SchemaNestedBlockNestingMode{
	"list": tfprotov5.SchemaNestedBlockNestingModeList, "set": tfprotov5.SchemaNestedBlockNestingModeSet,
	"single": tfprotov5.SchemaNestedBlockNestingModeSingle,
}

// convert returns the schema as the protocol of providers has it.
func convert(b schema.Block) (*tfprotov5.Schema, error) {
	block, err := convertBlock(b)
	return &tfprotov5.Schema{Block: block}, err
}

func convertBlock(b schema.Block) (*tfprotov5.SchemaBlock, error) {
	block := &tfprotov5.SchemaBlock{}
	for _, name := range slices.Sorted(maps.Keys(b.Attributes)) {
		a := b.Attributes[name]
		typ, err := tftypes.ParseJSONType(a.Type) //nolint:staticcheck // the form of the published schemas
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		block.Attributes = append(block.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: typ, Required: a.Required, Optional: a.Optional, Computed: a.Computed,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Blocks)) {
		n := b.Blocks[name]
		inner, err := convertBlock(n.Block)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		nested := &tfprotov5.SchemaNestedBlock{TypeName: name, Block: inner, Nesting: nestings[n.Nesting]}
		if n.Nesting != "single" {
			nested.MinItems, nested.MaxItems = int64(n.Min), int64(n.Max)
		}
		block.BlockTypes = append(block.BlockTypes, nested)
	}
	return block, nil
}
