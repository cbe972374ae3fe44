package foreign

import (
	"encoding/json"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// documents evaluates the instances of a data source that makes a document.
func (m *module) documents(kind, label string, unknown func(string, ...any) *Finding) (cty.Value, *Finding) {
	address := "data." + kind + "." + label
	if v, ok := m.names[address]; ok {
		return v, nil
	}
	b := m.byAddress[address]
	switch {
	case b == nil:
		return cty.NilVal, unknown("%s is not in the files", address)
	case m.busy[address]:
		return cty.NilVal, unknown("%s refers to itself", address)
	}
	m.busy[address] = true
	defer delete(m.busy, address)
	scopes, _, bad := m.instances(b)
	if bad != nil {
		return cty.NilVal, bad
	}
	var list []cty.Value
	byKey := map[string]cty.Value{}
	for _, s := range scopes {
		form := m.policyDocument
		if kind != "aws_iam_policy_document" {
			form = m.lifecycleDocument
		}
		text, bad := form(b, s)
		if bad != nil {
			return cty.NilVal, bad
		}
		v := cty.ObjectVal(map[string]cty.Value{"json": cty.StringVal(text)})
		list = append(list, v)
		if each, ok := s["each"]; ok {
			byKey[each.GetAttr("key").AsString()] = v
		}
	}
	v := cty.TupleVal(list)
	switch {
	case b.Body.Attributes["for_each"] != nil:
		v = cty.ObjectVal(byKey)
	case b.Body.Attributes["count"] == nil:
		v = list[0]
	}
	m.names[address] = v
	return v, nil
}

// policyDocument is the JSON of data.aws_iam_policy_document.
func (m *module) policyDocument(b *hclsyntax.Block, s scope) (string, *Finding) {
	for _, name := range []string{"source_policy_documents", "override_policy_documents", "source_json", "override_json"} {
		if a := b.Body.Attributes[name]; a != nil {
			return "", &Finding{at(a.NameRange), name + " is not evaluated"}
		}
	}
	list, bad := m.nested(b.Body, "statement", s)
	if bad != nil {
		return "", bad
	}
	doc := map[string]any{"Version": "2012-10-17"}
	if a := b.Body.Attributes["version"]; a != nil {
		v, bad := m.eval(a.Expr, s)
		if bad != nil {
			return "", bad
		}
		if doc["Version"], _ = plainValue(v); doc["Version"] == nil {
			doc["Version"] = "2012-10-17"
		}
	}
	statements := []any{}
	for _, item := range list {
		statements = append(statements, iamStatement(item.(map[string]any)))
	}
	doc["Statement"] = statements
	return encoded(doc), nil
}

// iamStatement is a statement block as a statement of a policy.
func iamStatement(in map[string]any) map[string]any {
	out := map[string]any{"Effect": "Allow"}
	for from, to := range map[string]string{
		"sid": "Sid", "effect": "Effect", "actions": "Action", "not_actions": "NotAction", "resources": "Resource", "not_resources": "NotResource",
	} {
		v := in[from]
		if list, ok := v.([]any); v == nil || v == "" || ok && len(list) == 0 {
			continue
		}
		out[to] = v
	}
	for from, to := range map[string]string{"principals": "Principal", "not_principals": "NotPrincipal"} {
		blocks, _ := in[from].([]any)
		principals := map[string][]any{}
		for _, b := range blocks {
			m, _ := b.(map[string]any)
			kind, _ := m["type"].(string)
			ids, _ := m["identifiers"].([]any)
			if kind == "*" && len(ids) == 1 && ids[0] == "*" {
				out[to] = "*"
				continue
			}
			principals[kind] = append(principals[kind], ids...)
		}
		if len(principals) > 0 {
			out[to] = principals
		}
	}
	conditions := map[string]map[string][]any{}
	for _, name := range []string{"condition", "conditions"} {
		blocks, _ := in[name].([]any)
		for _, b := range blocks {
			m, _ := b.(map[string]any)
			test, _ := m["test"].(string)
			variable, _ := m["variable"].(string)
			values, _ := m["values"].([]any)
			if conditions[test] == nil {
				conditions[test] = map[string][]any{}
			}
			conditions[test][variable] = append(conditions[test][variable], values...)
		}
	}
	if len(conditions) > 0 {
		out["Condition"] = conditions
	}
	return out
}

// lifecycleDocument is the JSON of data.aws_ecr_lifecycle_policy_document.
func (m *module) lifecycleDocument(b *hclsyntax.Block, s scope) (string, *Finding) {
	list, bad := m.nested(b.Body, "rule", s)
	if bad != nil {
		return "", bad
	}
	rules := []any{}
	for _, item := range list {
		in := item.(map[string]any)
		first := func(name string) map[string]any {
			l, _ := in[name].([]any)
			if len(l) == 0 {
				return map[string]any{}
			}
			out, _ := l[0].(map[string]any)
			return out
		}
		renamed := func(from map[string]any, names ...string) map[string]any {
			out := map[string]any{}
			for i := 0; i < len(names); i += 2 {
				if v := from[names[i]]; v != nil {
					out[names[i+1]] = v
				}
			}
			return out
		}
		rule := renamed(in, "priority", "rulePriority", "description", "description")
		rule["selection"] = renamed(first("selection"), "tag_status", "tagStatus", "tag_prefix_list", "tagPrefixList", "tag_pattern_list", "tagPatternList",
			"count_type", "countType", "count_unit", "countUnit", "count_number", "countNumber", "storage_class", "storageClass")
		action := renamed(first("action"), "type", "type", "target_storage_class", "targetStorageClass")
		if len(action) == 0 {
			action["type"] = "expire" // the default
		}
		rule["action"] = action
		rules = append(rules, rule)
	}
	return encoded(map[string]any{"rules": rules}), nil
}

// encoded is v, which came of JSON, as JSON.
func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error() // which no engine reads as a policy
	}
	return string(b)
}
