// Package proof answers who may do what with repositories, by the policies of
// both sides: the principal's own and the repository's and registry's. It says
// by which statements, and what would have to change.
//
// Every answer is one of policy.Evaluate, the engine that decides real
// requests; nothing is decided here. What is not known of a request before it
// is made (its address, its time) counts as unknown, and an answer that hangs
// on it says on which condition keys. What nobody could read, such as the
// policies of another account, is not guessed: such an answer is Unseen.
//
// The package is pure: what it knows is in a World.
package proof

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Right is something people want to do, such as pull. It stands for the
// actions it takes.
type Right string

// The rights.
const (
	Pull   Right = "pull"
	Push   Right = "push"
	Delete Right = "delete" // images
	Admin  Right = "admin"  // change or delete the repository and its policies
)

// Rights are all rights, in the order in which people read them.
func Rights() []Right { return []Right{Pull, Push, Delete, Admin} }

// token is what docker clients ask for first.
const token access.Action = "ecr:GetAuthorizationToken"

// actions of the rights. Pull and push: Amazon ECR user guide, "IAM permissions
// for pushing an image" and "Amazon ECR repository policy examples".
var actions = map[Right][]access.Action{
	Pull: {token, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
	Push: {token, "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
		"ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage"},
	Delete: {"ecr:BatchDeleteImage"},
	Admin: {"ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy", "ecr:PutLifecyclePolicy", "ecr:DeleteLifecyclePolicy",
		"ecr:PutImageTagMutability", "ecr:DeleteRepository"},
}

// Actions are what the right takes, in the order in which clients ask.
func (r Right) Actions() []access.Action { return slices.Clone(actions[r]) }

// ParseRight reads a right, or an action of ECR as AWS writes it, with or
// without "ecr:" before it, and returns the actions.
func ParseRight(s string) ([]access.Action, error) {
	if list, ok := actions[Right(strings.ToLower(s))]; ok {
		return slices.Clone(list), nil
	}
	// A word that is no right and begins with a small letter is a right misspelt.
	name := strings.TrimPrefix(s, "ecr:")
	if name == "" || !('A' <= name[0] && name[0] <= 'Z') || strings.ContainsFunc(name, func(r rune) bool { return !('a' <= r|0x20 && r|0x20 <= 'z') }) {
		return nil, fmt.Errorf("%q is no right: want pull, push, delete, admin or an action such as ecr:PutImage", s)
	}
	return []access.Action{access.Action("ecr:" + name)}, nil
}

// World is what is known. New checks it.
type World struct {
	// RegistryPolicies are texts, by the registry; "" or nothing for none.
	RegistryPolicies map[ecr.RegistryID]string
	Repositories     []Repository
	Principals       []Principal
	// Seen are the accounts (12 digits) of which Principals holds every user and
	// role: there are no others.
	Seen []string
}

// Repository is a repository with its side of the matter.
type Repository struct {
	In   ecr.RegistryID
	Name ecr.RepositoryName
	// Policy is its policy's text; "" for none.
	Policy string
	Tags   map[string]string
}

// ARN of the repository.
func (r Repository) ARN() string { return r.In.RepositoryARN(r.Name) }

// Principal is an account (its root user), a user, a role or a role session,
// with its own policies.
type Principal struct {
	// ARN, or the 12 digits of an account.
	ARN      string
	UniqueID string
	// Documents are all policies attached to it, and inline ones.
	Documents []access.Document
	Boundary  *access.Document
	Tags      map[string]string
	// Unseen says why its own policies are not known, "" when they are.
	Unseen string
}

// Outcome is an answer in one word.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed"
	Denied  Outcome = "denied"
	Depends Outcome = "depends" // on condition keys
	// Unseen: the repository's side allows, and nobody could see whether the
	// principal's own account does as well.
	Unseen Outcome = "unseen"
	// Partly: some of the actions are allowed or may be, others denied.
	Partly Outcome = "partly"
)

// Answer says whether a principal may do all of some actions in a repository.
type Answer struct {
	Principal  string
	Repository string // ARN
	Outcome    Outcome
	Actions    []ActionAnswer
	// Missing: there is no such user or role, though its account was seen whole.
	// Everything is denied to it.
	Missing bool
	// Changes are the smallest that allow what is denied; none when nothing is
	// denied, or when no change of policies can help.
	Changes []Change
}

