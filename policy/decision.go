package policy

import "fmt"

// Outcome is the answer to a Request.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed"
	Denied  Outcome = "denied"
	Depends Outcome = "depends" // on condition keys that are not known
)

// Decision is the answer to a Request, and its reasons.
type Decision struct {
	Outcome Outcome
	// Deny is the statement that denies explicitly, or for Depends one that may;
	// the zero Ref when there is none.
	Deny Ref
	// IdentityAllow and ResourceAllow are the statements by which either side
	// certainly allows, whatever the outcome; the zero Ref for none. An allowed
	// request has both across accounts and at least one in one account, except
	// that the root user needs no policy in its account.
	IdentityAllow, ResourceAllow Ref
	// Lacking are the kinds of policies that would have had to allow and did not,
	// the most decisive first. Empty when allowed, and for an explicit deny.
	Lacking []Source
	// DependsOn are the condition keys that decide, for Depends, as the
	// statements spell them, sorted.
	DependsOn []string
	// Near are the statements that fail on a single element, if the Request asks
	// for them, in the order of the policies.
	Near []NearMiss
}

// Source is the kind of policy that a statement is in, in the words of AWS's
// denials ("because no identity-based policy allows the ... action").
type Source string

// The sources.
const (
	IdentityBased     Source = "identity-based policy"
	ResourceBased     Source = "resource-based policy"
	BoundaryPolicy    Source = "permissions boundary"
	SessionPolicy     Source = "session policy"
	ServiceControlled Source = "service control policy"
)

// Ref points to a statement. The zero Ref points to none.
type Ref struct {
	Source Source
	Policy string // its name in the Request
	Index  int    // of the statement, from 0
	Sid    string // "" for none
}

// String is such as `repository policy, statement 1 "AllowPull"`, counting from 1 as
// people do; "" for the zero Ref.
func (r Ref) String() string {
	switch {
	case r.Source == "":
		return ""
	case r.Sid == "":
		return fmt.Sprintf("%s, statement %d", r.Policy, r.Index+1)
	}
	return fmt.Sprintf("%s, statement %d %q", r.Policy, r.Index+1, r.Sid)
}

// NearMiss is a statement of which all elements match except one.
type NearMiss struct {
	Ref
	Effect Effect
	// Element is what does not match: "Principal", "Action", "Resource" (or
	// their Not forms) or "Condition".
	Element string
	// Operator and Key are the first condition that does not hold.
	Operator, Key string
}
