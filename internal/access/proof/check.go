package proof

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Check answers whether the principal may do all of actions in the repository.
// A principal that the world does not know is one whose own policies nobody
// could see, or is missing from an account that was seen. The error says that there is no such repository, or that arn
// names no principal.
func (p *Prover) Check(arn string, list []access.Action, in ecr.RegistryID, name ecr.RepositoryName) (Answer, error) {
	who, err := p.principal(arn)
	if err != nil {
		return Answer{}, err
	}
	for i := range p.repositories {
		if r := &p.repositories[i]; r.In == in && r.Name == name {
			a := answer(who, r, list)
			if who.missing {
				return a, nil
			}
			if a.Outcome == Denied || a.Outcome == Partly {
				a.Changes = changes(who, *r, list)
			}
			return a, nil
		}
	}
	return Answer{}, fmt.Errorf("there is no repository %q in %s", name, in)
}

func (p *Prover) principal(arn string) (principal, error) {
	c, err := callerOf(arn)
	if err != nil {
		return principal{}, err
	}
	session := c.Type == policy.RoleSession && c.ARN == arn // not a role
	for _, one := range p.principals {
		if one.ARN == arn || one.caller.ARN == c.ARN && (session || c.Type == policy.RootUser) {
			return one, nil
		}
	}
	if session {
		// a session is as its role is
		for _, one := range p.principals {
			if one.caller.Type == policy.RoleSession && one.caller.Account == c.Account && roleName(one.caller) == roleName(c) {
				one.ARN, one.caller.ARN = arn, c.ARN
				return one, nil
			}
		}
	}
	one, err := newPrincipal(Principal{ARN: arn})
	one.missing = (c.Type == policy.User || c.Type == policy.RoleSession) && slices.Contains(p.seen, c.Account)
	if c.Type != policy.RootUser && c.Type != policy.Service {
		one.Unseen = "its own policies are not known"
	}
	return one, err
}

// answer has no Changes.
func answer(who principal, r *repository, list []access.Action) Answer {
	a := Answer{Principal: who.ARN, Repository: r.ARN(), Missing: who.missing}
	for _, action := range list {
		if who.missing {
			a.Actions = append(a.Actions, ActionAnswer{Action: action, Resource: resource(r, action), Outcome: Denied})
			continue
		}
		a.Actions = append(a.Actions, decide(who, r, action))
	}
	a.Outcome = total(a.Actions)
	return a
}

// total is the outcome of all: the worst that can be, except that some denials
// among others are Partly.
func total(list []ActionAnswer) Outcome {
	order := []Outcome{Allowed, Unseen, Depends}
	worst := Allowed
	denied, useful := false, false
	for _, a := range list {
		switch {
		case a.Outcome == Denied:
			denied = true
			continue
		case slices.Index(order, a.Outcome) > slices.Index(order, worst):
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

// decide asks the engine about one action.
func decide(who principal, r *repository, action access.Action) ActionAnswer {
	d := evaluate(who, r, action, evaluable(who.identity), true)
	a := ActionAnswer{
		Action: action, Resource: resource(r, action), Outcome: Outcome(d.Outcome), Deny: d.Deny,
		IdentityAllow: d.IdentityAllow, ResourceAllow: d.ResourceAllow,
		Lacking: d.Lacking, DependsOn: d.DependsOn, Near: d.Near,
	}
	if who.Unseen == "" {
		return a
	}
	// At best the principal's own policies allow everything.
	best := evaluate(who, r, action, []policy.Named{everything}, false)
	if best.Outcome == policy.Denied {
		a.Outcome, a.Deny, a.Lacking, a.DependsOn = Denied, best.Deny, best.Lacking, nil
		return a
	}
	a.Outcome, a.Lacking, a.DependsOn = Unseen, []policy.Source{policy.IdentityBased}, best.DependsOn
	return a
}

var everything = policy.Named{Name: "its own policies", Policy: policy.Compile(policy.Document{
	Version:    policy.Version2012,
	Statements: []policy.Statement{{Effect: policy.Allow, Action: []string{"*"}, Resource: []string{"*"}}},
})}

func resource(r *repository, action access.Action) string {
	if action == token {
		return "*"
	}
	return r.ARN()
}

func evaluate(who principal, r *repository, action access.Action, identity []policy.Named, explain bool) policy.Decision {
	q := policy.Request{
		Principal: who.caller, Action: string(action), Resource: resource(r, action), Owner: string(r.In.Account),
		Identity: identity, ResourceBased: evaluable(r.based), Lookup: r.lookup, Explain: explain,
	}
	if who.boundary != nil {
		q.Boundary = who.boundary.Named
	}
	return policy.Evaluate(q)
}

// lookup knows the keys that do not hang on the request.
func (r *repository) lookup(key string) (values []string, known bool) {
	switch key {
	case "aws:requestedregion":
		return []string{string(r.In.Region)}, true
	case "aws:principalisawsservice", "aws:viaawsservice":
		return []string{"false"}, true
	}
	for _, prefix := range []string{"aws:resourcetag/", "ecr:resourcetag/"} {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			for k, v := range r.Tags {
				if strings.EqualFold(k, name) {
					return []string{v}, true
				}
			}
			return nil, true
		}
	}
	return nil, false
}
