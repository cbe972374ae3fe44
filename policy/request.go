package policy

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Request is one question: may Principal do Action on Resource? It holds
// everything that the answer depends on; Evaluate changes nothing of it.
type Request struct {
	Principal Caller
	Action    string // such as "ecr:PutImage"
	// Resource is the ARN acted on, or "*" for an action that has none.
	Resource string
	// Owner is the account that the resource belongs to; "" is the caller's.
	Owner string
	// Context holds the condition keys, except those that say who calls and who
	// owns the resource: Evaluate takes these from Principal and Owner.
	Context Context
	// Unknown lists condition keys, with * and ?, whose presence and value are not
	// known. Where one of them decides, the Decision says so. A key that is neither
	// known nor Unknown is absent.
	Unknown []string
	// Lookup, if set, is called in place of Unknown for the keys that are nowhere
	// else, in lower case. Known without values is a key that the request certainly
	// does not have. It must return the same for every call.
	Lookup func(key string) (values []string, known bool)

	// Identity holds the policies attached to the caller. They grant.
	Identity []Named
	// Boundary is the permissions boundary; without Policy there is none.
	Boundary Named
	// Session holds the policies that the session was started with. An empty list
	// does not limit; of several, one must allow.
	Session []Named
	// ServiceControl holds the policies of the caller's organization, level by
	// level from the root to the account. Each level must allow.
	ServiceControl [][]Named
	// ResourceBased holds the policies of the resource: the repository's and the
	// registry's, or a role's trust policy.
	ResourceBased []Named
	// ResourceMustAllow is for trust policies: ResourceBased must allow the caller
	// also when the caller is in the resource's account.
	ResourceMustAllow bool

	// Explain asks for Decision.Near, which costs time.
	Explain bool
}

// Named is a policy under the name that decisions call it by, such as
// "AdministratorAccess" or "repository policy".
type Named struct {
	Name   string
	Policy *Compiled // nil for none
}

// CallerType is a kind of principal, in the words of the key
// aws:PrincipalType where it has one.
type CallerType string

// The types.
const (
	RootUser    CallerType = "Account"
	User        CallerType = "User"
	RoleSession CallerType = "AssumedRole"
	Service     CallerType = "Service"   // an AWS service acting for itself
	Federated   CallerType = "Federated" // known to an identity provider only, when it assumes a role
)

// Caller is the principal that makes a request. The zero Caller may do
// nothing.
type Caller struct {
	Type CallerType
	// Account has 12 digits; "" for Service and Federated.
	Account string
	// ARN is the user's, the account's (ending in :root), or that of the session
	// (arn:aws:sts::111111111111:assumed-role/ROLE/SESSION). For Service it is the
	// service's name, for Federated the provider's name or ARN.
	ARN string
	// UniqueID is the user's (AIDA...), or for a session the role's (AROA...).
	UniqueID string
	// RoleARN is the role of a session, with its path.
	RoleARN string
	// Tags are those of the user, or of the role and session. Letter case of
	// names does not count.
	Tags map[string]string
	// OrganizationID (o-...) and OrganizationPaths are the account's, if any.
	OrganizationID    string
	OrganizationPaths []string
	// AnySession says that ARN is an example: the caller matches any session of
	// its role. A statement that names one session may or may not mean it.
	AnySession bool
	// Varies lists condition keys, with * and ?, that are unknown although the
	// fields above have a value: a session chooses its tags, for example.
	Varies []string
}

// ParseCaller reads the ARN of an account (ending in :root, or its 12 digits),
// a user or a role session, or the name of a service. A session's ARN does not
// say the role's path; ParseCaller takes it for "/".
func ParseCaller(s string) (Caller, error) {
	if id := AccountOf(s); id != "" {
		if s == id {
			s = ecr.IAMARN("aws", ecr.AccountID(id), "root")
		}
		return Caller{Type: RootUser, Account: id, ARN: s}, nil
	}
	a, ok := splitARN(s)
	switch {
	case !ok && servicePattern.MatchString(s):
		return Caller{Type: Service, ARN: s}, nil
	case !ok || wrongAWS(s) != "":
		return Caller{}, fmt.Errorf("%q is not the ARN of an account, a user or a role session", s)
	case a.service == "iam" && strings.HasPrefix(a.resource, "user/"):
		return Caller{Type: User, Account: a.account, ARN: s}, nil
	case a.service == "sts" && strings.HasPrefix(a.resource, "assumed-role/"):
		role, _, _ := strings.Cut(strings.TrimPrefix(a.resource, "assumed-role/"), "/")
		return Caller{Type: RoleSession, Account: a.account, ARN: s,
			RoleARN: ecr.IAMARN(a.partition, ecr.AccountID(a.account), "role/"+role)}, nil
	}
	return Caller{}, fmt.Errorf("%q cannot make requests; want an account, a user or a role session", s)
}

// Context is the condition keys of a request with their values. The zero
// Context is empty. It is not safe for concurrent changes.
type Context struct {
	values map[string][]string // by the key in lower case
}

// Set gives key, whose letter case does not count, these values; without values it
// removes the key. Most keys have one value; aws:TagKeys and a few others have several.
// Keys about the caller, such as aws:PrincipalArn, have no effect here.
func (c *Context) Set(key string, values ...string) {
	key = strings.ToLower(key)
	if len(values) == 0 {
		delete(c.values, key)
		return
	}
	if c.values == nil {
		c.values = map[string][]string{}
	}
	c.values[key] = values
}
