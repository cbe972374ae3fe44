// Package proof answers who may do what with repositories, by the policies of
// both sides: the principal's own and the repository's and registry's. It says
// by which statements, and what would have to change.
//
// Every answer is one of policy.Evaluate, the engine that decides real
// requests; nothing is decided here. What is not known of a request before it
// is made (its address, its time) counts as unknown, and so does what a session
// of a role chooses (its name, its tags): an answer that depends on it says on
// which condition keys. What could not be read, such as the policies of another
// account, is not guessed: such an answer is Unseen.
//
// It leaves out what can only deny more: session policies, and the policies of
// organizations and VPC endpoints.
//
// The package is pure: what it knows is in a World.
package proof

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Right is something people want to do, such as pull. It represents the
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

// ParseRight reads a right, or an action of ECR in any letter case, with or
// without "ecr:" before it, and returns the actions.
func ParseRight(s string) ([]access.Action, error) {
	if list, ok := actions[Right(strings.ToLower(s))]; ok {
		return slices.Clone(list), nil
	}
	name := s
	if !strings.Contains(s, ":") {
		name = "ecr:" + s
	}
	if a, ok := policy.LookupAction(name); ok {
		return []access.Action{access.Action(a.Name)}, nil
	}
	// A word that begins with a small letter is a right misspelt.
	if name != s && (s == "" || 'a' <= s[0] && s[0] <= 'z') {
		return nil, fmt.Errorf("%q is not a right; want pull, push, delete, admin or an action such as ecr:PutImage", s)
	}
	return nil, policy.CheckAction(name)
}

// World is what is known. New checks it.
type World struct {
	// Registries say of a registry what counts for all of its repositories; those
	// that it lacks have no policy.
	Registries   map[ecr.RegistryID]Registry
	Repositories []Repository
	Principals   []Principal
	// Seen are the accounts (12 digits) of which Principals holds every user and
	// role: there are no others.
	Seen []string
}

// Registry is what a registry says about access to its repositories.
type Registry struct {
	// Policy is the text of the registry policy; "" for none.
	Policy string
	// Unseen says why the policy is not known, "" when it is.
	Unseen string
	// Scope is the account setting REGISTRY_POLICY_SCOPE: ScopeV2 or ScopeV1, ""
	// for ScopeV2, or ScopeUnseen. It says whether the policy governs all actions.
	Scope Scope
}

// Scope is a value of the account setting REGISTRY_POLICY_SCOPE.
type Scope string

// The scopes.
const (
	ScopeV1     Scope = "V1" // a few actions; see policy.Action
	ScopeV2     Scope = "V2" // all actions
	ScopeUnseen Scope = "unseen"
)

// KeyScope stands in DependsOn for the account setting that was not seen.
const KeyScope = "REGISTRY_POLICY_SCOPE"

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
	// Trust is the text of a role's trust policy; "" when it is not known.
	Trust string
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
	// Unseen: what was seen allows, and a policy that decides could not be read: the
	// principal's own, or the registry's.
	Unseen Outcome = "unseen"
	// Partly: some of the actions are allowed or may be, others denied.
	Partly Outcome = "partly"
)

// Answer says whether a principal may do all of some actions in a repository.
type Answer struct {
	// Principal is as it was asked for. The 12 digits of an account represent the
	// account as a whole: its root user, users and roles.
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
	// DependsOn are the condition keys that decide, and KeyScope.
	DependsOn []string
	// Unseen says what could not be read, for the outcome of that name.
	Unseen string
	// Near are the statements that fail on one element only.
	Near []policy.NearMiss
}

// Prover answers questions about one World. It is safe for concurrent use.
type Prover struct {
	repositories []repository
	alsoNaming   []*repository // more repositories that name principals
	powers       *sync.Map     // []Held of a principal who has the same everywhere, by heldIn
	registries   map[ecr.RegistryID]registry
	principals   []principal
	seen         []string
	image        *image // that is asked about; nil for none
}

type repository struct {
	Repository
	own      *named // its policy; nil for none
	added    []named
	registry registry
	image    *image // that is asked about; nil for none
}

