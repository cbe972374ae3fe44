package policy

import (
	"slices"
	"strings"
)

// Compiled is a Document prepared for evaluation. It is safe for concurrent use.
type Compiled struct {
	statements []statement
}

// Compile prepares doc, which may be changed afterwards. A document that breaks the
// grammar, which Validate refuses, compiles to its Deny statements alone, so it
// grants nothing.
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

// statement is a Statement prepared for evaluation.
type statement struct {
	index       int
	sid         string
	effect      Effect
	who         principals
	actions     []pattern
	notAction   bool
	resources   []arnPattern
	notResource bool
	anyResource bool // the statement has neither Resource nor NotResource
	conditions  []condition
}

func compileStatement(s Statement, index int, variables bool) statement {
	out := statement{index: index, sid: s.Sid, effect: s.Effect,
		notAction: s.NotAction != nil, notResource: s.NotResource != nil,
		anyResource: s.Resource == nil && s.NotResource == nil}
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
	return s.notAction && !s.emptyNot(len(s.actions))
}

// emptyNot reports whether a Not element with n entries allows nothing. An
// Allow with an empty one "provides no permissions" ("IAM policy validation
// check reference", Empty array action).
func (s *statement) emptyNot(n int) bool { return n == 0 && s.effect == Allow }

func (s *statement) matchesResource(e *evaluation) truth {
	if s.anyResource {
		return yes
	}
	before := len(e.keys)
	t := no
	for i := range s.resources {
		t = max(t, s.resources[i].matchesResource(e))
	}
	if t != maybe {
		e.keys = e.keys[:before]
	}
	switch {
	case !s.notResource:
		return t
	case s.emptyNot(len(s.resources)):
		return no
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
	empty               bool // it lists no principal at all
	accounts            []string
	aws                 []string // ARNs and unique ids
	services, federated []string
}

func compilePrincipals(p Principals, not bool) principals {
	out := principals{not: not, everyone: p.Everyone || slices.Contains(p.AWS, "*"),
		services: slices.Clone(p.Service), federated: slices.Clone(p.Federated)}
	out.empty = !out.everyone && len(p.AWS)+len(p.Service)+len(p.Federated)+len(p.CanonicalUser) == 0
	for _, s := range p.AWS {
		if id := AccountOf(s); id != "" {
			out.accounts = append(out.accounts, id)
		} else if s != "*" {
			out.aws = append(out.aws, s)
		}
	}
	return out
}

// naming is how a statement of a resource-based policy covers the caller.
type naming struct {
	grade grade
	// perhaps is a higher grade that depends on the name of the session, for a
	// caller that matches any session of its role; else notNamed.
	perhaps grade
}

// sessionName is the key that a Decision depends on when the name of the role
// session decides.
const sessionName = "sts:RoleSessionName"

// match is how a statement of the effect covers c. bounded says that c has a
// permissions boundary.
//
// NotPrincipal in an Allow excludes whom Principal would name. In a Deny it
// spares only those that are named on all of their levels, account, role and
// session, and no user or role with a permissions boundary ("AWS JSON policy
// elements: NotPrincipal").
func (p *principals) match(c *Caller, effect Effect, bounded bool) naming {
	named := p.named(c)
	if !p.not {
		return named
	}
	if effect == Allow {
		switch {
		case p.empty, named.grade != notNamed:
			return naming{}
		case named.perhaps != notNamed:
			return naming{perhaps: direct}
		}
		return naming{grade: direct}
	}
	spared := named.grade != notNamed
	switch c.Type {
	case User, RoleSession:
		if bounded {
			return naming{grade: direct}
		}
		if p.everyone {
			break
		}
		account := slices.Contains(p.accounts, c.Account)
		if c.Type == RoleSession {
			account = account && p.namesRole(c)
		}
		if account && named.perhaps == direct {
			return naming{perhaps: direct}
		}
		spared = account && named.grade == direct
	}
	if spared {
		return naming{}
	}
	return naming{grade: direct}
}

func (p *principals) named(c *Caller) naming {
	if p.everyone {
		return naming{grade: direct}
	}
	directly := func(list []string, name string) naming {
		if slices.Contains(list, name) {
			return naming{grade: direct}
		}
		return naming{}
	}
	var n naming
	switch c.Type {
	case Service:
		return directly(p.services, c.ARN)
	case Federated:
		return directly(p.federated, c.ARN)
	case RootUser:
		return directly(p.accounts, c.Account)
	case RoleSession:
		if c.AnySession {
			if p.namesSessionOf(c) {
				n.perhaps = direct
			}
		} else if slices.Contains(p.aws, c.ARN) {
			return naming{grade: direct}
		}
		if p.namesRole(c) {
			n.grade = role
			return n
		}
	case User:
		if slices.Contains(p.aws, c.ARN) || c.UniqueID != "" && slices.Contains(p.aws, c.UniqueID) {
			return naming{grade: direct}
		}
	}
	if slices.Contains(p.accounts, c.Account) {
		n.grade = account
	}
	return n
}

func (p *principals) namesRole(c *Caller) bool {
	return slices.Contains(p.aws, c.RoleARN) || c.UniqueID != "" && slices.Contains(p.aws, c.UniqueID)
}

// namesSessionOf reports whether p names a session of c's role.
func (p *principals) namesSessionOf(c *Caller) bool {
	prefix := c.ARN[:strings.LastIndexByte(c.ARN, '/')+1]
	return slices.ContainsFunc(p.aws, func(s string) bool { return prefix != "" && strings.HasPrefix(s, prefix) })
}
