package foreign

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// module is the code in one folder.
type module struct {
	*reader
	locals    map[string]*local
	types     map[string]hclsyntax.Expression // of variables that have one
	values    map[string]cty.Value
	blocks    []*hclsyntax.Block // resources and modules, in order
	byAddress map[string]*hclsyntax.Block
	names     map[string]cty.Value // what a repository's block is to others, by address
	busy      map[string]bool      // addresses that are being evaluated
}

// local is a local value, evaluated once.
type local struct {
	expr  hclsyntax.Expression
	done  bool
	busy  bool
	value cty.Value
	bad   *Finding
}

// scope is what names mean in a block, such as each.
type scope map[string]cty.Value

func newModule(r *reader) *module {
	return &module{
		reader: r, locals: map[string]*local{}, types: map[string]hclsyntax.Expression{}, values: map[string]cty.Value{},
		byAddress: map[string]*hclsyntax.Block{}, names: map[string]cty.Value{}, busy: map[string]bool{},
	}
}

// setVariables sets variables to the values of a .tfvars or .tfvars.json file.
func (m *module) setVariables(s lang.Source) {
	if strings.HasSuffix(strings.ToLower(s.Name), ".json") {
		m.setFromJSON(s)
		return
	}
	body, errs := lang.ParseTerraform(s)
	m.errs = append(m.errs, errs...)
	if body == nil {
		return
	}
	for name, a := range body.Attributes {
		if v, bad := m.eval(a.Expr, nil); bad != nil {
			m.findf(bad.Position, "%s: %s", name, bad.Message)
		} else {
			m.values[name] = v
		}
	}
}

// add adds a file of the module.
func (m *module) add(s lang.Source) {
	body, errs := lang.ParseTerraform(s)
	m.errs = append(m.errs, errs...)
	if body == nil {
		return
	}
	for _, b := range body.Blocks {
		switch {
		case b.Type == "locals":
			for name, a := range b.Body.Attributes {
				m.locals[name] = &local{expr: a.Expr}
			}
		case b.Type == "variable" && len(b.Labels) == 1:
			if a := b.Body.Attributes["type"]; a != nil {
				m.types[b.Labels[0]] = a.Expr
			}
		case b.Type == "resource" && len(b.Labels) == 2:
			m.blocks = append(m.blocks, b)
			m.byAddress[b.Labels[0]+"."+b.Labels[1]] = b
		case b.Type == "data" && len(b.Labels) == 2:
			m.byAddress["data."+b.Labels[0]+"."+b.Labels[1]] = b
		case b.Type == "module" && len(b.Labels) == 1:
			m.blocks = append(m.blocks, b)
		}
	}
}

func (m *module) setFromJSON(s lang.Source) {
	root, errs := lang.Parse(s)
	m.errs = append(m.errs, errs...)
	if root == nil {
		return
	}
	for _, member := range root.Members {
		b, err := member.Value.AppendJSON(nil, nil, nil)
		if err != nil {
			m.errorf(member.At, "%v", err)
			continue
		}
		var v ctyjson.SimpleJSONValue
		if err := json.Unmarshal(b, &v); err != nil {
			m.errorf(member.At, "%v", err)
			continue
		}
		m.values[member.Key] = v.Value
	}
}

// read reads the resources and modules of the files.
func (m *module) read() {
	for _, b := range m.blocks {
		switch {
		case b.Type == "module":
			m.call(b)
		case strings.HasPrefix(b.Labels[0], "aws_ecr"):
			m.resource(b)
		}
	}
}

func at(r hcl.Range) state.Position {
	return state.Position{File: r.Filename, Line: max(1, r.Start.Line), Column: max(1, r.Start.Column)}
}

// instances are the scopes of a block's instances, and what stands behind its
// address for each.
func (m *module) instances(b *hclsyntax.Block) (scopes []scope, keys []string, bad *Finding) {
	switch count, each := b.Body.Attributes["count"], b.Body.Attributes["for_each"]; {
	case count != nil:
		v, bad := m.eval(count.Expr, nil)
		if bad != nil {
			return nil, nil, bad
		}
		n, ok := whole(v)
		if !ok || n < 0 || n > maxInstances {
			return nil, nil, &Finding{at(count.Expr.Range()), "count is not a whole number"}
		}
		for i := range n {
			scopes = append(scopes, scope{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(int64(i))})})
			keys = append(keys, fmt.Sprintf("[%d]", i))
		}
		return scopes, keys, nil
	case each != nil:
		v, bad := m.eval(each.Expr, nil)
		if bad != nil {
			return nil, nil, bad
		}
		if v.IsNull() || !v.CanIterateElements() || v.Type().IsTupleType() || v.Type().IsListType() || v.LengthInt() > maxInstances {
			return nil, nil, &Finding{at(each.Expr.Range()), "for_each is not a map or a set of strings"}
		}
		for k, x := range elements(v) {
			if v.Type().IsSetType() {
				k = x
			}
			if k.Type() != cty.String || k.IsNull() {
				return nil, nil, &Finding{at(each.Expr.Range()), "for_each is not a map or a set of strings"}
			}
			scopes = append(scopes, scope{"each": cty.ObjectVal(map[string]cty.Value{"key": k, "value": x})})
			keys = append(keys, fmt.Sprintf("[%q]", k.AsString()))
		}
		return scopes, keys, nil
	}
	return []scope{{}}, []string{""}, nil
}

