package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// block is a resource, or a block within one.
type block struct {
	Attributes map[string]struct {
		Type     string `json:"type"`
		Required bool   `json:"required"`
	} `json:"attributes"`
	Blocks map[string]block `json:"blocks"`
}

func readSchema(file string) (map[string]block, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", SchemaVariable, err)
	}
	var all struct {
		Resources map[string]block `json:"resources"`
	}
	return all.Resources, json.Unmarshal(b, &all)
}

// plain are attributes that the provider sets only when the configuration does.
var plain = map[string]bool{"tags": true, "force_delete": true, "delete": true}

func (b block) attributes() (map[string]schema.Attribute, error) {
	to := map[string]schema.Attribute{}
	for name, a := range b.Attributes {
		computed := !a.Required && !plain[name]
		switch a.Type {
		case "string":
			to[name] = schema.StringAttribute{Required: a.Required, Optional: !a.Required, Computed: computed}
		case "bool":
			to[name] = schema.BoolAttribute{Required: a.Required, Optional: !a.Required, Computed: computed}
		case "map(string)":
			to[name] = schema.MapAttribute{ElementType: types.StringType, Required: a.Required, Optional: !a.Required, Computed: computed}
		default:
			return nil, fmt.Errorf("attribute %s is of the unknown type %q", name, a.Type)
		}
	}
	return to, nil
}

// schema is of the resource, with the id that every resource of the provider has.
func (b block) schema() (schema.Schema, error) {
	attributes, err := b.attributes()
	if err != nil {
		return schema.Schema{}, err
	}
	attributes["id"] = schema.StringAttribute{Computed: true}
	to := schema.Schema{Attributes: attributes, Blocks: map[string]schema.Block{}}
	for name, inner := range b.Blocks {
		attributes, err := inner.attributes()
		if err != nil {
			return schema.Schema{}, err
		}
		switch name {
		case "timeouts":
			to.Blocks[name] = schema.SingleNestedBlock{Attributes: attributes}
		default:
			to.Blocks[name] = schema.ListNestedBlock{NestedObject: schema.NestedBlockObject{Attributes: attributes}}
		}
	}
	return to, nil
}
