package foreign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// traversal is a reference as it is written, such as "aws.eu"; "" for another
// expression.
func traversal(e hclsyntax.Expression) string {
	t, diags := hcl.AbsTraversalForExpr(e)
	if diags.HasErrors() {
		return ""
	}
	return written(t)
}

func written(t hcl.Traversal) string {
	var b strings.Builder
	for i, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			b.WriteString("[...]")
		default:
			if i > 0 {
				b.WriteString("[*]")
			}
		}
	}
	return b.String()
}

// plainValue is v as encoding/json would have it, with json.Number for numbers.
func plainValue(v cty.Value) (any, error) {
	if !v.IsWhollyKnown() {
		return nil, fmt.Errorf("its value is not known")
	}
	b, err := json.Marshal(ctyjson.SimpleJSONValue{Value: v})
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out any
	return out, d.Decode(&out)
}

// eval is the value of an expression, or why it is not known.
func (m *module) eval(e hclsyntax.Expression, s scope) (cty.Value, *Finding) {
	tree := map[string]any{}
	for name, v := range s {
		tree[name] = v
	}
	for _, t := range e.Variables() {
		if bad := m.resolve(t, s, tree); bad != nil {
			return cty.NilVal, bad
		}
	}
	variables := map[string]cty.Value{}
	for name, v := range tree {
		variables[name] = object(v)
	}
	v, diags := e.Value(&hcl.EvalContext{Variables: variables, Functions: functions})
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		place := at(e.Range())
		if d.Subject != nil {
			place = at(*d.Subject)
		}
		if d.Summary == "Call to unknown function" {
			place = at(e.Range())
			return cty.NilVal, &Finding{place, "a function is not evaluated: " + called(d.Detail)}
		}
		return cty.NilVal, &Finding{place, strings.TrimSuffix(d.Detail, ".")}
	}
	v, _ = v.UnmarkDeep()
	return v, nil
}

// called is the function that a message of HCL says there is none of.
func called(detail string) string {
	_, name, _ := strings.Cut(detail, `"`)
	name, _, _ = strings.Cut(name, `"`)
	return name
}

// object is a tree of names as a value.
func object(v any) cty.Value {
	m, ok := v.(map[string]any)
	if !ok {
		return v.(cty.Value)
	}
	out := map[string]cty.Value{}
	for k, x := range m {
		out[k] = object(x)
	}
	return cty.ObjectVal(out)
}

// put puts a value into a tree of names.
func put(tree map[string]any, v cty.Value, path ...string) {
	for _, name := range path[:len(path)-1] {
		next, ok := tree[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			tree[name] = next
		}
		tree = next
	}
	tree[path[len(path)-1]] = v
}

// resolve puts into tree what a reference needs, or says why that is not known.
func (m *module) resolve(t hcl.Traversal, s scope, tree map[string]any) *Finding {
	root := t.RootName()
	if _, ok := s[root]; ok {
		return nil
	}
	unknown := func(format string, args ...any) *Finding {
		return &Finding{at(t.SourceRange()), fmt.Sprintf(format, args...)}
	}
	step := func(i int) string {
		if i < len(t) {
			if a, ok := t[i].(hcl.TraverseAttr); ok {
				return a.Name
			}
		}
		return ""
	}
	switch root {
	case "local":
		v, bad := m.local(step(1), unknown)
		if bad != nil {
			return bad
		}
		put(tree, v, "local", step(1))
		return nil
	case "var":
		v, ok := m.values[step(1)]
		if !ok {
			return unknown("var.%s has no value in the files: pass a .tfvars file that sets it", step(1))
		}
		v, err := converted(v, m.types[step(1)])
		if err != nil {
			return unknown("the value of var.%s does not fit its type: %v", step(1), err)
		}
		put(tree, v, "var", step(1))
		return nil
	case "data":
		v, bad := m.data(step(1), step(2), unknown)
		if bad != nil {
			return bad
		}
		put(tree, v, "data", step(1), step(2))
		return nil
	case repositoryType:
		v, bad := m.repositoryValue(step(1), unknown)
		if bad != nil {
			return bad
		}
		put(tree, v, repositoryType, step(1))
		return nil
	}
	return unknown("%s is not known before Terraform runs", written(t))
}

// converted is a variable's value as its type has it, with the defaults of optional
// attributes; type is nil for any.
func converted(v cty.Value, kind hclsyntax.Expression) (cty.Value, error) {
	if kind == nil {
		return v, nil
	}
	want, defaults, diags := typeexpr.TypeConstraintWithDefaults(kind)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	if defaults != nil && !v.IsNull() {
		v = defaults.Apply(v)
	}
	return convert.Convert(v, want)
}
