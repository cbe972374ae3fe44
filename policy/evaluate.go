package policy

import (
	"slices"
	"strings"
)

// getAuthorizationToken concerns the caller's account, and only identity-based
// policies can allow it (Amazon ECR user guide, "Private repository policies").
const getAuthorizationToken = "ecr:GetAuthorizationToken"

// Evaluate decides r as AWS does. By default nothing is allowed; a Deny that
// applies wins over every Allow; within one account either side may allow,
// across accounts both must; what limits the caller's own policies (boundary,
// session, organization) limits them here. docs/design/0012-policy-evaluation.md
// has the rules and their sources.
func Evaluate(r Request) Decision {
	e := evaluation{r: &r, owner: r.Owner, token: strings.EqualFold(r.Action, getAuthorizationToken)}
	if e.owner == "" || e.token {
		e.owner = r.Principal.Account
	}
	e.parts, e.isARN = splitParts(r.Resource)
	e.colons = strings.Count(r.Resource, ":")

	e.policies(&e.identity, IdentityBased, r.Identity)
	if r.Boundary.Policy != nil {
		e.policy(&e.boundary, BoundaryPolicy, r.Boundary)
	}
	e.policies(&e.session, SessionPolicy, r.Session)
	e.organization = allow{sure: true, maybe: true}
	for _, level := range r.ServiceControl {
		var a allow
		e.policies(&a, ServiceControlled, level)
		e.organization.sure = e.organization.sure && a.sure
		e.organization.maybe = e.organization.maybe && (a.sure || a.maybe)
		e.organization.keys = append(e.organization.keys, a.keys...)
	}
	e.policies(nil, ResourceBased, r.ResourceBased)
	return e.decide()
}

// evaluation is the state of one Evaluate.
type evaluation struct {
	r      *Request
	owner  string
	token  bool // getAuthorizationToken is asked for
	parts  [6]string
	isARN  bool // and parts are those of r.Resource
	colons int  // of r.Resource

	identity, boundary, session, organization allow
	resource                                  [direct + 1]allow // by how they name the caller
	denied, mayDeny                           Ref
	mayDenyKeys                               []string
	near                                      []NearMiss

	keys     []string // unknown keys that the statement in hand asks for
	expanded []token  // memory for the pattern in hand
}

// allow is what the statements of one kind of policy allow.
type allow struct {
	sure  bool
	maybe bool // a statement may, depending on keys
	keys  []string
	ref   Ref // the first that certainly does
}

// holds returns doubt for statements that depend on unknown keys.
func (a *allow) holds(doubt bool) bool { return a.sure || doubt && a.maybe }

func (e *evaluation) policies(to *allow, source Source, list []Named) {
	for _, p := range list {
		if p.Policy != nil {
			e.policy(to, source, p)
		}
	}
}

// policy records what p does. to is nil for resource-based policies, whose
// statements count by how they name the caller.
func (e *evaluation) policy(to *allow, source Source, p Named) {
	for i := range p.Policy.statements {
		s := &p.Policy.statements[i]
		e.keys = e.keys[:0]
		if e.r.Explain {
			e.explain(s, source, p.Name)
		}
		if !s.matchesAction(e) {
			continue
		}
		n := naming{grade: direct}
		if source == ResourceBased {
			n = s.who.match(&e.r.Principal, s.effect, e.r.Boundary.Policy != nil)
		}
		if n == (naming{}) {
			continue
		}
		t := s.matchesResource(e)
		if t == no {
			continue
		}
		conditions, _ := s.matchesConditions(e)
		if t = min(t, conditions); t == no {
			continue
		}
		ref := Ref{source, p.Name, s.index, s.sid}
		if n.grade != notNamed {
			e.note(to, s, t, n.grade, ref)
		}
		if n.perhaps > n.grade && (s.effect == Allow || n.grade == notNamed) {
			e.keys = append(e.keys, sessionName)
			e.note(to, s, maybe, n.perhaps, ref)
		}
	}
}

// note records a statement that applies, or may.
func (e *evaluation) note(to *allow, s *statement, t truth, g grade, ref Ref) {
	switch {
	case s.effect == Deny && t == yes:
		if e.denied.Source == "" {
			e.denied = ref
		}
		return
	case s.effect == Deny:
		if e.mayDeny.Source == "" {
			e.mayDeny = ref
		}
		e.mayDenyKeys = append(e.mayDenyKeys, e.keys...)
		return
	case to == nil && e.token:
		return
	case to == nil:
		to = &e.resource[g]
	}
	if t == maybe {
		to.maybe = true
		to.keys = append(to.keys, e.keys...)
		return
	}
	if !to.sure {
		to.sure, to.ref = true, ref
	}
}

