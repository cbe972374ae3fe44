package proof

import (
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Token is a machine token of a user: a docker password that may do at most what its
// user may, and less if it has a scope.
type Token struct {
	ID, Name string
	// Scope is the text of a policy; "" for all that the user may.
	Scope string
	// ExpiresAt is zero for never.
	ExpiresAt time.Time
	Expired   bool
	// Off: the server does not accept machine tokens.
	Off bool
}

// In ActionAnswer.Lacking, TokenScope is the scope of a token, and TokenSetting the
// server's setting that accepts tokens.
const (
	TokenScope   policy.Source = "scope of the token"
	TokenSetting policy.Source = "setting that accepts machine tokens"
)

// CheckToken is Check for the holder of a token of the user arn: both the user's policies
// and the token's scope must allow. A login with a token takes no GetAuthorizationToken,
// so that action is asked about only if it is the only one. An expired token, and
// one that the server does not accept, may nothing.
func (p *Prover) CheckToken(arn string, t Token, list []access.Action, in ecr.RegistryID, name ecr.RepositoryName) (Answer, error) {
	if len(list) > 1 {
		list = slices.DeleteFunc(slices.Clone(list), func(a access.Action) bool { return a == token })
	}
	a, err := p.Check(arn, list, in, name)
	if err != nil || t.Scope == "" && !t.Expired && !t.Off {
		return a, err
	}
	who, err := p.principal(arn)
	if err != nil {
		return Answer{}, err
	}
	i := slices.IndexFunc(p.repositories, func(r repository) bool { return r.In == in && r.Name == name })
	var scope *named
	if t.Scope != "" {
		n, err := compile("scope of the token "+t.Name, t.Scope)
		if err != nil {
			return Answer{}, fmt.Errorf("the scope of the token %s: %w", t.Name, err)
		}
		scope = &n
	}
	for j := range a.Actions {
		x := &a.Actions[j]
		if t.Expired || t.Off {
			lacking := TokenScope
			if t.Off {
				lacking = TokenSetting
			}
			*x = ActionAnswer{Action: x.Action, Resource: x.Resource, Outcome: Denied, Lacking: []policy.Source{lacking}}
			continue
		}
		narrow(x, scopeOf(who, &p.repositories[i], x.Action, *scope))
	}
	a.Outcome = total(a.Actions)
	if a.Outcome == Denied || a.Outcome == Partly {
		a.Changes = nil // no policy widens a scope
	}
	return a, nil
}

// scopeOf is what a scope alone says, as if the caller's own account had all there is.
func scopeOf(who principal, r *repository, name access.Action, scope named) policy.Decision {
	action := actionOf(name)
	return policy.Evaluate(policy.Request{
		Principal: who.caller, Action: action.Name, Resource: resource(r, action), Owner: who.caller.Account,
		Identity: []policy.Named{scope.Named}, Lookup: lookup(&who, r, action),
	})
}

// narrow puts what a scope says into the answer of its user.
func narrow(x *ActionAnswer, d policy.Decision) {
	switch {
	case x.Outcome == Denied:
	case d.Outcome == policy.Denied:
		*x = ActionAnswer{Action: x.Action, Resource: x.Resource, Outcome: Denied, Deny: d.Deny}
		if d.Deny == (policy.Ref{}) {
			x.Lacking = []policy.Source{TokenScope}
		}
	case d.Outcome != policy.Allowed: // it depends
		x.DependsOn = append(slices.Clone(x.DependsOn), d.DependsOn...)
		slices.Sort(x.DependsOn)
		x.DependsOn = slices.Compact(x.DependsOn)
		if x.Outcome == Allowed {
			x.Outcome = Depends
		}
	}
}
