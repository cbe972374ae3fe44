package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// IdentityTx reads and changes users, roles, policies and keys.
type IdentityTx interface {
	IdentityReader
	IdentityWriter
}

// User is an IAM user. UniqueID (AIDA...) is never reused; a name is. Within an
// account no two users have names that differ by letter case only.
type User struct {
	UniqueID  string
	Account   ecr.AccountID
	Name      string
	Path      string // such as "/build/"; "" is "/"
	CreatedAt time.Time
	// Policies are the managed policies attached, in byte order: the names of
	// those of AWS and of this server, and the ids (ANPA...) of the account's.
	Policies []string
	Inline   map[string]string // texts of its own policies by name; nil when none
	Boundary string            // the permissions boundary, as in Policies; "" for none
	Tags     map[string]string // nil when none
}

// Role is an IAM role. UniqueID (AROA...) and names are as a User's.
type Role struct {
	UniqueID    string
	Account     ecr.AccountID
	Name        string
	Path        string // as a User's, and so are the fields below
	CreatedAt   time.Time
	Policies    []string
	Inline      map[string]string
	Boundary    string
	Tags        map[string]string
	Description string
	Trust       string        // text of the trust policy
	MaxSession  time.Duration // whole seconds
}

// Policy is a customer-managed policy. ID (ANPA...) is never reused.
type Policy struct {
	ID          string
	Account     ecr.AccountID
	Name        string
	Path        string // "" is "/"
	Description string
	CreatedAt   time.Time
	UpdatedAt   time.Time // when a version was added, removed or made the default
	// Versions by number; Default is the number of the one in force, Last the
	// highest number ever given.
	Versions map[int]PolicyVersion
	Default  int
	Last     int
	Tags     map[string]string
}

// PolicyVersion is one text of a Policy.
type PolicyVersion struct {
	Text      string
	CreatedAt time.Time
}

// Issuer is an OpenID Connect identity provider that an account trusts.
type Issuer struct {
	Account     ecr.AccountID
	URL         string // with scheme, such as "https://token.example.com/repo"
	Audiences   []string
	Thumbprints []string // kept, not used
	CreatedAt   time.Time
}

// AccessKey is a user's key. Secret is sealed; the store never sees it plain.
type AccessKey struct {
	ID           string // AKIA...
	UserUniqueID string
	Sealed       []byte
	Active       bool
	CreatedAt    time.Time
	// LastUsed is about when it signed last; the zero KeyUse when it never did.
	LastUsed KeyUse
}

// KeyUse is one use of an access key.
type KeyUse struct {
	At      time.Time
	Service string // such as "ecr"
	Region  string
}

// TokenKey signs docker tokens. Sealed as above.
type TokenKey struct {
	ID        string
	Sealed    []byte
	CreatedAt time.Time
}

// MachineToken is a user's password for machines. It holds what it may do at most;
// what its user may do limits it too. The store never sees its secret. Names of a
// user's tokens differ in more than letter case.
type MachineToken struct {
	ID           string // AMTK...
	UserUniqueID string
	Name         string
	Hash         []byte // SHA-256 of the secret
	Policy       string // text of the session policy; "" for no limit
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero for never
	LastUsed     TokenUse  // as an AccessKey's
}

// TokenUse is one use of a MachineToken.
type TokenUse struct {
	At   time.Time
	From string // address of the client
}