// explain adds a statement that fails on one element.
func (e *evaluation) explain(s *statement, source Source, name string) {
	miss := NearMiss{Ref: Ref{source, name, s.index, s.sid}, Effect: s.effect}
	var failed []string
	not := func(name string, not bool) {
		if not {
			name = "Not" + name
		}
		failed = append(failed, name)
	}
	if source == ResourceBased && s.who.match(&e.r.Principal, s.effect, e.r.Boundary.Policy != nil) == (naming{}) {
		not("Principal", s.who.not)
	}
	if !s.matchesAction(e) {
		not("Action", s.notAction)
	}
	if s.matchesResource(e) == no {
		not("Resource", s.notResource)
	}
	if t, c := s.matchesConditions(e); t == no {
		not("Condition", false)
		miss.Operator, miss.Key = c.operator, c.key.name
	}
	if e.keys = e.keys[:0]; len(failed) == 1 {
		miss.Element = failed[0]
		e.near = append(e.near, miss)
	}
}

// decide combines what the policies do.
func (e *evaluation) decide() Decision {
	d := Decision{IdentityAllow: e.identity.ref, Near: e.near}
	for g := direct; g > notNamed; g-- {
		if e.resource[g].sure {
			d.ResourceAllow = e.resource[g].ref
			break
		}
	}
	sure, possible := e.allowed(false), e.allowed(true)
	switch {
	case e.denied.Source != "":
		d.Outcome, d.Deny = Denied, e.denied
	case !possible:
		d.Outcome, d.Lacking = Denied, e.lacking(true)
	case sure && e.mayDeny.Source == "":
		d.Outcome = Allowed
	default:
		d.Outcome, d.Deny = Depends, e.mayDeny
		d.DependsOn = slices.Clone(e.mayDenyKeys)
		if !sure {
			d.Lacking = e.lacking(false)
			d.DependsOn = append(d.DependsOn, e.openKeys()...)
		}
		slices.Sort(d.DependsOn)
		d.DependsOn = slices.Compact(d.DependsOn)
	}
	return d
}

// allowed does not look at Deny. Statements that depend on unknown keys allow if
// doubt.
func (e *evaluation) allowed(doubt bool) bool {
	c := &e.r.Principal
	named := e.named(doubt, account)
	switch c.Type {
	case Service, Federated:
		return named
	case RootUser, User, RoleSession:
	default:
		return false
	}
	if c.Account == "" || !e.organization.holds(doubt) {
		return false
	}
	identity := c.Type == RootUser || e.identity.holds(doubt)
	limits := e.within(doubt)
	if c.Account != e.owner {
		return named && identity && limits
	}
	// "Policy evaluation logic", the effect of resource-based policies: a grant to
	// the user or session itself is not limited; a grant to the role is limited by
	// its boundary and session policies; a grant to the account leaves the decision
	// to the account's identity policies.
	return e.named(doubt, direct) ||
		e.named(doubt, role) && limits ||
		identity && limits && (named || !e.r.ResourceMustAllow)
}

// named reports whether a resource-based policy allows the caller, naming it at
// least as directly as g.
func (e *evaluation) named(doubt bool, g grade) bool {
	for ; g <= direct; g++ {
		if e.resource[g].holds(doubt) {
			return true
		}
	}
	return false
}

// within reports whether boundary and session policies allow.
func (e *evaluation) within(doubt bool) bool {
	return e.r.Principal.Type == RootUser ||
		(e.r.Boundary.Policy == nil || e.boundary.holds(doubt)) &&
			(len(e.r.Session) == 0 || e.session.holds(doubt))
}

// lacking lists the kinds of policies that would have to allow and do not.
func (e *evaluation) lacking(doubt bool) []Source {
	var out []Source
	c := &e.r.Principal
	service := c.Type == Service || c.Type == Federated
	if !service && !e.organization.holds(doubt) {
		out = append(out, ServiceControlled)
	}
	foreign := service || c.Account != e.owner
	if (foreign || e.r.ResourceMustAllow) && !e.named(doubt, account) {
		out = append(out, ResourceBased)
	}
	if service || c.Type == RootUser {
		return out
	}
	// in one account, a grant to the role takes the place of an identity-based one
	if !e.identity.holds(doubt) && (foreign || !e.named(doubt, role)) {
		out = append(out, IdentityBased)
	}
	if e.r.Boundary.Policy != nil && !e.boundary.holds(doubt) {
		out = append(out, BoundaryPolicy)
	}
	if len(e.r.Session) > 0 && !e.session.holds(doubt) {
		out = append(out, SessionPolicy)
	}
	return out
}

// openKeys are the unknown keys of Allow statements, for the kinds of policies
// that have no Allow without unknown keys.
func (e *evaluation) openKeys() []string {
	var out []string
	all := []*allow{&e.identity, &e.boundary, &e.session, &e.organization}
	for g := range e.resource {
		all = append(all, &e.resource[g])
	}
	for _, a := range all {
		if !a.sure {
			out = append(out, a.keys...)
		}
	}
	return out
}
