package foreign

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/ecr"
)

const (
	cloudFormationRepository  = "AWS::ECR::Repository"
	cloudFormationReplication = "AWS::ECR::ReplicationConfiguration"
)

// template reads a template of CloudFormation.
func (r *reader) template(root *lang.Value) {
	t := &template{registry: r.opts.Registry, parameters: root.Get("Parameters")}
	for _, m := range root.Get("Resources").Members {
		if strings.HasPrefix(m.Key, "Fn::") {
			r.findf(m.At, "%s: it is not expanded, so its repositories are not read: pass the processed template (aws cloudformation get-template --template-stage Processed)", m.Key)
			continue
		}
		kind := text(m.Value, "Type")
		switch {
		case kind == cloudFormationRepository:
			r.repositoryOf(t, m)
		case kind == cloudFormationReplication:
			r.replicationOf(t, m)
		case strings.HasPrefix(kind, "AWS::ECR::"):
			r.findf(m.At, "%s: settings of registries are not read (%s)", m.Key, kind)
		}
	}
}

// repositoryOf reads a resource of a template.
func (r *reader) repositoryOf(t *template, m lang.Member) {
	if c := m.Value.Get("Condition"); c != nil {
		r.findf(c.At, "%s: it exists on a condition (%s); the repository is left out", m.Key, c.Text)
		return
	}
	properties := m.Value.Get("Properties")
	if properties == nil {
		properties = lang.NewMapping()
	}
	if properties.Get("RepositoryName") == nil {
		r.findf(m.At, "%s: without RepositoryName, CloudFormation makes up a name; the repository is left out: import it from the registry", m.Key)
		return
	}
	name := properties.Get("RepositoryName")
	part := func(kind string) resource {
		return resource{kind: kind, at: m.At, name: m.Key, values: map[string]any{}, unknown: map[string]Finding{}}
	}
	set := func(to resource, attribute string, v *lang.Value, form func(v any) any) {
		value, bad := t.value(v)
		switch {
		case bad != nil:
			to.unknown[attribute] = *bad
		case value != any(removed{}):
			if form != nil {
				value = form(value)
			}
			to.values[attribute] = value
		}
	}
	x := part(repositoryType)
	list := []resource{x}
	add := func(kind string, v *lang.Value) {
		p := part(kind)
		set(p, "policy", v, policyText)
		set(p, "repository", name, nil)
		if _, ok := p.values["policy"]; ok || len(p.unknown) > 0 {
			list = append(list, p)
		}
	}
	for _, p := range properties.Members {
		switch p.Key {
		case "RepositoryName":
			set(x, "name", p.Value, nil)
		case "ImageTagMutability":
			set(x, "image_tag_mutability", p.Value, nil)
		case "ImageTagMutabilityExclusionFilters":
			set(x, "image_tag_mutability_exclusion_filter", p.Value, each("filter", "ImageTagMutabilityExclusionFilterValue"))
		case "ImageScanningConfiguration":
			set(x, "image_scanning_configuration", p.Value, each("scan_on_push", "ScanOnPush"))
		case "EncryptionConfiguration":
			set(x, "encryption_configuration", p.Value, each("encryption_type", "EncryptionType", "kms_key", "KmsKey"))
		case "Tags":
			set(x, "tags", p.Value, tagsOf)
		case "LifecyclePolicy":
			text := p.Value.Get("LifecyclePolicyText")
			if text == nil && len(p.Value.Members) == 1 && strings.HasPrefix(p.Value.Members[0].Key, "Fn::") {
				text = p.Value // such as Fn::If
			}
			if text != nil {
				add(lifecycleType, text)
			}
		case "RepositoryPolicyText":
			add(policyType, p.Value)
		}
	}
	if _, bad := x.unknown["name"]; bad {
		list = list[:1]
	}
	for _, x := range list {
		r.take(x)
	}
}

// replicationOf reads the replication of a registry in a template.
func (r *reader) replicationOf(t *template, m lang.Member) {
	if c := m.Value.Get("Condition"); c != nil {
		r.findf(c.At, "%s: it exists on a condition (%s); the replication is left out", m.Key, c.Text)
		return
	}
	x := resource{kind: replicationType, at: m.At, name: m.Key, values: map[string]any{}, unknown: map[string]Finding{}}
	if in := t.registry; in.Account != "" {
		x.values["registry_id"], x.values["region"] = string(in.Account), string(in.Region)
	}
	var rules *lang.Value
	if p := m.Value.Get("Properties"); p != nil && p.Get("ReplicationConfiguration") != nil {
		rules = p.Get("ReplicationConfiguration").Get("Rules")
	}
	if rules == nil {
		r.findf(m.At, "%s: it has no rules; the replication is left out", m.Key)
		return
	}
	value, bad := t.value(rules)
	if bad != nil {
		x.unknown["replication_configuration"] = *bad
		r.take(x)
		return
	}
	var list []any
	for _, rule := range objects(value) {
		one := map[string]any{"destination": each("region", "Region", "registry_id", "RegistryId")(rule["Destinations"])}
		if rule["RepositoryFilters"] != nil {
			one["repository_filter"] = each("filter", "Filter", "filter_type", "FilterType")(rule["RepositoryFilters"])
		}
		list = append(list, one)
	}
	x.values["replication_configuration"] = map[string]any{"rule": list}
	r.take(x)
}

// each is a list of objects, or one, with other names for its members: pairs of the
// new and the old one.
func each(names ...string) func(v any) any {
	return func(v any) any {
		items, ok := v.([]any)
		if !ok {
			items = []any{v}
		}
		var out []any
		for _, item := range items {
			m, _ := item.(map[string]any)
			renamed := map[string]any{}
			for i := 0; i < len(names); i += 2 {
				if value, ok := m[names[i+1]]; ok {
					renamed[names[i]] = value
				}
			}
			out = append(out, renamed)
		}
		return out
	}
}

