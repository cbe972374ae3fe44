// Package authn finds out who sent a request: by its AWS signature (version
// 4, in a header or in the query) or, for docker, by a token as HTTP Basic
// password. Issuers verifies the tokens of OpenID Connect identity providers.
//
// It guarantees that a request whose signed parts or body were changed after
// signing is refused, that a signature holds for 15 minutes and for one
// region and service, and that secrets are compared in constant time. Like
// AWS, it does not refuse a request sent twice within that time. Keys and
// tokens are looked up for each request.
//
// Source: AWS General Reference, "Signature Version 4 signing process", and
// the published test suite aws-sig-v4-test-suite. Error texts are AWS'.
package authn

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Keys finds access keys.
type Keys interface {
	// Lookup returns whom an active access key belongs to and its secret;
	// an UnrecognizedClientException for any other key.
	Lookup(ctx context.Context, accessKeyID string) (access.Principal, string, error)
	// LookupSession is the same for temporary credentials, with their session
	// token; ExpiredTokenException when their time is over.
	LookupSession(ctx context.Context, accessKeyID, token string) (access.Principal, string, error)
	// Used notes that a request signed with the key was accepted.
	Used(ctx context.Context, accessKeyID, service string, region ecr.Region)
}

// Tokens verifies docker tokens.
type Tokens interface {
	// VerifyToken returns whom password was issued to for region;
	// UnrecognizedClientException, ExpiredTokenException or, for another
	// region, AccessDeniedException.
	VerifyToken(ctx context.Context, password string, region ecr.Region) (access.Principal, error)
}

// Config is what a Verifier is made of. All fields are required.
type Config struct {
	Keys Keys
	// Now is the authentication clock; it is never moved.
	Now func() time.Time
}

// Verifier verifies signatures. It is safe for concurrent use.
type Verifier struct{ cfg Config }

// New returns a Verifier.
func New(cfg Config) *Verifier { return &Verifier{cfg: cfg} }
