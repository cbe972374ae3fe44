package spec

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// template is an entry of templates: the settings of the repositories that the
// registry creates below a prefix.
type template struct {
	declaration // its name is state.Below(prefix)
	prefix      string
	description string
	appliedFor  []ecr.CreationReason
	roleARN     setting[string]
	at          node // of the description, or of the entry
	whole       repository
}

// entries are the members of a mapping whose keys are prefixes, with the prefixes
// without the slash at their end. what says what the mapping leads to.
// taken are the prefixes that there are already.
func (r *reader) entries(n node, what string, taken map[string]state.Position, check func(string) string, each func(prefix string, item node)) {
	if n.Kind != lang.Mapping {
		r.wrong(n, "want a mapping from prefixes of repository names to %s, not %s", what, n)
		return
	}
	for _, m := range n.Members {
		prefix := strings.TrimSuffix(m.Key, "/")
		if why := check(m.Key); why != "" {
			r.errorf(m.At, n.path, "%q is not a prefix: %s", lang.Clip(m.Key), why)
			continue
		}
		item := node{m.Value, n.path.At(m.Key), m.At}
		if first, twice := taken[prefix]; twice {
			r.errorf(m.At, item.path, "given twice, first at %s", from(first, m.At))
			continue
		}
		taken[prefix] = m.At
		each(prefix, item)
	}
}

// templateMap reads templates.
func (r *reader) templateMap(n node) {
	r.templatesGiven = true
	if r.templatePrefixes == nil {
		r.templatePrefixes = map[string]state.Position{}
	}
	r.entries(n, "their settings", r.templatePrefixes, badTemplatePrefix, func(prefix string, item node) {
		r.templates = append(r.templates, r.template(prefix, item))
	})
}

func badTemplatePrefix(s string) string {
	if len(s) > fields.MaxTemplatePrefix || !fields.Prefix.MatchString(s) {
		return fmt.Sprintf("want the first part of repository names, such as team or team/apps, up to %d characters, or ROOT for all", fields.MaxTemplatePrefix)
	}
	return ""
}

func (r *reader) template(prefix string, n node) template {
	m := r.object(n, fields.Template)
	t := template{prefix: prefix, at: n, appliedFor: []ecr.CreationReason{ecr.CreateOnPush}}
	t.declaration = declaration{ecr.RepositoryName(state.Below(prefix)), n, r.settingsIn(m)}
	if v, ok := m["description"]; ok {
		t.at = v
		t.description, _ = r.text(v)
	}
	if v, ok := m["applied_for"]; ok {
		t.appliedFor = r.reasons(v)
	}
	if v, ok := m["role_arn"]; ok {
		t.roleARN = given(r.checked(v, func(s string) string { return badRole(s, "") }), v)
	}
	return t
}

// reasons reads applied_for.
func (r *reader) reasons(n node) []ecr.CreationReason {
	var out []ecr.CreationReason
	for _, item := range r.list(n, "reasons such as CREATE_ON_PUSH") {
		s, ok := r.text(item)
		if !ok {
			continue
		}
		reason := ecr.CreationReason(s)
		switch {
		case !slices.Contains(ecr.CreationReasons(), reason):
			r.wrong(item, "want CREATE_ON_PUSH, PULL_THROUGH_CACHE or REPLICATION, not %q", lang.Clip(s))
		case slices.Contains(out, reason):
			r.wrong(item, "%s is listed twice", s)
		default:
			out = append(out, reason)
		}
	}
	if n.Kind == lang.List && len(n.Items) == 0 {
		r.wrong(n, "want one reason at least, such as CREATE_ON_PUSH")
	}
	slices.Sort(out)
	return out
}

// with fills in the defaults, without those that templates do not have.
func (t template) with(defaults settings) template {
	defaults.scan, defaults.protection = setting[bool]{}, setting[bool]{}
	t.whole = t.declaration.with(defaults)
	return t
}

func (t template) compile(v variant, stack string) state.Template {
	r := v.compile(stack)
	r.Tags = map[string]string{}
	for key, value := range v.tags.value {
		r.Tags[key] = value // and no owner: the file does not name the repositories
	}
	r.ScanOnPush, r.Unprotected = nil, false
	return state.Template{
		Repository: r, Prefix: t.prefix, Description: t.description, Stack: stack,
		AppliedFor: slices.Clone(t.appliedFor), RoleARN: t.roleARN.value,
		Field: t.node.path.String(),
	}
}

// check looks for what is wrong only in the compiled settings.
func (t template) check(p *problems, v variant, stack string) {
	v.check(p)
	marked := state.Marked(t.description, stack)
	if n := utf8.RuneCountInString(marked); n > state.MaxDescription {
		p.errorf(t.at.key, t.at.path, "the description has %d characters with the mark of the stack that Kontor adds; ECR allows %d", n, state.MaxDescription)
	}
	if _, other := state.Unmarked(t.description); other != "" {
		p.errorf(t.at.key, t.at.path, "leave out the mark [%s=...]: Kontor adds it", state.TagStack)
	}
	if key := v.encryption.value.KMSKey; key != "" && !strings.HasPrefix(key, "arn:") {
		p.failf(v.encryption.by, "a template takes the ARN of a key, such as arn:aws:kms:us-east-2:111111111111:key/..., not an id or alias")
	}
	for _, target := range v.targets {
		if role := t.roleARN.value; role != "" && !target.Local {
			if why := badRole(role, target.Registry.Region); why != "" {
				p.failf(t.roleARN.by, "%s", why)
			} else if account := policyAccount(role); account != string(target.Registry.Account) {
				p.failf(t.roleARN.by, "the role is of account %s, but registry %s is of %s", account, target.Name, target.Registry.Account)
			}
		}
		if target.Local || target.Endpoint != "" || t.roleARN.given {
			continue
		}
		// ECR user guide, "Repository creation templates"
		switch {
		case len(v.tags.value) > 0:
			p.failf(v.tags.by, "ECR sets the tags of a template with a role: give role_arn in templates[%q], or tags: {} there", t.prefix)
		case v.encryption.value.KMSKey != "" || strings.HasPrefix(v.encryption.value.Type, "KMS"):
			p.failf(v.encryption.by, "ECR uses the key of a template with a role: give role_arn in templates[%q]", t.prefix)
		}
	}
}