// image is what is known of the image that is asked about.
type image struct {
	signedBy []string // nil where it is not known
	severity string   // "" where it is not known
}

type registry struct {
	Registry
	policy *named // nil for none
}

// named is a policy in both forms: to change and to evaluate.
type named struct {
	policy.Named
	doc policy.Document
}

// principal is one that can be asked about, with its own policies.
type principal struct {
	Principal
	caller   policy.Caller
	identity []named
	boundary *named
	missing  bool // from an account that was seen whole
	// known says that UniqueID and Tags are all there is.
	known bool
	// people says that it represents the users and roles of its account.
	people bool
}

// New compiles w. The error names each policy that cannot be read and each
// principal whose ARN is not one.
func New(w World) (*Prover, error) {
	registries := map[ecr.RegistryID]registry{}
	p := &Prover{seen: w.Seen, registries: registries, powers: &sync.Map{}}
	for in, r := range w.Registries {
		compiled := registry{Registry: r}
		if r.Policy != "" {
			n, err := compile("registry policy", r.Policy)
			if err != nil {
				return nil, fmt.Errorf("the registry policy of %s: %w", in, err)
			}
			compiled.policy = &n
		}
		registries[in] = compiled
	}
	for _, r := range w.Repositories {
		compiled := repository{Repository: r, registry: registries[r.In]}
		if r.Policy != "" {
			n, err := compile("repository policy", r.Policy)
			if err != nil {
				return nil, fmt.Errorf("the policy of repository %q: %w", r.Name, err)
			}
			compiled.own = &n
		}
		p.repositories = append(p.repositories, compiled)
	}
	for _, one := range w.Principals {
		compiled, err := newPrincipal(one)
		if err != nil {
			return nil, err
		}
		compiled.known = true
		compiled.caller.Varies = varies(compiled)
		p.principals = append(p.principals, compiled)
	}
	return p, nil
}

// SignedBy is p for images that have the signatures of these signers, and no others: it
// answers what depends on kontor:SignedBy.
func (p *Prover) SignedBy(signers ...string) *Prover {
	return p.about(func(i *image) { i.signedBy = append([]string{}, signers...) })
}

// MaxSeverity is p for images in which a scan found no worse than this: it answers what
// depends on kontor:MaxSeverity.
func (p *Prover) MaxSeverity(s ecr.Severity) *Prover {
	return p.about(func(i *image) { i.severity = string(s) })
}

// about is p for images of which set says more.
func (p *Prover) about(set func(*image)) *Prover {
	of := *p
	of.repositories, of.powers = slices.Clone(p.repositories), &sync.Map{}
	var known image
	if p.image != nil {
		known = *p.image
	}
	set(&known)
	of.image = &known
	for i := range of.repositories {
		of.repositories[i].image = &known
	}
	return &of
}

// newPrincipal is one of whom only that is known.
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
	p.caller.Varies = varies(p)
	return p, nil
}

// exampleSession is the name of the session that matches any one of a role.
const exampleSession = "any-session"

// callerOf is policy.ParseCaller, and for a role any one of its sessions.
func callerOf(arn string) (policy.Caller, error) {
	prefix, path, ok := strings.Cut(arn, ":role/")
	if !ok || !strings.Contains(prefix, ":iam::") {
		return policy.ParseCaller(arn)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	session := strings.Replace(prefix, ":iam::", ":sts::", 1) + ":assumed-role/" + name + "/" + exampleSession
	c, err := policy.ParseCaller(session)
	if err != nil {
		return policy.Caller{}, fmt.Errorf("%q is not the ARN of a role", arn)
	}
	c.RoleARN, c.AnySession = arn, true
	return c, nil
}

// roleName is that of a role session, without the role's path, which the ARNs
// of sessions do not say: names of roles are unique in an account.
func roleName(c policy.Caller) string {
	_, rest, _ := strings.Cut(c.ARN, ":assumed-role/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// AccountOf is the account of the principal arn, "" when it has none.
func AccountOf(arn string) string {
	c, err := callerOf(arn)
	if err != nil {
		return ""
	}
	return c.Account
}

// CheckPrincipal says why arn is not the ARN of a principal; nil when it is.
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
