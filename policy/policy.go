// Package policy reads, validates, compares and evaluates IAM policy documents, as
// far as container registries need them: repository and registry policies, the
// identity policies of users and roles, and the trust policies of roles.
//
// Parse reads the grammar that all of them share; Validate checks a document as a
// policy of one Kind; ParseFor does both. The error lists everything that is wrong,
// each with its place in the text. Equal compares by meaning, so that a document
// that AWS stored and printed in its own way still equals the one that was sent.
// Evaluate decides a request.
//
// The package is pure: no I/O, no clock, no logging, and nothing but the
// standard library in its signatures.
//
// Sources: IAM user guide, "IAM JSON policy reference" (elements, grammar) and
// "IAM and AWS STS quotas"; Amazon ECR user guide, "Private repository
// policies" and "Private registry permissions". What they leave open is
// decided in docs/design/0010-one-parser-each.md and 0012-policy-evaluation.md.
package policy

import "slices"

// Document is a policy. The order of Statements has no meaning, and neither
// has ID.
type Document struct {
	Version    Version
	ID         string // "" for none
	Statements []Statement
}

// Version is the version of the policy language; "" represents Version2008.
type Version string

// The versions. Only Version2012 knows policy variables, such as
// ${aws:username}.
const (
	Version2012 Version = "2012-10-17"
	Version2008 Version = "2008-10-17"
)

// Statement allows or denies. It applies to a request when the caller, the
// action, the resource and all of the conditions match. It has an element or its
// Not form, which matches whatever the list does not, but never both.
type Statement struct {
	// Sid is a name for people, "" for none. It has no effect on the meaning.
	Sid                   string
	Effect                Effect
	Principal             Principals
	NotPrincipal          Principals
	Action, NotAction     []string // such as "ecr:PutImage" or "ecr:Get*", case-insensitive
	Resource, NotResource []string // ARNs, with wildcards, or "*"; neither, where the policy's place says which
	Condition             []Condition
}

// Effect is what a statement does.
type Effect string

// The effects. A Deny that applies wins over every Allow.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Principals is a Principal or NotPrincipal element. The zero Principals is an
// absent element.
type Principals struct {
	// Everyone is the element "*", which means the same as "*" in AWS. It
	// excludes the lists.
	Everyone bool
	// AWS holds account ids of 12 digits, ARNs of accounts (ending in :root),
	// users, roles and sessions, and "*".
	AWS           []string
	Service       []string // such as "codebuild.amazonaws.com"
	Federated     []string
	CanonicalUser []string
}

// IsZero reports whether p is an absent element.
func (p Principals) IsZero() bool {
	return !p.Everyone && p.AWS == nil && p.Service == nil && p.Federated == nil && p.CanonicalUser == nil
}

// Condition compares the request's value for Key with each of Values by Operator;
// one match is enough. In one statement, no two have the same Operator and Key.
type Condition struct {
	Operator string // such as "StringEquals" or "ForAnyValue:ArnLikeIfExists"
	Key      string // such as "aws:PrincipalOrgID", case-insensitive
	Values   []string
}

// AccountOf returns the account that an AWS principal represents as a whole:
// "111111111111" for itself and for "arn:aws:iam::111111111111:root", which
// mean the same; "" for every other principal.
func AccountOf(principal string) string {
	if isAccount(principal) {
		return principal
	}
	a, ok := splitARN(principal)
	if ok && a.service == "iam" && a.region == "" && a.resource == "root" && isAccount(a.account) {
		return a.account
	}
	return ""
}

func isAccount(s string) bool {
	return len(s) == 12 && !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < '0' || '9' < c })
}
