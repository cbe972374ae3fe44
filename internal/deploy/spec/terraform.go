package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// Files of Terraform and Terragrunt hold the variables of modules, of which
// only some are fields.

// notRead says what to do about a file that is in no language of ours; "" for
// others.
func notRead(name string) string {
	name = strings.ToLower(name)
	switch {
	case strings.HasSuffix(name, ".tf"), strings.HasSuffix(name, ".tf.json"), strings.HasSuffix(name, ".tofu"):
		return "Terraform code is not read; put ecr_repositories into a .tfvars file"
	case strings.HasSuffix(name, ".toml"):
		return "TOML is not read; write the file as YAML, JSON or HCL"
	}
	return ""
}

// variables reports whether the file called name holds Terraform's variables.
func variables(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".tfvars") || strings.HasSuffix(name, ".tfvars.json")
}

// terragrunt reports whether the file called name is a configuration of
// Terragrunt, which gives a module its variables as inputs.
func terragrunt(name string, root *lang.Value) bool {
	if root == nil || lang.Of(name) != lang.HCL || variables(name) || root.Get("ecr_repositories") != nil {
		return false
	}
	return root.Get("inputs") != nil || path.Base(strings.ReplaceAll(name, `\`, "/")) == "terragrunt.hcl"
}

// inputs are those of a configuration of Terragrunt; nil when they cannot be
// read. What else the file has, and what is wrong with that, does not matter.
func (r *reader) inputs(root *lang.Value, errs lang.Errors) *lang.Value {
	i := slices.IndexFunc(root.Members, func(m lang.Member) bool { return m.Key == "inputs" })
	if i < 0 {
		r.declared = true // said in other words
		r.errorf(root.At, nil, "this is a Terragrunt configuration without inputs; Kontor reads inputs = { ecr_repositories = { ... } }")
		return nil
	}
	in := root.Members[i]
	if in.Value.Kind == lang.Broken {
		r.declared = true
		r.errorf(in.Value.At, []any{in.Key}, "Terragrunt's functions are not evaluated; write inputs = { ecr_repositories = { ... } }, or put ecr_repositories into a .tfvars file")
		return nil
	}
	names := fields.Names("")
	for _, e := range errs {
		field, inside := strings.CutPrefix(e.Field, "inputs.")
		name, _, _ := strings.Cut(field, ".")
		name, _, _ = strings.Cut(name, "[")
		if e.Field == "" || inside && slices.Contains(names, name) {
			r.errs = append(r.errs, &Error{Position: e.Position, Field: field, Message: e.Message})
		}
	}
	r.notef(state.Origin{Field: in.Key, Position: in.At}, CodeTerragrunt, "this is a Terragrunt configuration: only its inputs are read")
	return in.Value
}

// fieldsAmong is what of the variables in root is ours: others are left out,
// with a notice.
func (r *reader) fieldsAmong(root node) node {
	if root.Kind != lang.Mapping {
		return root
	}
	names := fields.Names("")
	ours := *root.Value
	ours.Members = nil
	for _, m := range root.Members {
		if slices.Contains(names, m.Key) {
			ours.Members = append(ours.Members, m)
			continue
		}
		hint := ""
		if near := fields.Nearest(m.Key, names); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		r.notef(state.Origin{Field: root.path.At(m.Key).String(), Position: m.At}, CodeOtherVariable, "this variable is not a Kontor field, and is ignored%s", hint)
	}
	root.Value = &ours
	return root
}
