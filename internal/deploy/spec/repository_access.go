package spec

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// accessFields are the fields that make the repository policy.
type accessSettings struct {
	pull           setting[[]grant]
	push           setting[[]grant]
	pullPrincipals setting[[]principal]
	pushPrincipals setting[[]principal]
	organizations  setting[[]string]
	extra          setting[policyDocument]
	policyText     setting[policyDocument]
}

// grant is an entry of a list of accounts.
type grant struct {
	account ecr.AccountID
	by      state.Origin
}

// principal is an entry of pull_principals or push_principals: an ARN, or a
// service and for whom it acts.
type principal struct {
	arn           string
	service       string
	sourceAccount ecr.AccountID
	sourceARN     string
	by            state.Origin
}

// over is f with the defaults d. A policy represents all of the access fields
// together, so a default one counts only where f gives none of them.
func (f accessSettings) over(d accessSettings) accessSettings {
	if f.pull.given || f.push.given || f.pullPrincipals.given || f.pushPrincipals.given || f.organizations.given || f.extra.given || f.policyText.given {
		d.policyText = setting[policyDocument]{}
	}
	return accessSettings{
		pull:           f.pull.or(d.pull),
		push:           f.push.or(d.push),
		pullPrincipals: f.pullPrincipals.or(d.pullPrincipals),
		pushPrincipals: f.pushPrincipals.or(d.pushPrincipals),
		organizations:  f.organizations.or(d.organizations),
		extra:          f.extra.or(d.extra),
		policyText:     f.policyText.or(d.policyText),
	}
}

func (d decoder) accessSettings(m map[string]node) accessSettings {
	var f accessSettings
	if v, ok := m["additional_pull_account_ids"]; ok {
		f.pull = given(d.accounts(v), v)
	}
	if v, ok := m["additional_push_account_ids"]; ok {
		f.push = given(d.accounts(v), v)
	}
	if v, ok := m["pull_principals"]; ok {
		f.pullPrincipals = given(d.principals(v), v)
	}
	if v, ok := m["push_principals"]; ok {
		f.pushPrincipals = given(d.principals(v), v)
	}
	if v, ok := m["pull_organization_ids"]; ok {
		f.organizations = given(d.organizations(v), v)
	}
	if v, ok := m["extra_policy_statements"]; ok {
		if doc, ok := d.statements(v); ok {
			f.extra = given(doc, v)
		}
	}
	if v, ok := m["repository_policy_json"]; ok {
		if doc, ok := d.policyDocument(v); ok {
			f.policyText = given(doc, v)
		}
		if other, ok := m["extra_policy_statements"]; ok {
			d.errorf(other.key, other.path, "cannot be combined with repository_policy_json, which is a complete policy; remove one of them")
		}
	}
	return f
}

func (d decoder) accounts(n node) []grant {
	var out []grant
	first := map[ecr.AccountID]state.Position{}
	for _, item := range d.list(n, "account ids") {
		if item.Kind == lang.Text && fields.PrincipalARN.MatchString(item.Text) {
			d.wrong(item, "%q is a role, a user or a session; it goes into pull_principals or push_principals", lang.Clip(item.Text))
			continue
		}
		if item.Kind == lang.Text && item.Text == "*" {
			d.wrong(item, "* is not an account id; name each account, or an organization in pull_organization_ids")
			continue
		}
		id, ok := d.account(item)
		if !ok {
			continue
		}
		if at, twice := first[id]; twice {
			d.wrong(item, "account %s is given twice, first at %s", id, from(at, item.At))
			continue
		}
		first[id] = item.At
		out = append(out, grant{id, item.origin()})
	}
	return out
}

func (d decoder) principals(n node) []principal {
	var out []principal
	first := map[principal]state.Position{}
	for _, item := range d.list(n, "ARNs of roles and users, and of services {service, source_account, source_arn}") {
		p, ok := d.principal(item)
		if !ok {
			continue
		}
		key := p
		key.by = state.Origin{}
		if at, twice := first[key]; twice {
			d.wrong(item, "this principal is given twice, first at %s", from(at, item.At))
			continue
		}
		first[key] = item.At
		out = append(out, p)
	}
	return out
}

