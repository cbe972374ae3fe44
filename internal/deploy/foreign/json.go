package foreign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// wanted is what to say of a file that is none of those that are read.
const wanted = "this file is not read: want a state or plan of Terraform as JSON, Terraform code (.tf), or a CloudFormation template"

// document reads a file whose content says what it is.
func (r *reader) document(s lang.Source) {
	if strings.HasSuffix(strings.ToLower(s.Name), ".tf.json") || strings.HasSuffix(strings.ToLower(s.Name), ".tofu.json") {
		r.errorf(place(s), "Terraform code in JSON is not read: pass the output of terraform show -json")
		return
	}
	if text := bytes.TrimLeft(s.Data, " \t\r\n\ufeff"); bytes.HasPrefix(text, []byte("{")) && lang.Of(s.Name) != lang.JSON {
		named := s // such as terraform.tfstate
		named.Name += ".json"
		root, errs := lang.Parse(named)
		for _, e := range errs {
			e.File = s.Name
		}
		r.root(s, root, errs)
		return
	}
	if lang.Of(s.Name) == lang.HCL {
		r.errorf(place(s), "%s; the inputs of Terragrunt and .tfvars files with ecr_repositories are read by kontor plan -f", wanted)
		return
	}
	root, errs := lang.ParseCloudFormation(s)
	r.root(s, root, errs)
}

func (r *reader) root(s lang.Source, root *lang.Value, errs lang.Errors) {
	if len(errs) > 0 {
		r.errs = append(r.errs, errs...)
		return
	}
	rename(root, s.Name)
	version := root.Get("version")
	switch {
	case root.Get("Resources") != nil:
		r.template(root)
	case root.Get("format_version") != nil && root.Get("planned_values") != nil:
		r.shown(root, root.Get("planned_values"))
	case root.Get("format_version") != nil && root.Get("values") != nil:
		r.shown(root, root.Get("values"))
	case root.Get("format_version") != nil:
		r.errorf(root.At, "there are no resources in this output of terraform show")
	case root.Get("resources") != nil && version != nil && version.Text == "4":
		r.state(root)
	case version != nil && root.Get("terraform_version") != nil:
		r.errorf(version.At, "a Terraform state of version %s is not read: use terraform show -json", lang.Clip(version.Text))
	default:
		r.errorf(place(s), "%s", wanted)
	}
}

// rename says of all places that they are in the file name.
func rename(v *lang.Value, name string) {
	v.At.File = name
	for i := range v.Members {
		v.Members[i].At.File = name
		rename(v.Members[i].Value, name)
	}
	for _, item := range v.Items {
		rename(item, name)
	}
}

// state reads a state of version 4.
func (r *reader) state(root *lang.Value) {
	for _, x := range root.Get("resources").Items {
		kind, name, of := text(x, "type"), text(x, "name"), text(x, "module")
		if text(x, "mode") != "managed" || !strings.HasPrefix(kind, "aws_ecr") {
			continue
		}
		instances := x.Get("instances")
		if instances == nil {
			continue
		}
		for _, instance := range instances.Items {
			attributes := instance.Get("attributes")
			if attributes == nil || instance.Get("deposed") != nil && text(instance, "deposed") != "" {
				continue
			}
			address := kind + "." + name + index(instance.Get("index_key"))
			if of != "" {
				address = of + "." + address
			}
			r.add(resource{kind: kind, at: attributes.At, name: address, provider: text(x, "provider")}, attributes)
		}
	}
}

