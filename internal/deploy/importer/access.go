package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/wording"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// access chooses the fields for a repository policy, "" for none.
func (w *writer) access(text string) chosen {
	c, ok := w.policies[text]
	if !ok {
		c = w.chooseAccess(text)
		w.policies[text] = c
	}
	return c
}

func (w *writer) chooseAccess(text string) chosen {
	if text == "" {
		return chosen{}
	}
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return chosen{err: fmt.Errorf("the repository policy cannot be read: %w", err)}
	}
	var notes []string
	if bare := repositoryActions(doc); !policy.Equal(doc, bare) {
		notes = append(notes, "the policy allows or denies actions that are not about a repository, such as ecr:GetAuthorizationToken; they have no effect there, and are left out")
		doc, text = bare, bare.String()
		if len(doc.Statements) == 0 {
			return chosen{notes: notes}
		}
	}
	why := noFields(doc.Statements)
	// A policy that Kontor wrote says by its Sids which fields made it.
	for _, ours := range []bool{true, false} {
		if ours && !slices.ContainsFunc(doc.Statements, madeByKontor) {
			continue
		}
		g := grantsOf(doc, w.observed.Target.Registry.Account, ours)
		if !g.any() {
			continue
		}
		c, reason := w.tryAccess(text, doc, g)
		if reason == "" {
			c.notes = append(notes, c.notes...)
			return c
		}
		why = reason
	}
	raw := settings{"repository_policy_json": document(doc.String(), "Statement")}
	switch r, err := w.compile("repository", raw); {
	case err != nil:
		return chosen{err: err}
	case !plan.EqualPolicy(text, r.Policy):
		return chosen{err: errors.New("the repository policy cannot be written as it is")}
	}
	c := chosen{fields: raw, notes: notes}
	if why != otherWording {
		c.above = []string{"Repository policy as it is: " + why + "."}
		c.notes = append(notes, "the repository policy is written as it is: "+why)
	}
	return c
}

// repositoryActions is doc without the actions that are not about a repository.
// Tools write them, ECR takes them, and they have no effect.
func repositoryActions(doc policy.Document) policy.Document {
	out := doc
	out.Statements = nil
	for _, s := range doc.Statements {
		named := len(s.Action)
		s.Action = slices.DeleteFunc(slices.Clone(s.Action), func(name string) bool {
			a, ok := policy.LookupAction(name)
			return ok && !a.Repository
		})
		if named == 0 || len(s.Action) > 0 {
			out.Statements = append(out.Statements, s)
		}
	}
	return out
}

// noFields says why no fields represent the first of the statements for which
// there are none.
func noFields(list []policy.Statement) string {
	for _, s := range list {
		if kindOf(s) == pulls && len(s.Condition) == 0 && len(s.Principal.Service) == 0 && !everyone(s.Principal) {
			continue
		}
		name := "a statement"
		if s.Sid != "" {
			name = "statement " + s.Sid
		}
		if s.Effect == policy.Deny {
			return name + " denies something"
		}
		switch actions := changing(s.Action); {
		case len(s.NotAction) > 0 || !s.NotPrincipal.IsZero():
			return name + " says what it does not allow"
		case everyone(s.Principal) && len(s.Condition) == 0:
			return name + " is for everyone"
		case len(s.Principal.Service) > 0 && len(s.Condition) == 0:
			return name + " lets " + s.Principal.Service[0] + " act for any account"
		case len(actions) > 0:
			return name + " allows " + strings.Join(actions, ", ")
		case kindOf(s) == halfPush:
			return name + " is for principals that may push, and not pull"
		}
		return name + " has a condition or actions that no field has"
	}
	return "no field has its statements"
}

func everyone(p policy.Principals) bool { return p.Everyone || slices.Contains(p.AWS, "*") }

// changing are actions that change more than pushing does, and wildcards.
func changing(actions []string) []string {
	push := []string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}
	return slices.DeleteFunc(slices.Clone(actions), func(name string) bool {
		a, ok := policy.LookupAction(name)
		return ok && (wording.Reads(a.Name) || slices.Contains(push, a.Name))
	})
}

func madeByKontor(s policy.Statement) bool { return strings.HasPrefix(s.Sid, "Kontor") }