// ActionAnswer is the decision about one action.
type ActionAnswer struct {
	Action   access.Action
	Resource string // the repository's ARN, or "*" for an action without one
	Outcome  Outcome
	// Deny, IdentityAllow and ResourceAllow are the statements that decide.
	Deny, IdentityAllow, ResourceAllow policy.Ref
	// Lacking are the kinds of policies that would have to allow and do not.
	Lacking []policy.Source
	// DependsOn are the condition keys that decide.
	DependsOn []string
	// Near are the statements that fail on one element only.
	Near []policy.NearMiss
}

// Prover answers questions about one World. It is safe for concurrent use.
type Prover struct {
	repositories []repository
	principals   []principal
	seen         []string
}

type repository struct {
	Repository
	based []named // the repository's policy and the registry's
}

// named is a policy in both forms: to change and to evaluate.
type named struct {
	policy.Named
	doc policy.Document
}

type principal struct {
	Principal
	caller   policy.Caller
	identity []named
	boundary *named
	missing  bool // from an account that was seen whole
}

// New compiles w. The error names each policy that cannot be read and each
// principal that is none.
func New(w World) (*Prover, error) {
	p := &Prover{seen: w.Seen}
	registries := map[ecr.RegistryID][]named{}
	for in, text := range w.RegistryPolicies {
		if text == "" {
			continue
		}
		n, err := compile("registry policy", text)
		if err != nil {
			return nil, fmt.Errorf("the registry policy of %s: %w", in, err)
		}
		registries[in] = []named{n}
	}
	for _, r := range w.Repositories {
		compiled := repository{Repository: r}
		if r.Policy != "" {
			n, err := compile("repository policy", r.Policy)
			if err != nil {
				return nil, fmt.Errorf("the policy of repository %q: %w", r.Name, err)
			}
			compiled.based = []named{n}
		}
		compiled.based = append(compiled.based, registries[r.In]...)
		p.repositories = append(p.repositories, compiled)
	}
	for _, one := range w.Principals {
		compiled, err := newPrincipal(one)
		if err != nil {
			return nil, err
		}
		p.principals = append(p.principals, compiled)
	}
	return p, nil
}

func newPrincipal(one Principal) (principal, error) {
	caller, err := callerOf(one.ARN)
	if err != nil {
		return principal{}, err
	}
	caller.UniqueID, caller.Tags = one.UniqueID, one.Tags
	p := principal{Principal: one, caller: caller}
	for _, d := range one.Documents {
		n, err := compile(d.Name, d.Text)
		if err != nil {
			return principal{}, fmt.Errorf("policy %s of %s: %w", d.Name, one.ARN, err)
		}
		p.identity = append(p.identity, n)
	}
	if one.Boundary != nil {
		n, err := compile(one.Boundary.Name, one.Boundary.Text)
		if err != nil {
			return principal{}, fmt.Errorf("the permissions boundary of %s: %w", one.ARN, err)
		}
		p.boundary = &n
	}
	return p, nil
}

// sessionName is that of the session that stands for a role. A policy that
// names one session of a role speaks of others.
const sessionName = "any-session"

// callerOf is policy.ParseCaller, and for a role one of its sessions.
func callerOf(arn string) (policy.Caller, error) {
	prefix, path, ok := strings.Cut(arn, ":role/")
	if !ok || !strings.Contains(prefix, ":iam::") {
		return policy.ParseCaller(arn)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	session := strings.Replace(prefix, ":iam::", ":sts::", 1) + ":assumed-role/" + name + "/" + sessionName
	c, err := policy.ParseCaller(session)
	if err != nil {
		return policy.Caller{}, fmt.Errorf("%q is not the ARN of a role", arn)
	}
	c.RoleARN = arn
	return c, nil
}

// roleName is that of a role session, without the role's path, which the ARNs
// of sessions do not say: names of roles are unique in an account.
func roleName(c policy.Caller) string {
	_, rest, _ := strings.Cut(c.ARN, ":assumed-role/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// AccountOf is the account that arn is of, "" when it is of none.
func AccountOf(arn string) string {
	c, err := callerOf(arn)
	if err != nil {
		return ""
	}
	return c.Account
}

// CheckPrincipal says why arn names no principal; nil when it does.
func CheckPrincipal(arn string) error {
	_, err := callerOf(arn)
	return err
}

func compile(name, text string) (named, error) {
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return named{}, err
	}
	return compiled(name, doc), nil
}

func compiled(name string, doc policy.Document) named {
	return named{policy.Named{Name: name, Policy: policy.Compile(doc)}, doc}
}

func evaluable(list []named) []policy.Named {
	out := make([]policy.Named, len(list))
	for i, n := range list {
		out[i] = n.Named
	}
	return out
}
