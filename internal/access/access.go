// Package access holds the words that authentication, authorization and the
// registry's operations share: who calls, and what it wants to do.
package access

import (
	"fmt"

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
	// Policies are the managed policies attached to the user.
	Policies []string
	// System is the reason a job of the server itself acts; empty for people.
	System string
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