// tryAccess makes the fields of g, or says why they do not represent the policy.
func (w *writer) tryAccess(text string, doc policy.Document, g grants) (chosen, string) {
	s := g.settings()
	r, err := w.compile("repository", s)
	if err != nil {
		return chosen{}, err.Error()
	}
	c := chosen{fields: s, above: accessSource(doc)}
	if plan.EqualPolicy(text, r.Policy) {
		return c, ""
	}
	if w.opts.Exact {
		return chosen{}, otherWording
	}
	var after policy.Document
	if r.Policy != "" {
		if after, err = policy.Parse([]byte(r.Policy)); err != nil {
			return chosen{}, err.Error()
		}
	}
	change := wording.CompareAccess(w.observed.Target.Registry, doc, after)
	if change.Right != "" {
		return chosen{}, "fields would change " + change.Right
	}
	if len(g.rest) > 0 {
		c.notes = append(c.notes, "a part of the repository policy is written as it is: "+noFields(g.rest))
	}
	if g.own {
		c.notes = append(c.notes, "the statement for the registry's own account is left out: identity policies decide there, so it has no effect (KON1003)")
	}
	if len(change.Lost) > 0 {
		c.notes = append(c.notes, "those who may pull or push lose "+strings.Join(change.Lost, ", ")+"; to keep them, use --exact")
	}
	if len(change.Gained) > 0 {
		c.notes = append(c.notes, "those who may pull also get "+strings.Join(change.Gained, ", "))
	}
	return c, ""
}

// grants are the parts of a repository policy that have fields.
type grants struct {
	pull, push   who
	orgs         []string
	own          bool               // a statement for the own account is left out
	rest         []policy.Statement // that have no fields
	pullServices []service
	pushServices []service
}

// who are accounts and the ARNs of roles and users.
type who struct{ accounts, arns []string }

func (w *who) add(principal string) {
	if id := policy.AccountOf(principal); id != "" {
		w.accounts = append(w.accounts, id)
		return
	}
	w.arns = append(w.arns, principal)
}

func (w who) has(principal string) bool {
	if id := policy.AccountOf(principal); id != "" {
		return slices.Contains(w.accounts, id)
	}
	return slices.Contains(w.arns, principal)
}

// service is an AWS service, and for whom it acts.
type service struct{ name, account, arn string }

// any reports whether g has anything for fields other than
// extra_policy_statements.
func (g grants) any() bool {
	return g.own || len(g.pull.accounts)+len(g.pull.arns)+len(g.push.accounts)+len(g.push.arns)+len(g.orgs)+len(g.pullServices)+len(g.pushServices) > 0
}

// kind is what a statement allows.
type kind int

const (
	other    kind = iota
	pulls         // and may read more
	pushes        // and pulls
	halfPush      // without pulling
)

// grantsOf takes doc apart. With ours, only the statements that Kontor made are
// for fields.
func grantsOf(doc policy.Document, own ecr.AccountID, ours bool) grants {
	var g grants
	var halves []policy.Statement
	for _, s := range doc.Statements {
		k := kindOf(s)
		switch {
		case ours && !madeByKontor(s), k == other:
			g.rest = append(g.rest, s)
		case onlyOwn(s, own):
			g.own = true
		case g.organizations(s, k), g.services(s, k):
		case len(s.Condition) > 0 || everyone(s.Principal) || len(s.Principal.AWS) == 0 ||
			len(s.Principal.Service)+len(s.Principal.Federated)+len(s.Principal.CanonicalUser) > 0:
			g.rest = append(g.rest, s)
		case k == halfPush:
			halves = append(halves, s)
		default:
			list := &g.pull
			if k == pushes {
				list = &g.push
			}
			for _, p := range s.Principal.AWS {
				list.add(p)
			}
		}
	}
	// Who may pull by one statement and do the rest by another may push.
	for _, s := range halves {
		if slices.ContainsFunc(s.Principal.AWS, func(p string) bool { return !g.pull.has(p) && !g.push.has(p) }) {
			g.rest = append(g.rest, s)
			continue
		}
		for _, p := range s.Principal.AWS {
			g.push.add(p)
		}
	}
	g.push = who{distinct(g.push.accounts), distinct(g.push.arns)}
	without := func(list, push []string) []string {
		return slices.DeleteFunc(distinct(list), func(p string) bool { return slices.Contains(push, p) })
	}
	g.pull = who{without(g.pull.accounts, g.push.accounts), without(g.pull.arns, g.push.arns)}
	g.orgs = distinct(g.orgs)
	return g
}

// onlyOwn reports whether a statement without conditions is for the own account
// as a whole.
func onlyOwn(s policy.Statement, own ecr.AccountID) bool {
	p := s.Principal
	return len(s.Condition) == 0 && len(p.AWS) > 0 && len(p.Service)+len(p.Federated)+len(p.CanonicalUser) == 0 &&
		!slices.ContainsFunc(p.AWS, func(a string) bool { return policy.AccountOf(a) != string(own) })
}

