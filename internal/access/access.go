// Package access holds the words that authentication, authorization and the
// registry's operations share: who calls, and what it wants to do.
package access

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Action is an IAM action, for example "ecr:PutImage".
type Action string

// Principal is an authenticated caller. Only authn and registry.System make
// one.
type Principal struct {
	Account ecr.AccountID
	// ARN as in messages, for example "arn:aws:iam::000000000000:user/admin".
	ARN string
	// UniqueID (AIDA...) outlives nothing: a user re-created under the same
	// name has another. Tokens are bound to it.
	UniqueID string
	// KeyID is the access key that authenticated the caller, or for a docker
	// token the key that it was issued to.
	KeyID string
	// Policies are the names of the managed policies of AWS and of this server
	// that are attached to the user or role.
	Policies []string
	// Documents are its other policies: customer-managed and inline ones.
	Documents []Document
	// Boundary is its permissions boundary; nil for none.
	Boundary *Document
	// Session is set when the caller uses temporary credentials.
	Session *Session
	// Token is set when the caller sent a machine token of the user.
	Token *MachineToken
	// Tags of the user or role, and over them those of the session
	// (aws:PrincipalTag).
	Tags map[string]string
	// Request is how the request in hand came; zero for jobs.
	Request RequestInfo
	// System is the reason a job of the server itself acts; empty for people.
	System string
}

// MachineToken is a password of a user for machines.
type MachineToken struct {
	ID, Name string
	// Scope limits what the caller may do, whatever the policies of both sides
	// grant; nil for no limit.
	Scope *Document
}

// ScannerUser is the name of the user whose tokens scanners read an image with, and
// ScannerToken what the names of these begin with: no one else can make such a token.
const (
	ScannerUser  = "kontor-scanner"
	ScannerToken = "kontor-scan:"
)

// OfScanner reports whether t was made for one scan.
func (t *MachineToken) OfScanner() bool { return strings.HasPrefix(t.Name, ScannerToken) }

// Document is a policy's text and what it is called in decisions.
type Document struct {
	Name string // such as "deployer" or "inline policy push"
	Text string // JSON
}

// Session is what temporary credentials add to their user or role.
type Session struct {
	// RoleARN is the role's, with its path, which the session's ARN does not
	// have; empty for sessions of users.
	RoleARN string
	// Policies limit the session to what one of them allows; none do not.
	Policies []Document
	// IssuedAt is when the credentials were made (aws:TokenIssueTime).
	IssuedAt time.Time
	// MFA and SourceIdentity as given when they were made.
	MFA            bool
	SourceIdentity string
	// TransitiveTags are the names of those of its tags that a role assumed by
	// the session takes over.
	TransitiveTags []string
	// Token is the session token as package identity made it, sealed, so that
	// docker tokens can be bound to it. Never logged.
	Token []byte
}

// RequestInfo is what policies may ask about a request.
type RequestInfo struct {
	ID        string     // as answered, for the audit log
	Source    netip.Addr // aws:SourceIp; invalid when it is not known
	TLS       bool       // aws:SecureTransport
	UserAgent string     // aws:UserAgent
	Via       string     // "console" for a request of the console, for the audit log; "" for those of APIs
	At        time.Time  // aws:CurrentTime and aws:EpochTime, authentication time
	// Organizations are those of accounts, for aws:PrincipalOrgID and
	// aws:ResourceOrgID; nil when the server was told of none.
	Organizations Organizations
}

// Organizations says which organization an account is in, for example
// "o-exampleorgid"; an account that is not there is in none.
type Organizations map[ecr.AccountID]string

// Owner names who is answerable for what p takes of the server: the user or
// role, whatever its sessions are called. It is p's unique id without the name
// of a session; empty for the server itself.
func (p Principal) Owner() string {
	owner, _, _ := strings.Cut(p.UniqueID, ":")
	return owner
}

// String is the principal's name in journals and logs.
func (p Principal) String() string {
	if p.System != "" {
		return fmt.Sprintf("system: %s", p.System)
	}
	return p.ARN
}

// The managed policies that this server knows.
const (
	// PolicyAdministrator allows everything in the user's own account.
	PolicyAdministrator = "AdministratorAccess"
	// PolicyPushPull allows to obtain a token, push, pull and look, in the
	// user's own account: Amazon's policy for the same purpose.
	PolicyPushPull = "AmazonEC2ContainerRegistryPowerUser"
	// PolicyReferrers, Kontor's own, allows to list what refers to an image
	// (signatures, SBOMs), which Amazon's policy leaves out and clients that
	// push and pull artifacts want.
	PolicyReferrers = "KontorListReferrers"
)