// shown reads what terraform show -json prints of a state or a plan.
func (r *reader) shown(root, values *lang.Value) {
	after := map[string]*lang.Value{} // what a plan does not know, by address
	if changes := root.Get("resource_changes"); changes != nil {
		for _, c := range changes.Items {
			if change := c.Get("change"); change != nil {
				after[text(c, "address")] = change.Get("after_unknown")
			}
		}
	}
	// Of a resource only the configuration has the alias of its provider, by an
	// address without keys.
	providers := map[string]string{}
	if c := root.Get("configuration"); c != nil {
		configured(c.Get("root_module"), "", providers)
	}
	var walk func(m *lang.Value)
	walk = func(m *lang.Value) {
		if m == nil {
			return
		}
		if list := m.Get("resources"); list != nil {
			for _, x := range list.Items {
				kind, attributes := text(x, "type"), x.Get("values")
				if text(x, "mode") != "managed" || !strings.HasPrefix(kind, "aws_ecr") || attributes == nil {
					continue
				}
				address := text(x, "address")
				n := resource{kind: kind, at: x.At, name: address, provider: providers[withoutKeys(address)], unknown: map[string]Finding{}}
				if u := after[address]; u != nil {
					for _, m := range u.Members {
						if !known(m.Value) {
							n.unknown[m.Key] = Finding{x.At, "it is known after apply only"}
						}
					}
				}
				delete(n.unknown, "tags_all") // not needed where tags are known
				if e := (&resource{values: map[string]any{"e": plainOf(attributes.Get("encryption_configuration"))}}).block("e"); e["encryption_type"] != "KMS" {
					delete(n.unknown, "encryption_configuration") // of a key that there is not
				}
				r.add(n, attributes)
			}
		}
		if list := m.Get("child_modules"); list != nil {
			for _, child := range list.Items {
				walk(child)
			}
		}
	}
	walk(values.Get("root_module"))
}

// known reports whether nothing in a value of after_unknown is true.
func known(v *lang.Value) bool {
	if v.True() {
		return false
	}
	for _, m := range v.Members {
		if !known(m.Value) {
			return false
		}
	}
	for _, item := range v.Items {
		if !known(item) {
			return false
		}
	}
	return true
}

// configured collects the providers of the resources of a module.
func configured(m *lang.Value, prefix string, out map[string]string) {
	if m == nil {
		return
	}
	if list := m.Get("resources"); list != nil {
		for _, x := range list.Items {
			out[prefix+text(x, "address")] = text(x, "provider_config_key")
		}
	}
	if calls := m.Get("module_calls"); calls != nil {
		for _, call := range calls.Members {
			configured(call.Value.Get("module"), prefix+"module."+call.Key+".", out)
		}
	}
}

// withoutKeys is an address without the keys of count and for_each.
func withoutKeys(address string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(address); i++ {
		c := address[i]
		switch {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case depth > 0 && c == '"':
			quoted = true
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// add adds a resource with its attributes.
func (r *reader) add(x resource, attributes *lang.Value) {
	x.values = map[string]any{}
	for _, m := range attributes.Members {
		x.values[m.Key] = plain(m.Value)
	}
	r.take(x)
}

// take adds a resource, if it is of a type that is read, and says so of settings of
// registries.
func (r *reader) take(x resource) {
	switch x.kind {
	case repositoryType, lifecycleType, policyType, templateType, upstreamType, replicationType:
		r.resources = append(r.resources, x)
	default:
		for _, t := range registryTypes {
			if x.kind == t {
				r.findf(x.at, "%s: settings of registries are not read", x.name)
			}
		}
	}
}

// place is the beginning of a file.
func place(s lang.Source) state.Position { return state.Position{File: s.Name, Line: 1, Column: 1} }

func text(v *lang.Value, key string) string {
	if m := v.Get(key); m != nil && m.Kind == lang.Text {
		return m.Text
	}
	return ""
}

// index is the key of an instance in its address.
func index(key *lang.Value) string {
	switch {
	case key == nil:
		return ""
	case key.Kind == lang.Text:
		return fmt.Sprintf("[%q]", key.Text)
	}
	return "[" + key.Text + "]"
}

// plainOf is plain, of nil too.
func plainOf(v *lang.Value) any {
	if v == nil {
		return nil
	}
	return plain(v)
}

// plain is v as encoding/json would have it, with json.Number for numbers.
func plain(v *lang.Value) any {
	switch v.Kind {
	case lang.Boolean:
		return v.True()
	case lang.Integer, lang.Number:
		return json.Number(v.Text)
	case lang.Text:
		return v.Text
	case lang.List:
		out := make([]any, len(v.Items))
		for i, item := range v.Items {
			out[i] = plain(item)
		}
		return out
	case lang.Mapping:
		out := make(map[string]any, len(v.Members))
		for _, m := range v.Members {
			out[m.Key] = plain(m.Value)
		}
		return out
	}
	return nil
}
