package ecrapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// A listing is one walk through a list: an operation with its parameters, in
// one registry. Its tokens hold the name after which the walk goes on, never
// an offset, so that deletions in between neither skip nor repeat anything.
//
// A token is bound to its listing by a hash. It is opaque but not secret: what
// it names the caller has been shown, and rights are asked again each time.
type listing struct{ bound [tokenHash]byte }

// Layout of a token, before base64url: version, hash of the listing, cursor.
const (
	tokenVersion = 1
	tokenHash    = 16
)

// newListing binds tokens to operation and parameters, the request without
// nextToken and maxResults.
func newListing(operation string, in ecr.RegistryID, parameters any) (listing, error) {
	b, err := json.Marshal(struct {
		Operation  string
		In         ecr.RegistryID
		Parameters any
	}{operation, in, parameters})
	if err != nil {
		return listing{}, err
	}
	sum := sha256.Sum256(b)
	return listing{[tokenHash]byte(sum[:tokenHash])}, nil
}

// token is the nextToken for going on after cursor; nil when cursor is empty.
func (l listing) token(cursor string) *string {
	if cursor == "" {
		return nil
	}
	b := append([]byte{tokenVersion}, l.bound[:]...)
	t := base64.RawURLEncoding.EncodeToString(append(b, cursor...))
	return &t
}

// cursor is what token was given for t; empty when t is nil. A token that is
// not of this listing is an InvalidParameterException (ECR's text for it is
// not known).
func (l listing) cursor(t *string) (string, error) {
	if t == nil {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(*t)
	if err != nil || len(b) <= 1+tokenHash || b[0] != tokenVersion || !bytes.Equal(b[1:1+tokenHash], l.bound[:]) {
		return "", ecr.InvalidParameter("nextToken", "must be a token that this operation returned for the same parameters")
	}
	return string(b[1+tokenHash:]), nil
}

// pageSize is maxResults, or the operation's default. The constraint table has
// checked its range.
func pageSize(maxResults *int32, otherwise int) int {
	if maxResults == nil {
		return otherwise
	}
	return int(*maxResults)
}

// exclusive refuses paging together with names: what is named comes at once.
// ECR documents the rule; its text is not known.
func exclusive(names string, maxResults *int32, nextToken *string) error {
	switch {
	case maxResults != nil:
		return ecr.InvalidParameter("maxResults", "must not be used together with %s", names)
	case nextToken != nil:
		return ecr.InvalidParameter("nextToken", "must not be used together with %s", names)
	}
	return nil
}