// kindOf is what an Allow of actions allows.
func kindOf(s policy.Statement) kind {
	if s.Effect != policy.Allow || len(s.NotAction) > 0 || !s.NotPrincipal.IsZero() || len(s.NotResource) > 0 ||
		len(s.Resource) > 0 && !slices.Equal(s.Resource, []string{"*"}) {
		return other
	}
	has := map[string]bool{}
	for _, name := range s.Action {
		a, ok := policy.LookupAction(name)
		if !ok {
			return other // a wildcard, or no action of ECR
		}
		has[a.Name] = true
	}
	push := 0
	for _, name := range []string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"} {
		if has[name] {
			push++
			delete(has, name)
		}
	}
	pull := has["ecr:BatchGetImage"] && has["ecr:GetDownloadUrlForLayer"]
	for name := range has {
		if !wording.Reads(name) {
			return other
		}
	}
	switch {
	case push == 0 && pull:
		return pulls
	case push == 4 && pull && has["ecr:BatchCheckLayerAvailability"]:
		return pushes
	case push == 4:
		return halfPush
	}
	return other
}

// organizations takes a statement for everyone in some organizations.
func (g *grants) organizations(s policy.Statement, k kind) bool {
	p := s.Principal
	if k != pulls || !p.Everyone && !slices.Equal(p.AWS, []string{"*"}) || len(p.Service)+len(p.Federated)+len(p.CanonicalUser) > 0 || len(s.Condition) != 1 {
		return false
	}
	c := s.Condition[0]
	if c.Operator != "StringEquals" || !strings.EqualFold(c.Key, "aws:PrincipalOrgID") {
		return false
	}
	g.orgs = append(g.orgs, c.Values...)
	return true
}

// services takes a statement for services that act for an account or a resource.
func (g *grants) services(s policy.Statement, k kind) bool {
	p := s.Principal
	if k != pulls && k != pushes || len(p.Service) == 0 || p.Everyone || len(p.AWS)+len(p.Federated)+len(p.CanonicalUser) > 0 {
		return false
	}
	accounts, arns := []string{""}, []string{""}
	for _, c := range s.Condition {
		switch {
		case strings.EqualFold(c.Key, "aws:SourceArn") && slices.Contains([]string{"ArnLike", "ArnEquals", "StringLike", "StringEquals"}, c.Operator) && arns[0] == "":
			arns = c.Values
		case strings.EqualFold(c.Key, "aws:SourceAccount") && c.Operator == "StringEquals" && accounts[0] == "":
			accounts = c.Values
		default:
			return false
		}
	}
	for _, name := range p.Service {
		for _, account := range accounts {
			for _, arn := range arns {
				if account == "" && arn == "" || arn != "" && !fields.SourceARN.MatchString(arn) {
					return false
				}
				if k == pushes {
					g.pushServices = append(g.pushServices, service{name, account, arn})
				} else {
					g.pullServices = append(g.pullServices, service{name, account, arn})
				}
			}
		}
	}
	return true
}

// settings are the fields of g.
func (g grants) settings() settings {
	s := settings{}
	list := func(field string, ids []string) {
		if len(ids) > 0 {
			s[field] = texts(ids)
		}
	}
	principals := func(field string, arns []string, services []service) {
		v := lang.NewList()
		for _, a := range arns {
			v.Items = append(v.Items, lang.NewText(a))
		}
		for _, x := range services {
			m := inline(lang.NewMapping().Add("service", lang.NewText(x.name)))
			if x.account != "" {
				m.Add("source_account", lang.NewText(x.account))
			}
			if x.arn != "" {
				m.Add("source_arn", lang.NewText(x.arn))
			}
			v.Items = append(v.Items, m)
		}
		if len(v.Items) > 0 {
			s[field] = v
		}
	}
	list("additional_pull_account_ids", g.pull.accounts)
	list("additional_push_account_ids", g.push.accounts)
	principals("pull_principals", g.pull.arns, g.pullServices)
	principals("push_principals", g.push.arns, g.pushServices)
	list("pull_organization_ids", g.orgs)
	if len(g.rest) > 0 {
		doc := document(policy.Document{Version: policy.Version2012, Statements: g.rest}.String(), "Statement")
		s["extra_policy_statements"] = doc.Get("Statement")
	}
	return s
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