// tagsOf is a mapping of a list of tags.
func tagsOf(v any) any {
	out := map[string]any{}
	items, _ := v.([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			if k, ok := scalar(m["Key"]); ok {
				out[k] = m["Value"]
			}
		}
	}
	return out
}

// policyText is the text of a policy that is a string or an object. In an object,
// numbers are strings: account ids, which YAML takes for numbers.
func policyText(v any) any {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(numbersAsText(v))
	if err != nil {
		return fmt.Sprint(v) // which no engine can read, and says so
	}
	return string(b)
}

func numbersAsText(v any) any {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = numbersAsText(item)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, item := range v {
			out[k] = numbersAsText(item)
		}
		return out
	}
	return v
}

// template evaluates the functions of a template as far as its text and the registry
// say their values.
type template struct {
	registry   ecr.RegistryID
	parameters *lang.Value
}

// removed is the value of AWS::NoValue.
type removed struct{}

// value is v with functions evaluated, or what is not known of it.
func (t *template) value(v *lang.Value) (any, *Finding) {
	switch v.Kind {
	case lang.List:
		out := []any{}
		for _, item := range v.Items {
			x, bad := t.value(item)
			if bad != nil {
				return nil, bad
			}
			if x != any(removed{}) {
				out = append(out, x)
			}
		}
		return out, nil
	case lang.Mapping:
		if len(v.Members) == 1 {
			if m := v.Members[0]; m.Key == "Ref" || strings.HasPrefix(m.Key, "Fn::") {
				return t.call(m)
			}
		}
		out := map[string]any{}
		for _, m := range v.Members {
			x, bad := t.value(m.Value)
			if bad != nil {
				return nil, bad
			}
			if x != any(removed{}) {
				out[m.Key] = x
			}
		}
		return out, nil
	}
	return plain(v), nil
}

// call evaluates a function.
func (t *template) call(m lang.Member) (any, *Finding) {
	unknown := func(format string, args ...any) (any, *Finding) {
		return nil, &Finding{m.At, fmt.Sprintf(format, args...)}
	}
	arg := m.Value
	switch m.Key {
	case "Ref":
		if arg.Text == "AWS::NoValue" {
			return removed{}, nil
		}
		s, why := t.reference(arg.Text)
		if why != "" {
			return unknown("%s", why)
		}
		return s, nil
	case "Fn::Sub":
		return t.substitute(m)
	case "Fn::Join":
		if arg.Kind != lang.List || len(arg.Items) != 2 || arg.Items[0].Kind != lang.Text {
			break
		}
		list, bad := t.value(arg.Items[1])
		if bad != nil {
			return nil, bad
		}
		items, ok := list.([]any)
		if !ok {
			break
		}
		var words []string
		for _, item := range items {
			s, ok := scalar(item)
			if !ok {
				return unknown("%s joins something that is not a string", m.Key)
			}
			words = append(words, s)
		}
		return strings.Join(words, arg.Items[0].Text), nil
	case "Fn::ToJsonString":
		x, bad := t.value(arg)
		if bad != nil {
			return nil, bad
		}
		b, err := json.Marshal(x)
		if err != nil {
			break
		}
		return string(b), nil
	}
	return unknown("%s is not evaluated", m.Key)
}

// reference is what a name stands for, or why that is not known.
func (t *template) reference(name string) (value, why string) {
	in := t.registry
	pseudo := map[string]string{"AWS::AccountId": string(in.Account), "AWS::Region": string(in.Region)}
	if in.Region != "" {
		pseudo["AWS::Partition"], pseudo["AWS::URLSuffix"] = in.Region.Partition(), in.Region.DNSSuffix()
	}
	if s := pseudo[name]; s != "" {
		return s, ""
	}
	switch {
	case strings.HasPrefix(name, "AWS::Stack"):
		return "", name + " is not known"
	case strings.HasPrefix(name, "AWS::"):
		return "", name + " is not known: pass --account and --region"
	case t.parameters != nil && t.parameters.Get(name) != nil:
		return "", "parameter " + name + " has no value in the template"
	}
	return "", "what " + name + " refers to is not evaluated"
}

// substitute evaluates Fn::Sub, of a string or of a string and a mapping.
func (t *template) substitute(m lang.Member) (any, *Finding) {
	format, names := m.Value, (*lang.Value)(nil)
	if format.Kind == lang.List && len(format.Items) == 2 {
		format, names = m.Value.Items[0], m.Value.Items[1]
	}
	if format.Kind != lang.Text {
		return nil, &Finding{m.At, "Fn::Sub is not evaluated"}
	}
	var b strings.Builder
	rest := format.Text
	for {
		before, after, found := strings.Cut(rest, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, more, closed := strings.Cut(after, "}")
		if !closed {
			b.WriteString("${" + after)
			return b.String(), nil
		}
		rest = more
		name = strings.TrimSpace(name)
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			b.WriteString("${" + literal + "}")
			continue
		}
		if names != nil && names.Get(name) != nil {
			x, bad := t.value(names.Get(name))
			if bad != nil {
				return nil, bad
			}
			s, ok := scalar(x)
			if !ok {
				return nil, &Finding{m.At, fmt.Sprintf("Fn::Sub: %s is not a string", name)}
			}
			b.WriteString(s)
			continue
		}
		s, why := t.reference(name)
		if why != "" {
			return nil, &Finding{m.At, why}
		}
		b.WriteString(s)
	}
}
