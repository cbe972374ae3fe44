package policy

import "slices"

// Compiled is a Document, ready to be evaluated any number of times, also
// concurrently.
type Compiled struct {
	statements []statement
}

// Compile prepares doc, which may be changed afterwards. Of a document that is
// against the grammar, which Validate refuses, Compiled has the Deny
// statements only: it grants nothing.
func Compile(doc Document) *Compiled {
	valid := len(grammar(doc, nil)) == 0
	c := &Compiled{}
	for i, s := range doc.Statements {
		if valid || s.Effect != Allow {
			c.statements = append(c.statements, compileStatement(s, i, doc.Version == Version2012))
		}
	}
	return c
}

// statement is a Statement, ready to be evaluated.
type statement struct {
	index       int
	sid         string
	effect      Effect
	who         principals
	actions     []pattern
	notAction   bool
	resources   []arnPattern // of none, any resource
	notResource bool
	conditions  []condition
}

func compileStatement(s Statement, index int, variables bool) statement {
	out := statement{index: index, sid: s.Sid, effect: s.Effect,
		notAction: s.NotAction != nil, notResource: s.NotResource != nil}
	if out.effect != Allow {
		out.effect = Deny
	}
	out.who = compilePrincipals(s.Principal, false)
	if !s.NotPrincipal.IsZero() {
		out.who = compilePrincipals(s.NotPrincipal, true)
	}
	for _, list := range [][]string{s.Action, s.NotAction} {
		for _, a := range list {
			out.actions = append(out.actions, compilePattern(a, true, false))
		}
	}
	for _, list := range [][]string{s.Resource, s.NotResource} {
		for _, r := range list {
			out.resources = append(out.resources, compileARN(r, variables))
		}
	}
	for _, c := range s.Condition {
		out.conditions = append(out.conditions, compileCondition(c, variables))
	}
	return out
}

func (s *statement) matchesAction(e *evaluation) bool {
	for i := range s.actions {
		if s.actions[i].matches(e, e.r.Action, true) == yes {
			return !s.notAction
		}
	}
	return s.notAction
}

func (s *statement) matchesResource(e *evaluation) truth {
	if s.resources == nil {
		return yes
	}
	before := len(e.keys)
	e.unresolved = false
	t := no
	for i := range s.resources {
		t = max(t, s.resources[i].matches(e, &e.parts, e.isARN))
	}
	if t != maybe {
		e.keys = e.keys[:before]
	}
	switch {
	case !s.notResource:
		return t
	case e.unresolved && s.effect == Allow:
		return no // as with negated operators of conditions
	}
	return t.not()
}

// matchesConditions also returns the first that does not hold, nil for none.
func (s *statement) matchesConditions(e *evaluation) (truth, *condition) {
	t := yes
	for i := range s.conditions {
		c := &s.conditions[i]
		switch c.holds(e, s.effect) {
		case no:
			return no, c
		case maybe:
			t = maybe
		}
	}
	return t, nil
}

// grade is how directly a resource-based policy names the caller. In one
// account, it decides what else is needed.
type grade uint8

const (
	notNamed grade = iota
	account        // by the account: it delegates to the account's own policies
	role           // by the role of a session
	direct         // by the user, the session, the service, or with everyone
)

// principals is a Principal or NotPrincipal element.
type principals struct {
	not, everyone       bool
	accounts            []string
	aws                 []string // ARNs and unique ids
	services, federated []string
}

func compilePrincipals(p Principals, not bool) principals {
	out := principals{not: not, everyone: p.Everyone || slices.Contains(p.AWS, "*"),
		services: slices.Clone(p.Service), federated: slices.Clone(p.Federated)}
	for _, s := range p.AWS {
		if id := AccountOf(s); id != "" {
			out.accounts = append(out.accounts, id)
		} else if s != "*" {
			out.aws = append(out.aws, s)
		}
	}
	return out
}

// match is the grade by which a statement of the effect covers c.
//
// NotPrincipal in an Allow excludes whom Principal would name. In a Deny it
// spares only those that are named on all of their levels, account, role and
// session ("AWS JSON policy elements: NotPrincipal").
func (p *principals) match(c *Caller, effect Effect) grade {
	if !p.not {
		return p.named(c)
	}
	spared := p.named(c) != notNamed
	if effect == Deny && !p.everyone {
		switch c.Type {
		case User:
			spared = slices.Contains(p.accounts, c.Account) && p.named(c) == direct
		case RoleSession:
			spared = slices.Contains(p.accounts, c.Account) && p.namesRole(c) && p.named(c) == direct
		}
	}
	if spared {
		return notNamed
	}
	return direct
}

func (p *principals) named(c *Caller) grade {
	if p.everyone {
		return direct
	}
	switch c.Type {
	case Service:
		if slices.Contains(p.services, c.ARN) {
			return direct
		}
		return notNamed
	case Federated:
		if slices.Contains(p.federated, c.ARN) {
			return direct
		}
		return notNamed
	case RootUser:
		if slices.Contains(p.accounts, c.Account) {
			return direct
		}
		return notNamed
	case RoleSession:
		if slices.Contains(p.aws, c.ARN) {
			return direct
		}
		if p.namesRole(c) {
			return role
		}
	case User:
		if slices.Contains(p.aws, c.ARN) || c.UniqueID != "" && slices.Contains(p.aws, c.UniqueID) {
			return direct
		}
	}
	if slices.Contains(p.accounts, c.Account) {
		return account
	}
	return notNamed
}

func (p *principals) namesRole(c *Caller) bool {
	return slices.Contains(p.aws, c.RoleARN) || c.UniqueID != "" && slices.Contains(p.aws, c.UniqueID)
}