// elements are the keys and values of a collection that is not null.
func elements(v cty.Value) iter.Seq2[cty.Value, cty.Value] {
	return func(yield func(k, v cty.Value) bool) {
		for it := v.ElementIterator(); it.Next(); {
			if !yield(it.Element()) {
				return
			}
		}
	}
}

// maxInstances bounds the instances of a block.
const maxInstances = 100_000

func whole(v cty.Value) (int, bool) {
	if v.IsNull() || v.Type() != cty.Number {
		return 0, false
	}
	n, accuracy := v.AsBigFloat().Int64()
	return int(n), accuracy == 0
}

// attributes are those that are read of resources of ECR, blocks apart.
var attributes = []string{
	"name", "image_tag_mutability", "tags", "repository", "policy", "region",
	"prefix", "description", "applied_for", "custom_role_arn", "repository_policy", "lifecycle_policy", "resource_tags",
	"ecr_repository_prefix", "upstream_registry_url", "upstream_repository_prefix", "credential_arn",
}

// blocks are the blocks that are read of them.
var blocks = []string{"image_tag_mutability_exclusion_filter", "image_scanning_configuration", "encryption_configuration", "replication_configuration"}

// resource reads a resource block of ECR.
func (m *module) resource(b *hclsyntax.Block) {
	address := b.Labels[0] + "." + b.Labels[1]
	place := at(b.TypeRange)
	if !slices.Contains([]string{repositoryType, lifecycleType, policyType, templateType, upstreamType, replicationType}, b.Labels[0]) {
		m.take(resource{kind: b.Labels[0], at: place, name: address})
		return
	}
	scopes, keys, bad := m.instances(b)
	if bad != nil {
		m.findf(bad.Position, "%s: %s; it is not read", address, bad.Message)
		return
	}
	for i, s := range scopes {
		x := resource{kind: b.Labels[0], at: place, name: address + keys[i], values: map[string]any{}, unknown: map[string]Finding{}}
		if p := b.Body.Attributes["provider"]; p != nil {
			x.provider = traversal(p.Expr)
		}
		for _, name := range attributes {
			if a := b.Body.Attributes[name]; a != nil {
				m.set(&x, name, a.Expr, s)
			}
		}
		for _, name := range blocks {
			list, bad := m.nested(b.Body, name, s)
			switch {
			case bad != nil:
				x.unknown[name] = *bad
			case len(list) > 0:
				x.values[name] = list
			}
		}
		if m.opts.Registry.Account != "" {
			x.values["registry_id"] = string(m.opts.Registry.Account)
		}
		if m.opts.Registry.Region != "" && x.provider == "" && x.values["region"] == nil {
			x.values["region"] = string(m.opts.Registry.Region)
		}
		m.take(x)
	}
}

// set sets an attribute to the value of an expression.
func (m *module) set(x *resource, name string, e hclsyntax.Expression, s scope) {
	v, bad := m.eval(e, s)
	if bad != nil {
		x.unknown[name] = *bad
		return
	}
	value, err := plainValue(v)
	if err != nil {
		x.unknown[name] = Finding{at(e.Range()), err.Error()}
		return
	}
	if value != nil {
		x.values[name] = value
	}
}

// nested are the blocks of a kind, those of dynamic blocks too, with their
// attributes.
func (m *module) nested(body *hclsyntax.Body, kind string, s scope) ([]any, *Finding) {
	var out []any
	add := func(b *hclsyntax.Body, s scope) *Finding {
		values := map[string]any{}
		for name, a := range b.Attributes {
			v, bad := m.eval(a.Expr, s)
			if bad != nil {
				return bad
			}
			value, err := plainValue(v)
			if err != nil {
				return &Finding{at(a.Expr.Range()), err.Error()}
			}
			values[name] = value
		}
		for _, inner := range b.Blocks {
			if inner.Type == "dynamic" && len(inner.Labels) == 1 || values[inner.Type] == nil {
				name := inner.Type
				if name == "dynamic" {
					name = inner.Labels[0]
				}
				list, bad := m.nested(b, name, s)
				if bad != nil {
					return bad
				}
				values[name] = list
			}
		}
		out = append(out, values)
		return nil
	}
	for _, b := range body.Blocks {
		if b.Type == kind {
			if bad := add(b.Body, s); bad != nil {
				return nil, bad
			}
			continue
		}
		if b.Type != "dynamic" || len(b.Labels) != 1 || b.Labels[0] != kind {
			continue
		}
		each, content := b.Body.Attributes["for_each"], (*hclsyntax.Block)(nil)
		for _, c := range b.Body.Blocks {
			if c.Type == "content" {
				content = c
			}
		}
		if each == nil || content == nil {
			return nil, &Finding{at(b.TypeRange), "this dynamic block has no for_each or content"}
		}
		v, bad := m.eval(each.Expr, s)
		if bad != nil {
			return nil, bad
		}
		if v.IsNull() || !v.CanIterateElements() {
			return nil, &Finding{at(each.Expr.Range()), "for_each is not a collection"}
		}
		iterator := kind
		if a := b.Body.Attributes["iterator"]; a != nil {
			iterator = traversal(a.Expr)
		}
		for k, x := range elements(v) {
			if v.Type().IsSetType() {
				k = x
			}
			inner := scope{iterator: cty.ObjectVal(map[string]cty.Value{"key": k, "value": x})}
			for name, v := range s {
				if name != iterator {
					inner[name] = v
				}
			}
			if bad := add(content.Body, inner); bad != nil {
				return nil, bad
			}
		}
	}
	return out, nil
}

