package rollout

import (
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// RegistrySetting is a template, an upstream rule, a signer or a receiver of events that
// changes, or the replication.
type RegistrySetting struct {
	// Name is "template team/*" or "upstream docker-hub/*".
	Name     string    `json:"name"`
	Op       plan.Op   `json:"op"`
	Settings []Setting `json:"settings,omitempty"`
	// Effect says in a sentence, without its full stop, what the change does.
	Effect string `json:"effect"`
}

func registrySettings(p plan.Plan) []RegistrySetting {
	var out []RegistrySetting
	for _, c := range p.PendingTemplates() {
		out = append(out, templateSetting(c))
	}
	for _, c := range p.PendingUpstreams() {
		out = append(out, upstreamSetting(c))
	}
	for _, c := range p.PendingSigners() {
		out = append(out, signerSetting(c))
	}
	for _, c := range p.PendingReceivers() {
		out = append(out, receiverSetting(c))
	}
	if c, ok := p.PendingReplication(); ok {
		out = append(out, replicationSetting(c))
	}
	return out
}

// replicationSetting tells each rule, destination and account that changes.
func replicationSetting(c plan.ReplicationChange) RegistrySetting {
	before, after := plan.Replication{}, plan.Replication{}
	if c.Before != nil {
		before = *c.Before
	}
	if c.After != nil {
		after = *c.After
	}
	out := RegistrySetting{Name: "replication", Op: c.Op, Effect: c.Effect}
	if c.Op == plan.OpDelete {
		return out
	}
	list := func(field plan.Field, before, after map[string]string) {
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if now, ok := after[key]; !ok {
				out.Settings = append(out.Settings, Setting{Field: field, Key: key, Action: plan.Remove, Before: before[key]})
			} else if now != before[key] {
				out.Settings = append(out.Settings, Setting{Field: field, Key: key, Action: plan.Modify, Before: before[key], After: now})
			}
		}
		for _, key := range slices.Sorted(maps.Keys(after)) {
			if _, ok := before[key]; !ok {
				out.Settings = append(out.Settings, Setting{Field: field, Key: key, Action: plan.Add, After: after[key]})
			}
		}
	}
	rules := func(action plan.Action, of, other plan.Replication) {
		for _, x := range of.Rules {
			if slices.ContainsFunc(other.Rules, func(y plan.ReplicationRule) bool { return x.String() == y.String() }) {
				continue
			}
			s := Setting{Field: "rule", Action: action, After: x.String()}
			if action == plan.Remove {
				s.Before, s.After = s.After, ""
			}
			out.Settings = append(out.Settings, s)
		}
	}
	options := func(r plan.Replication) map[string]string {
		m := map[string]string{}
		for to, o := range r.Options {
			m[to] = o.String()
		}
		return m
	}
	accounts := func(r plan.Replication) map[string]string {
		m := map[string]string{}
		for account, text := range r.Accounts {
			m[account] = plan.GrantWords(text)
		}
		return m
	}
	rules(plan.Remove, before, after)
	rules(plan.Add, after, before)
	list("destination", options(before), options(after))
	list("account", accounts(before), accounts(after))
	return out
}

func templateSetting(c plan.TemplateChange) RegistrySetting {
	before, after := plan.Template{}, plan.Template{}
	change := plan.Change{Op: c.Op}
	if c.Before != nil {
		before = *c.Before
		change.Before = &before.Settings
	}
	if c.After != nil {
		after = *c.After
		change.After = &after.Settings
	}
	out := RegistrySetting{Name: "template " + state.Below(c.Prefix), Op: c.Op, Effect: c.Effect}
	for _, d := range c.Differences {
		s := Setting{Field: d.Field, Action: d.Action}
		switch d.Field {
		case plan.FieldDescription:
			s.Before, s.After = before.Description, after.Description
		case plan.FieldAppliedFor:
			s.Before, s.After = plan.Reasons(before.AppliedFor), plan.Reasons(after.AppliedFor)
		case plan.FieldRole:
			s.Before, s.After = before.RoleARN, after.RoleARN
		default:
			change.Differences = []plan.Difference{d}
			of := NewChange(change).Settings[0]
			if d.Field == plan.FieldEncryption && change.Before != nil {
				of.Before = before.Settings.Encryption.String()
			}
			out.Settings = append(out.Settings, of)
			continue
		}
		out.Settings = append(out.Settings, s)
	}
	return out
}

func upstreamSetting(c plan.UpstreamChange) RegistrySetting {
	before, after := plan.Upstream{}, plan.Upstream{}
	if c.Before != nil {
		before = *c.Before
	}
	if c.After != nil {
		after = *c.After
	}
	out := RegistrySetting{Name: "upstream " + state.Below(c.Prefix), Op: c.Op, Effect: c.Effect}
	for _, d := range c.Differences {
		s := Setting{Field: d.Field, Action: d.Action, Before: before.RoleARN, After: after.RoleARN}
		if d.Field == plan.FieldCredential {
			s.Before, s.After = before.CredentialARN, after.CredentialARN
		}
		out.Settings = append(out.Settings, s)
	}
	return out
}

func receiverSetting(c plan.EventReceiverChange) RegistrySetting {
	before, after := plan.EventReceiver{}, plan.EventReceiver{}
	if c.Before != nil {
		before = *c.Before
	}
	if c.After != nil {
		after = *c.After
	}
	out := RegistrySetting{Name: "event receiver " + c.Name, Op: c.Op, Effect: c.Effect}
	list := func(patterns []string) string {
		if len(patterns) == 0 {
			return "all"
		}
		return strings.Join(patterns, ", ")
	}
	for _, d := range c.Differences {
		s := Setting{Field: d.Field, Action: d.Action}
		switch d.Field {
		case plan.FieldURL:
			s.Before, s.After = before.URL, after.URL
		case plan.FieldFormat:
			s.Before, s.After = before.Format, after.Format
		case plan.FieldTypes:
			s.Before, s.After = list(before.Types), list(after.Types)
		default:
			s.Before, s.After = list(before.Repositories), list(after.Repositories)
		}
		out.Settings = append(out.Settings, s)
	}
	return out
}

func signerSetting(c plan.SignerChange) RegistrySetting {
	before, after := plan.Signer{}, plan.Signer{}
	if c.Before != nil {
		before = *c.Before
	}
	if c.After != nil {
		after = *c.After
	}
	out := RegistrySetting{Name: "signer " + c.Name, Op: c.Op, Effect: c.Effect}
	for _, d := range c.Differences {
		s := Setting{Field: d.Field, Action: d.Action, Before: before.Where(), After: after.Where()}
		if d.Field == plan.FieldKnownBy {
			s.Before, s.After = before.Known(), after.Known()
			if s.Before == s.After {
				s.Before = "another " + s.Before
			}
		}
		out.Settings = append(out.Settings, s)
	}
	return out
}
