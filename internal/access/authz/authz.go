// Package authz decides whether a principal may do something. It is pure: no
// I/O, no clock, no log. The principal was authenticated before (authn), the row
// it acts on comes from the operation (registry), and the rules are those of
// package policy: access is denied by default, a Deny takes precedence, within one
// account either the principal's policies or the repository's may allow, and across
// accounts both must.
//
// Condition keys (IAM user guide, "AWS global condition context keys"; Service
// authorization reference, "Amazon Elastic Container Registry") have the
// request's value or are known to be absent. The value of any other key is unknown,
// and statements that depend on it deny. A policy that cannot be read denies.
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
	// Owner is the account of the registry acted on. Required, except for
	// ecr:GetAuthorizationToken, which concerns the caller's account only.
	Owner ecr.AccountID
	// Region of the registry acted on (aws:RequestedRegion).
	Region ecr.Region
	// RepositoryPolicy is the policy text of the repository acted on, and
	// RegistryPolicy that of its registry as far as it governs Action; "" for
	// none.
	RepositoryPolicy, RegistryPolicy string
	// ResourceTags are those of the repository acted on, RequestTags those to be
	// set, TagKeys their names or those to be removed.
	ResourceTags, RequestTags map[string]string
	TagKeys                   []string
	// AccountSetting is the name of the one that is asked for or set.
	AccountSetting string
	// Image answers the condition keys about the image acted on, in lower case: an
	// operation that acts on none has no values. It is called only where a policy
	// depends on one.
	Image func(key string) (values []string, known bool)
	// Context holds further condition keys.
	Context policy.Context
}

// Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	// By names what decided, for the audit record: the statements that allow,
	// such as "AdministratorAccess, statement 1", the one that denies, or
	// "system: reason". Empty for an implicit deny.
	By string
	// DependsOn are the condition keys for want of which the request is denied.
	DependsOn []string
	// Message is what a denied caller is told, in AWS's words. A caller of another
	// account is told what it would be if nothing was there that is acted on, so
	// that it cannot find out what is.
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
		return Decision{Message: denial(r, policy.Decision{Lacking: []policy.Source{policy.ResourceBased}})} // nothing is no one's
	}
	d := policy.Evaluate(r.question())
	if d.Outcome != policy.Denied { // what the scope leaves out depends on nothing
		if message, outside := outsideScope(r); outside {
			return Decision{Message: message}
		}
	}
	if d.Outcome == policy.Allowed {
		return Decision{Allowed: true, By: by(d)}
	}
	answer := Decision{By: d.Deny.String(), DependsOn: d.DependsOn, Message: denial(r, d)}
	if r.Owner != "" && r.Owner != p.Account {
		r.RepositoryPolicy, r.ResourceTags = "", nil
		if d := policy.Evaluate(r.question()); d.Outcome != policy.Allowed {
			answer.Message = denial(r, d)
		}
	}
	return answer
}

// outsideScope reports whether the caller's machine token does not reach as far as r,
// and what it is told then. Unlike a session policy, the scope of a token limits also
// what a repository policy grants to the user itself.
func outsideScope(r Request) (message string, outside bool) {
	t := r.Principal.Token
	if t == nil || t.Scope == nil {
		return "", false
	}
	q := r.question()
	// As if the caller's own account had all there is: then the scope alone decides.
	q.Owner, q.ResourceBased, q.Boundary, q.Session = string(r.Principal.Account), nil, policy.Named{}, nil
	q.Identity = identityPolicies(nil, []access.Document{*t.Scope})
	if policy.Evaluate(q).Outcome == policy.Allowed {
		return "", false
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because the scope of the token %s does not allow the %s action",
		r.Principal.ARN, r.Action, r.Resource, t.Name, r.Action), true
}

// question is r as package policy understands it.
func (r *Request) question() policy.Request {
	p := r.Principal
	q := policy.Request{
		Principal:     caller(p),
		Action:        string(r.Action),
		Resource:      r.Resource,
		Owner:         string(r.Owner),
		Context:       r.Context,
		Lookup:        r.lookup,
		Identity:      identityPolicies(managed(p.Policies), p.Documents),
		ResourceBased: resourcePolicies(r.RepositoryPolicy, r.RegistryPolicy),
	}
	if p.Boundary != nil {
		q.Boundary = identityPolicies(nil, []access.Document{*p.Boundary})[0]
	}
	if p.Session != nil {
		q.Session = identityPolicies(nil, p.Session.Policies)
	}
	return q
}

// caller is p as policies name it: no one when its ARN is none.
func caller(p access.Principal) policy.Caller {
	c, err := policy.ParseCaller(p.ARN)
	if err != nil || c.Account != string(p.Account) {
		return policy.Caller{}
	}
	c.UniqueID, _, _ = strings.Cut(p.UniqueID, ":")
	c.Tags = p.Tags
	if p.Session != nil && p.Session.RoleARN != "" {
		c.RoleARN = p.Session.RoleARN
	}
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
// (IAM user guide, "Troubleshoot access denied error messages"). Across
// accounts, what the caller's own side lacks comes first: it is what the caller
// can mend.
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
		lacking := d.Lacking[0]
		if lacking == policy.ResourceBased && len(d.Lacking) > 1 {
			lacking = d.Lacking[1]
		}
		return fmt.Sprintf("%s because no %s allows the %s action", text, lacking, r.Action)
	}
	return text
}
