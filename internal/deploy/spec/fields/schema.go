package fields

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// schema is a JSON Schema, as far as the table needs them.
type schema = map[string]any

// SchemaID is the $id of the schema.
const SchemaID = "https://github.com/kontor-registry/kontor/docs/kontor.schema.json"

// matching is a text that the regular expression re matches.
func matching(re string) schema { return schema{"type": "string", "pattern": re} }

// prefixSchema is a prefix of names of repositories, as replication has it.
var prefixSchema = schema{"type": "string", "minLength": MinReplicationPrefix, "maxLength": MaxReplicationPrefix, "pattern": ReplicationPrefix.String()}

func textOf(least, most int) schema {
	return schema{"type": "string", "minLength": least, "maxLength": most}
}

func integerOf(least, most int) schema {
	return schema{"type": "integer", "minimum": least, "maximum": most}
}

func numberOf(least, most int) schema {
	return schema{"type": "number", "minimum": least, "maximum": most}
}

func listOf(items schema) schema { return schema{"type": "array", "items": items} }

func uniqueListOf(items schema) schema {
	return schema{"type": "array", "items": items, "uniqueItems": true}
}

func object(in string) schema { return schema{"$ref": "#/$defs/" + in} }

func orNull(s schema) schema { return schema{"anyOf": []any{s, schema{"type": "null"}}} }

var (
	accountSchema    = matching(`^[0-9]{12}$`)
	tagPatternSchema = schema{"type": "string", "minLength": 1, "maxLength": MaxPattern, "pattern": `^[A-Za-z0-9._-]*(\*[A-Za-z0-9._-]*){0,4}$`}
	documentSchema   = schema{"type": []any{"string", "object"}}
)

// Schema is the JSON Schema (2020-12) of files. It knows names, types and
// forms. What it takes may still be refused, such as a name that is given
// twice; what it refuses, Load refuses.
func Schema() []byte {
	top := objectSchema("")
	delete(top, "required") // another file may have it
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["$id"] = SchemaID
	top["title"] = "A file of Kontor"
	defs := schema{}
	for _, f := range slices.Concat(fileTable, repositoryTable) {
		if f.In != "" && defs[f.In] == nil {
			defs[f.In] = objectSchema(f.In)
		}
	}
	defs[Override] = objectSchema(Override)
	rule := defs["expiration_rules"].(schema) // made in the loop above
	rule["oneOf"] = []any{schema{"required": []any{"days"}}, schema{"required": []any{"keep_last"}}}
	source := defs[Principal].(schema)
	source["anyOf"] = []any{schema{"required": []any{"source_account"}}, schema{"required": []any{"source_arn"}}}
	test := defs["access_tests"].(schema)
	test["anyOf"] = []any{schema{"required": []any{"allow"}}, schema{"required": []any{"deny"}}}
	top["$defs"] = defs
	b, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		// Texts, numbers, lists and maps of them.
		panic(fmt.Sprintf("spec: encoding the schema: %v", err))
	}
	return append(b, '\n')
}

// objectSchema is the schema of the object in.
func objectSchema(in string) schema {
	properties, required := schema{}, []any{}
	for _, f := range slices.Concat(fileTable, repositoryTable) {
		taken := in == Override && f.In == Repository && !slices.Contains(NotOverridden, f.Name) ||
			in == Template && f.In == Repository && !slices.Contains(NotTemplate, f.Name)
		if f.In != in && !taken {
			continue
		}
		s := maps.Clone(f.schema)
		if !f.Required {
			s = orNull(s) // no value is not given
		}
		s["description"] = plainText(f.Summary)
		properties[f.Name] = s
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

var linkPattern = lazyregexp.New(`\[([^\]]+)\]\([^)]+\)`)

// plainText is Markdown without its marks.
func plainText(s string) string {
	s = linkPattern.ReplaceAllString(s, "$1")
	return strings.ReplaceAll(s, "`", "")
}