// IdentityReader reads users, roles, policies and keys. Lists are in byte order
// of the names, at most limit, after the name after.
type IdentityReader interface {
	ConsoleSessionReader
	// Stamp names the state of all that an IdentityReader reads, except when access
	// keys were used, sessions of the console and machine tokens: where it is the same
	// in two transactions, all that is the same. "" says that the state cannot be told
	// from others.
	Stamp(ctx context.Context) string
	// User returns the user of that name, or ErrNotFound.
	User(ctx context.Context, account ecr.AccountID, name string) (User, error)
	// UserByID returns the user with the unique id, or ErrNotFound.
	UserByID(ctx context.Context, uniqueID string) (User, error)
	// ListUsers returns users of the account.
	ListUsers(ctx context.Context, account ecr.AccountID, after string, limit int) ([]User, error)
	// Role returns the role of that name, or ErrNotFound.
	Role(ctx context.Context, account ecr.AccountID, name string) (Role, error)
	// RoleByID returns the role with the unique id, or ErrNotFound.
	RoleByID(ctx context.Context, uniqueID string) (Role, error)
	// ListRoles returns roles of the account.
	ListRoles(ctx context.Context, account ecr.AccountID, after string, limit int) ([]Role, error)
	// Policy returns the policy of that name, or ErrNotFound.
	Policy(ctx context.Context, account ecr.AccountID, name string) (Policy, error)
	// Policies returns those of ids that are policies, each once, by id.
	Policies(ctx context.Context, ids []string) ([]Policy, error)
	// ListPolicies returns policies of the account.
	ListPolicies(ctx context.Context, account ecr.AccountID, after string, limit int) ([]Policy, error)
	// Issuer returns the account's issuer with that URL, or ErrNotFound.
	Issuer(ctx context.Context, account ecr.AccountID, url string) (Issuer, error)
	// ListIssuers returns the account's issuers in byte order of their URLs.
	ListIssuers(ctx context.Context, account ecr.AccountID) ([]Issuer, error)
	// HostedAccount reports whether the account has any user or role.
	HostedAccount(ctx context.Context, account ecr.AccountID) (bool, error)
	// AccessKey returns the key, or ErrNotFound.
	AccessKey(ctx context.Context, id string) (AccessKey, error)
	// ListAccessKeys returns a user's keys, oldest first.
	ListAccessKeys(ctx context.Context, userUniqueID string) ([]AccessKey, error)
	// MachineToken returns the token, or ErrNotFound.
	MachineToken(ctx context.Context, id string) (MachineToken, error)
	// ListMachineTokens returns a user's tokens in byte order of their names.
	ListMachineTokens(ctx context.Context, userUniqueID string) ([]MachineToken, error)
	// TokenKeys returns all token keys, newest first.
	TokenKeys(ctx context.Context) ([]TokenKey, error)
}

// IdentityWriter changes users, roles, policies and keys.
type IdentityWriter interface {
	ConsoleSessionWriter
	// InsertUser adds u. ErrExists for a name or unique id in use.
	InsertUser(ctx context.Context, u User) error
	// UpdateUser stores all of u but account and creation, found by its unique
	// id. ErrNotFound; ErrExists for a name in use.
	UpdateUser(ctx context.Context, u User) error
	// DeleteUser removes the user, its keys, its tokens and its sessions of the
	// console. ErrNotFound.
	DeleteUser(ctx context.Context, uniqueID string) error
	// InsertRole adds r. ErrExists for a name or unique id in use.
	InsertRole(ctx context.Context, r Role) error
	// UpdateRole stores all of r but account, name and creation, found by its
	// unique id. ErrNotFound.
	UpdateRole(ctx context.Context, r Role) error
	// DeleteRole removes the role. ErrNotFound.
	DeleteRole(ctx context.Context, uniqueID string) error
	// InsertPolicy adds p. ErrExists for a name or id in use.
	InsertPolicy(ctx context.Context, p Policy) error
	// UpdatePolicy stores versions, tags and UpdatedAt of p, found by its id.
	// ErrNotFound.
	UpdatePolicy(ctx context.Context, p Policy) error
	// DeletePolicy removes the policy. ErrNotFound; ErrReferenced while a user
	// or role of its account has it attached or as boundary.
	DeletePolicy(ctx context.Context, id string) error
	// PutIssuer adds the issuer or replaces the one with its URL.
	PutIssuer(ctx context.Context, i Issuer) error
	// DeleteIssuer removes the issuer. ErrNotFound.
	DeleteIssuer(ctx context.Context, account ecr.AccountID, url string) error
	// InsertAccessKey adds k. ErrExists; ErrReferenced without its user.
	InsertAccessKey(ctx context.Context, k AccessKey) error
	// SetAccessKeyActive switches a key on or off. Off, it removes the sessions of
	// the console that began with it. ErrNotFound.
	SetAccessKeyActive(ctx context.Context, id string, active bool) error
	// RecordKeyUse stores u as the key's last use unless a later one is stored;
	// a key that is gone is passed over.
	RecordKeyUse(ctx context.Context, id string, u KeyUse) error
	// DeleteAccessKey removes a key and its sessions of the console. ErrNotFound.
	DeleteAccessKey(ctx context.Context, id string) error
	// InsertMachineToken adds t. ErrExists for an id in use, or a name that its user
	// has for another; ErrReferenced without its user.
	InsertMachineToken(ctx context.Context, t MachineToken) error
	// RecordTokenUse stores u as the token's last use unless a later one is stored;
	// a token that is gone is passed over.
	RecordTokenUse(ctx context.Context, id string, u TokenUse) error
	// DeleteMachineToken removes a token. ErrNotFound.
	DeleteMachineToken(ctx context.Context, id string) error
	// InsertTokenKey adds k. ErrExists.
	InsertTokenKey(ctx context.Context, k TokenKey) error
	// DeleteTokenKey removes a token key. ErrNotFound.
	DeleteTokenKey(ctx context.Context, id string) error
}