func (d decoder) principal(n node) (principal, bool) {
	p := principal{by: n.origin()}
	if n.Kind == lang.Mapping {
		return d.service(n)
	}
	if n.Kind != lang.Text {
		if n.Kind == lang.Integer {
			d.wrong(n, "want the ARN of a role or user, not %s; a whole account goes into additional_pull_account_ids or additional_push_account_ids", n)
		} else {
			d.wrong(n, "want the ARN of a role or user, or a service {service, source_account, source_arn}, not %s", n)
		}
		return p, false
	}
	switch s := n.Text; {
	case policy.AccountOf(s) != "":
		d.wrong(n, "%s is a whole account; it goes into additional_pull_account_ids or additional_push_account_ids", policy.AccountOf(s))
	case fields.ServiceName.MatchString(s):
		d.wrong(n, "say for which account or resource the service acts: {service: %s, source_account: \"111111111111\"}, or source_arn", s)
	case strings.ContainsAny(s, "*?"):
		d.wrong(n, "%q: ECR does not allow wildcards in principals; name each one, or an organization in pull_organization_ids", lang.Clip(s))
	case !fields.PrincipalARN.MatchString(s) || len(s) > fields.MaxARN:
		d.wrong(n, "%q is not the ARN of a role or user; want one such as arn:aws:iam::333333333333:role/web", lang.Clip(s))
	default:
		p.arn = s
		return p, true
	}
	return p, false
}

// service reads a principal that is an AWS service.
func (d decoder) service(n node) (principal, bool) {
	p, before := principal{by: n.origin()}, len(d.errs)
	m := d.object(n, fields.Principal)
	if len(d.errs) == before && d.need(n, m, "a service principal", "service") {
		if _, ok := m["source_account"]; !ok {
			if _, ok := m["source_arn"]; !ok {
				d.errorf(n.At, n.path, "a service acts for any account; restrict it with source_account, source_arn or both")
			}
		}
	}
	if v, ok := m["service"]; ok {
		if s, ok := d.text(v); ok && !fields.ServiceName.MatchString(s) {
			d.wrong(v, "%q is not a service; want a name such as codebuild.amazonaws.com", lang.Clip(s))
		} else {
			p.service = s
		}
	}
	if v, ok := m["source_account"]; ok {
		p.sourceAccount, _ = d.account(v)
	}
	if v, ok := m["source_arn"]; ok {
		s, ok := d.text(v)
		switch {
		case !ok:
		case !fields.SourceARN.MatchString(s) || len(s) > fields.MaxARN:
			d.wrong(v, "%q is not an ARN; want one such as arn:aws:lambda:us-east-2:333333333333:function:*", lang.Clip(s))
		case p.sourceAccount == "" && strings.ContainsAny(strings.SplitN(s, ":", 6)[4], "*?"):
			d.wrong(v, "%q matches resources of any account; name the account in it, or in source_account", lang.Clip(s))
		}
		p.sourceARN = s
	}
	return p, len(d.errs) == before
}

func (d decoder) organizations(n node) []string {
	var out []string
	first := map[string]state.Position{}
	for _, item := range d.list(n, "ids of organizations") {
		s, ok := d.text(item)
		if !ok {
			continue
		}
		at, twice := first[s]
		switch {
		case !fields.OrganizationID.MatchString(s):
			d.wrong(item, "%q is not the id of an organization; want one such as o-a1b2c3d4e5", lang.Clip(s))
		case twice:
			d.wrong(item, "organization %s is given twice, first at %s", s, from(at, item.At))
		default:
			first[s] = item.At
			out = append(out, s)
		}
	}
	return out
}

// condition is what p requires of a request in addition to its principal.
func (p principal) condition() []policy.Condition {
	var out []policy.Condition
	if p.sourceARN != "" {
		out = append(out, policy.Condition{Operator: "ArnLike", Key: "aws:SourceArn", Values: []string{p.sourceARN}})
	}
	if p.sourceAccount != "" {
		out = append(out, policy.Condition{Operator: "StringEquals", Key: "aws:SourceAccount", Values: []string{string(p.sourceAccount)}})
	}
	return out
}

// partition is that of an ARN.
func partitionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 3)
	if len(parts) < 3 || parts[0] != "arn" {
		return ""
	}
	return parts[1]
}

// serviceSid names the statement of the i-th service of a list.
func serviceSid(sid string, i int) string { return fmt.Sprintf("%sService%d", sid, i+1) }
