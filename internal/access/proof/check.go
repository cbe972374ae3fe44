package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Check answers whether the principal may do all of actions in the repository.
// Of a principal that the world does not have, its own policies are unseen, or
// it is missing from an account that was seen. The error says that there is no
// such repository, or that arn is not the ARN of a principal.
func (p *Prover) Check(arn string, list []access.Action, in ecr.RegistryID, name ecr.RepositoryName) (Answer, error) {
	who, err := p.principal(arn)
	if err != nil {
		return Answer{}, err
	}
	for i := range p.repositories {
		if r := &p.repositories[i]; r.In == in && r.Name == name {
			if policy.AccountOf(arn) == arn {
				return p.checkAccount(who, r, list), nil
			}
			return check(who, r, list), nil
		}
	}
	return Answer{}, fmt.Errorf("there is no repository %q in %s", name, in)
}

// check is answer with Changes.
func check(who principal, r *repository, list []access.Action) Answer {
	a := answer(who, r, list)
	if !who.missing && (a.Outcome == Denied || a.Outcome == Partly) {
		a.Changes = changes(who, *r, list)
	}
	return a
}

// checkAccount answers for an account as a whole: by its root user and, where
// that may not, by those of its users and roles who come nearest.
func (p *Prover) checkAccount(root principal, r *repository, list []access.Action) Answer {
	best := check(root, r, list)
	for _, who := range p.members(root.caller.Account, r) {
		if best.Outcome == Allowed {
			break
		}
		if a := answer(who, r, list); slices.Index(outcomes, a.Outcome) < slices.Index(outcomes, best.Outcome) {
			best = check(who, r, list)
		}
	}
	best.Principal = root.ARN
	return best
}

// outcomes are in the order of how much they allow.
var outcomes = []Outcome{Allowed, Unseen, Depends, Partly, Denied}

func (p *Prover) principal(arn string) (principal, error) {
	c, err := callerOf(arn)
	if err != nil {
		return principal{}, err
	}
	session := c.Type == policy.RoleSession && !c.AnySession
	for _, one := range p.principals {
		if one.ARN == arn || one.caller.ARN == c.ARN && (session || c.Type == policy.RootUser) && !one.caller.AnySession {
			return one, nil
		}
	}
	if session {
		// a session is as its role is
		for _, one := range p.principals {
			if one.caller.AnySession && one.caller.Account == c.Account && roleName(one.caller) == roleName(c) {
				one.ARN, one.caller.ARN, one.caller.AnySession = arn, c.ARN, false
				one.caller.Varies = varies(one)
				return one, nil
			}
		}
	}
	one, err := newPrincipal(Principal{ARN: arn})
	one.missing = (c.Type == policy.User || c.Type == policy.RoleSession) && slices.Contains(p.seen, c.Account)
	if c.Type != policy.RootUser && c.Type != policy.Service {
		one.Unseen = "its own policies were not seen"
	}
	if session {
		// The path of the role is not known, except for what policies say of it.
		one.caller.Varies = append(one.caller.Varies, "aws:PrincipalArn")
		for _, name := range p.named() {
			if role, err := callerOf(name); err == nil && role.AnySession && role.Account == c.Account && roleName(role) == roleName(c) {
				one.caller.RoleARN = name
			}
		}
	}
	return one, err
}

// answer has no Changes.
func answer(who principal, r *repository, list []access.Action) Answer {
	return answerWith(who, r, list, true)
}

// answerWith is answer, with near misses or, in half the time, without.
func answerWith(who principal, r *repository, list []access.Action, near bool) Answer {
	a := Answer{Principal: who.ARN, Repository: r.ARN(), Missing: who.missing}
	for _, action := range list {
		if action == token && who.caller.Type == policy.Service && len(list) > 1 {
			continue // services take no docker password
		}
		if who.missing {
			a.Actions = append(a.Actions, ActionAnswer{Action: action, Resource: resource(r, actionOf(action)), Outcome: Denied})
			continue
		}
		a.Actions = append(a.Actions, decideWith(who, r, action, near))
	}
	a.Outcome = total(a.Actions)
	if a.Outcome == Denied && who.people {
		// A policy may spare the root user alone.
		who.people, who.caller.Type, who.caller.Varies = false, policy.RootUser, nil
		who.caller.ARN = strings.TrimSuffix(who.caller.ARN, "user/"+someone) + "root"
		if root := answerWith(who, r, list, near); root.Outcome != Denied {
			return root
		}
	}
	return a
}

// total is the outcome of all: the worst that can be, except that some denials
// among others are Partly.
func total(list []ActionAnswer) Outcome {
	worst := Allowed
	denied, useful := false, false
	for _, a := range list {
		switch {
		case a.Outcome == Denied:
			denied = true
			continue
		case slices.Index(outcomes, a.Outcome) > slices.Index(outcomes, worst):
			worst = a.Outcome
		}
		useful = useful || !byTheWay(a.Action, list)
	}
	switch {
	case denied && useful:
		return Partly
	case denied:
		return Denied
	}
	return worst
}

