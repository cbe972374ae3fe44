package serve

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// SchemaID is the $id of the schema.
const SchemaID = "https://github.com/kontor-registry/kontor/docs/serve.schema.json"

type schema = map[string]any

// patterns are the regular expressions of forms that have one.
var patterns = map[string]string{
	"listen":  `:[0-9]{1,5}$`,
	"url":     `^https?://[^/?#@]+/?$`,
	"account": `^[0-9]{12}$`,
	"region":  `^[a-z0-9-]+$`,
	"host":    `^[A-Za-z0-9.-]+(:[0-9]{1,5})?$`,
}

// words are the values of forms that have few.
var words = map[string][]any{
	"compat": {"oci", "ecr"},
	"switch": {"on", "off"},
	"audit":  {"changes", "all", "strict", "off"},

	"event format": {"eventbridge", "cloudevents", "cloudevents-binary"},
}

// Schema is the JSON Schema (2020-12) of the file, for editors. What it takes may
// still be refused, what it refuses is.
func Schema() []byte {
	top := objectSchema(reflect.TypeFor[Settings]())
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["$id"] = SchemaID
	top["title"] = "The configuration file of kontor serve"
	b, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("serve: encoding the schema: %v", err)) // texts, lists and maps of them
	}
	return append(b, '\n')
}

func objectSchema(t reflect.Type) schema {
	properties, required := schema{}, []any{}
	for _, f := range fieldsOf(t) {
		s := typeSchema(f.Type, f.Tag.Get("form"))
		if f.Tag.Get("required") == "" {
			s = schema{"anyOf": []any{s, schema{"type": "null"}}}
		} else {
			required = append(required, f.name)
		}
		s["description"] = about(f)
		properties[f.name] = s
	}
	out := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func typeSchema(t reflect.Type, form string) schema {
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem(), form)
	case reflect.Struct:
		return objectSchema(t)
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Slice:
		return schema{"type": "array", "items": typeSchema(t.Elem(), form)}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": schema{"type": []any{"string", "integer"}}}
	}
	switch {
	case words[form] != nil:
		return schema{"enum": words[form]}
	case patterns[form] != "":
		return schema{"type": "string", "pattern": patterns[form]}
	}
	return schema{"type": []any{"string", "integer"}}
}

// about is what a field is, with what holds without it.
func about(f field) string {
	s := f.Tag.Get("about")
	if d := f.Tag.Get("default"); d != "" {
		s += " (default " + d + ")"
	}
	return s
}

// Table is the table of docs/serve.md: each field with its variable.
func Table() string {
	var b strings.Builder
	b.WriteString("| field | environment variable | |\n|---|---|---|\n")
	var rows func(t reflect.Type, way string, list bool)
	rows = func(t reflect.Type, way string, list bool) {
		for _, f := range fieldsOf(t) {
			name, variable := join(way, f.name), "`"+env(join(way, f.name))+"`"
			if list {
				variable = ""
			}
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			of := inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct
			if inner.Kind() == reflect.Struct {
				variable = ""
			}
			text := about(f)
			if of {
				text += "; in the variable as YAML or JSON"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, variable, text)
			switch {
			case of:
				rows(inner.Elem(), name+"[]", true)
			case inner.Kind() == reflect.Struct:
				rows(inner, name, list)
			}
		}
	}
	rows(reflect.TypeFor[Settings](), "", false)
	return b.String()
}
