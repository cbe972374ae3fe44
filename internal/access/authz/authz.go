// Package authz decides whether a principal may do something. It is pure: no
// I/O, no clock, no log. Who the principal is was settled before (authn), on
// what row it acts comes from the operation (registry), and the rules are those
// of package policy: deny is the default, a Deny wins, within one account
// either the principal's policies or the repository's may allow, across
// accounts both must.
//
// A condition key that a Request does not have counts as unknown, and what
// depends on an unknown key is denied.
package authz

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Request is one question: may Principal do Action on Resource?
type Request struct {
	Principal access.Principal
	Action    access.Action
	// Resource is the ARN acted on, or "*" for an action without one.
	Resource string
	// Owner is the account of the registry acted on. Required, but for
	// ecr:GetAuthorizationToken, which concerns the caller's account only.
	Owner ecr.AccountID
	// RepositoryPolicy is the policy text of the repository acted on, "" for
	// none.
	RepositoryPolicy string
	// Context holds the condition keys of the request.
	Context policy.Context
}

// Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	// By names what decided, for the audit record: the statements that allow,
	// such as "AdministratorAccess, statement 0", the one that denies, or
	// "system: reason". Empty for an implicit deny.
	By string
	// DependsOn are the condition keys for want of which the request is denied.
	DependsOn []string
	// Message is what a denied caller is told, in AWS's words.
	Message string
}

// Err is nil for an allowing decision, else an AccessDeniedException.
func (d Decision) Err() error {
	if d.Allowed {
		return nil
	}
	return &ecr.Error{Code: ecr.CodeAccessDenied, Message: d.Message}
}

// getAuthorizationToken needs an identity policy only and has no resource.
const getAuthorizationToken access.Action = "ecr:GetAuthorizationToken"

// Decide answers r.
func Decide(r Request) Decision {
	p := r.Principal
	if p.System != "" {
		return Decision{Allowed: true, By: p.String()}
	}
	if r.Owner == "" && r.Action != getAuthorizationToken {
		return Decision{Message: denial(r, policy.Decision{Lacking: []policy.Source{policy.ResourceBased}})}
	}
	d := policy.Evaluate(policy.Request{
		Principal:     caller(p),
		Action:        string(r.Action),
		Resource:      r.Resource,
		Owner:         string(r.Owner),
		Context:       r.Context,
		Unknown:       []string{"*"},
		Identity:      managed(p.Policies),
		ResourceBased: repositoryPolicy(r.RepositoryPolicy),
	})
	if d.Outcome == policy.Allowed {
		return Decision{Allowed: true, By: by(d)}
	}
	return Decision{By: d.Deny.String(), DependsOn: d.DependsOn, Message: denial(r, d)}
}

// caller is p as policies name it: nobody when its ARN is none.
func caller(p access.Principal) policy.Caller {
	c, err := policy.ParseCaller(p.ARN)
	if err != nil || c.Account != string(p.Account) {
		return policy.Caller{}
	}
	c.UniqueID = p.UniqueID
	return c
}

// by names the statements that allow.
func by(d policy.Decision) string {
	var names []string
	for _, ref := range []policy.Ref{d.IdentityAllow, d.ResourceAllow} {
		if ref != (policy.Ref{}) {
			names = append(names, ref.String())
		}
	}
	if names == nil {
		return "root user"
	}
	return strings.Join(names, "; ")
}

// denial is AWS's text: which policy denies, or which would have had to allow
// (IAM user guide, "Troubleshoot access denied error messages").
func denial(r Request, d policy.Decision) string {
	text := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", r.Principal.ARN, r.Action, r.Resource)
	switch {
	case d.Deny != policy.Ref{}:
		article := "a"
		if d.Deny.Source == policy.IdentityBased {
			article = "an"
		}
		return fmt.Sprintf("%s with an explicit deny in %s %s", text, article, d.Deny.Source)
	case len(d.Lacking) > 0:
		return fmt.Sprintf("%s because no %s allows the %s action", text, d.Lacking[0], r.Action)
	}
	return text
}