func (m *module) local(name string, unknown func(string, ...any) *Finding) (cty.Value, *Finding) {
	l := m.locals[name]
	switch {
	case l == nil:
		return cty.NilVal, unknown("local.%s is not in the files", name)
	case l.busy:
		return cty.NilVal, unknown("local.%s refers to itself", name)
	case !l.done:
		l.busy = true
		l.value, l.bad = m.eval(l.expr, nil)
		l.busy, l.done = false, true
	}
	return l.value, l.bad
}

// repositoryValue is what a repository's block is to the blocks that refer to it:
// its names, and its address where the registry is known.
func (m *module) repositoryValue(label string, unknown func(string, ...any) *Finding) (cty.Value, *Finding) {
	address := repositoryType + "." + label
	if v, ok := m.names[address]; ok {
		return v, nil
	}
	b := m.byAddress[address]
	if b == nil {
		return cty.NilVal, unknown("%s is not in the files", address)
	}
	if m.busy[address] {
		return cty.NilVal, unknown("%s refers to itself", address)
	}
	m.busy[address] = true
	defer delete(m.busy, address)
	scopes, _, bad := m.instances(b)
	if bad != nil {
		return cty.NilVal, &Finding{at(b.TypeRange), ""} // said of the repository
	}
	var list []cty.Value
	byKey := map[string]cty.Value{}
	for _, s := range scopes {
		a := b.Body.Attributes["name"]
		if a == nil {
			return cty.NilVal, unknown("%s has no name", address)
		}
		name, bad := m.eval(a.Expr, s)
		if bad != nil {
			return cty.NilVal, &Finding{at(b.TypeRange), ""}
		}
		if name.IsNull() || name.Type() != cty.String {
			return cty.NilVal, unknown("the name of %s is not a string", address)
		}
		values := map[string]cty.Value{"name": name, "id": name}
		if in := m.opts.Registry; in.Account != "" && in.Region != "" && b.Body.Attributes["provider"] == nil {
			text := name.AsString()
			values["registry_id"] = cty.StringVal(string(in.Account))
			values["arn"] = cty.StringVal(in.RepositoryARN(ecr.RepositoryName(text)))
			values["repository_url"] = cty.StringVal(in.Host() + "/" + text)
		}
		v := cty.ObjectVal(values)
		list = append(list, v)
		if each, ok := s["each"]; ok {
			byKey[each.GetAttr("key").AsString()] = v
		}
	}
	var v cty.Value
	switch {
	case b.Body.Attributes["for_each"] != nil:
		v = cty.ObjectVal(byKey)
	case b.Body.Attributes["count"] != nil:
		v = cty.TupleVal(list)
	default:
		v = list[0]
	}
	m.names[address] = v
	return v, nil
}

// data is a data source: the caller, the region and the partition, and documents
// that it puts together.
func (m *module) data(kind, label string, unknown func(string, ...any) *Finding) (cty.Value, *Finding) {
	in := m.opts.Registry
	values := map[string]cty.Value{}
	switch kind {
	case "aws_caller_identity":
		if in.Account != "" {
			values["account_id"], values["id"] = cty.StringVal(string(in.Account)), cty.StringVal(string(in.Account))
		}
	case "aws_region":
		if in.Region != "" {
			for _, name := range []string{"name", "id", "region"} {
				values[name] = cty.StringVal(string(in.Region))
			}
		}
	case "aws_partition":
		if in.Region != "" {
			values["partition"], values["id"] = cty.StringVal(in.Region.Partition()), cty.StringVal(in.Region.Partition())
			values["dns_suffix"] = cty.StringVal(in.Region.DNSSuffix())
		}
	case "aws_iam_policy_document", "aws_ecr_lifecycle_policy_document":
		return m.documents(kind, label, unknown)
	default:
		return cty.NilVal, unknown("data.%s.%s is not known before Terraform runs", kind, label)
	}
	if len(values) == 0 {
		return cty.NilVal, unknown("data.%s.%s is not known: pass --account and --region", kind, label)
	}
	return cty.ObjectVal(values), nil
}
