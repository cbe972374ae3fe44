// Package authz decides whether a principal may do something. It is pure: no
// I/O, no clock, no log. Who the principal is was settled before (authn), on
// what row it acts comes from the operation (registry).
//
// Deny is the default. What allows today are the managed policies attached to
// a user, in the user's own account; resource policies are part of a Request
// already, so that the full evaluation takes this one's place without a
// change to its callers.
package authz

import (
	"fmt"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
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
	// none. It grants nothing yet.
	RepositoryPolicy string
}

// Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	// By names what allowed, for the audit record: a managed policy such as
	// "AdministratorAccess", or "system: reason". Empty for an implicit deny.
	By string
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

// getAuthorizationToken needs an identity policy only and has no resource;
// repository policies cannot grant it (ECR user guide, "Private repository
// policies").
const getAuthorizationToken access.Action = "ecr:GetAuthorizationToken"

// Decide answers r.
func Decide(r Request) Decision {
	p := r.Principal
	if p.System != "" {
		return Decision{Allowed: true, By: p.String()}
	}
	own := p.Account != "" && p.Account == r.Owner
	if !own && r.Action != getAuthorizationToken {
		return denied(r, "resource-based")
	}
	for _, name := range p.Policies {
		if managedAllows(name, r.Action) {
			return Decision{Allowed: true, By: name}
		}
	}
	return denied(r, "identity-based")
}

// denied is AWS's text for an implicit deny: kind is the kind of policy that
// would have had to allow.
func denied(r Request, kind string) Decision {
	return Decision{Message: fmt.Sprintf(
		"User: %s is not authorized to perform: %s on resource: %s because no %s policy allows the %s action",
		r.Principal.ARN, r.Action, r.Resource, kind, r.Action)}
}