// byTheWay are actions that a right takes and that alone are no part of it:
// getting a token, and for a push, to look at what is there.
func byTheWay(action access.Action, list []ActionAnswer) bool {
	if action == token {
		return len(list) > 1
	}
	push := slices.ContainsFunc(list, func(a ActionAnswer) bool { return a.Action == "ecr:PutImage" })
	return push && (action == "ecr:BatchGetImage" || action == "ecr:BatchCheckLayerAvailability")
}

// decide asks the engine about one action: once, or for each thing that policies
// which were not seen can say.
func decide(who principal, r *repository, name access.Action) ActionAnswer {
	return decideWith(who, r, name, true)
}

func decideWith(who principal, r *repository, name access.Action, near bool) ActionAnswer {
	action := actionOf(name)
	asked := possible(&who, r, action)
	first := evaluate(&who, r, action, asked[0], near)
	a := ActionAnswer{
		Action: name, Resource: resource(r, action), Outcome: Outcome(first.Outcome), Deny: first.Deny,
		IdentityAllow: first.IdentityAllow, ResourceAllow: first.ResourceAllow,
		Lacking: first.Lacking, DependsOn: first.DependsOn, Near: first.Near,
	}
	if who.Unseen == "" && len(asked) == 1 {
		return a
	}
	scope := false
	keys := slices.Clone(first.DependsOn)
	var best policy.Decision // of those that do not deny
	for i, sides := range asked {
		d := first
		if i > 0 {
			d = evaluate(&who, r, action, sides, false)
		}
		if d.Outcome != policy.Denied {
			best = d
		}
		keys = append(keys, d.DependsOn...)
		scope = scope || d.Outcome != first.Outcome
	}
	slices.Sort(keys)
	switch {
	case best.Outcome == "": // whatever they say
		a.Outcome, a.DependsOn = Denied, nil
		return a
	case who.Unseen != "", r.registry.Unseen != "":
		a.Outcome, a.DependsOn = Unseen, slices.Compact(keys)
		a.Unseen = cmp.Or(who.Unseen, "the registry policy was not seen")
		a.Deny, a.IdentityAllow, a.Lacking = policy.Ref{}, policy.Ref{}, nil
		if who.Unseen != "" {
			a.Lacking = []policy.Source{policy.IdentityBased}
		}
		a.ResourceAllow = best.ResourceAllow
	case scope:
		a.Outcome, a.DependsOn = Depends, append(slices.Compact(keys), KeyScope)
	}
	return a
}

// sides are the policies that an evaluation takes.
type sides struct {
	identity []policy.Named
	based    []policy.Named
}

var (
	everything = policy.Named{Name: UnseenPolicies, Policy: policy.Compile(policy.Document{
		Version:    policy.Version2012,
		Statements: []policy.Statement{{Effect: policy.Allow, Action: []string{"*"}, Resource: []string{"*"}}},
	})}
	openRegistry = policy.Named{Name: "a registry policy that was not seen", Policy: policy.Compile(policy.Document{
		Version:    policy.Version2012,
		Statements: []policy.Statement{{Effect: policy.Allow, Principal: policy.Principals{Everyone: true}, Action: []string{"*"}}},
	})}
)

// possible are the policies that count for the action: all that there can be,
// where some were not seen, except for those that deny. The first is the likeliest.
func possible(who *principal, r *repository, action policy.Action) []sides {
	var s sides
	s.identity = evaluable(who.identity)
	if who.Unseen != "" {
		s.identity = []policy.Named{everything} // at best
	}
	if onRepository(action) {
		s.based = evaluable(r.added)
		if r.own != nil {
			s.based = append(s.based, r.own.Named)
		}
	}
	without := s
	with := without
	switch {
	case r.registry.Unseen != "":
		with.based = append(slices.Clip(s.based), openRegistry)
	case r.registry.policy == nil:
		return []sides{without}
	default:
		with.based = append(slices.Clip(s.based), r.registry.policy.Named)
	}
	switch {
	case r.registry.Unseen != "":
		return []sides{without, with}
	case action.RegistryV1, r.registry.Scope == "", r.registry.Scope == ScopeV2:
		return []sides{with}
	case r.registry.Scope == ScopeV1:
		return []sides{without}
	}
	return []sides{with, without}
}

func resource(r *repository, action policy.Action) string {
	if !action.Repository {
		return "*"
	}
	return r.ARN()
}

func evaluate(who *principal, r *repository, action policy.Action, s sides, explain bool) policy.Decision {
	q := policy.Request{
		Principal: who.caller, Action: action.Name, Resource: resource(r, action), Owner: string(r.In.Account),
		Identity: s.identity, ResourceBased: s.based, Lookup: lookup(who, r, action), Explain: explain,
	}
	if who.boundary != nil {
		q.Boundary = who.boundary.Named
	}
	return policy.Evaluate(q)
}

// UnseenPolicies is the name, in answers, of the policies that were not seen, and that
// may allow everything.
const UnseenPolicies = "policies that were not seen"
