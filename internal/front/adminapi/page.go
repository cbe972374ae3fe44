package adminapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// A listing is one walk through a list: an operation with its parameters, in
// one registry. Its tokens hold the key after which the walk goes on, never an
// offset, so that deletions in between neither skip nor repeat anything. They
// are bound to the listing by a hash, opaque but not secret: rights are asked
// again each time.
type listing struct {
	bound [tokenHash]byte
	// limit is how many elements to return.
	limit int
	// after is the key to go on after; "" at first.
	after string
}

// Layout of a token, before base64url: version, hash of the listing, key.
const (
	tokenVersion = 1
	tokenHash    = 16
)

// newListing reads maxResults and nextToken of a request whose other
// parameters are parameters.
func newListing(operation string, in ecr.RegistryID, parameters any, maxResults int32, nextToken string) (listing, error) {
	b, err := json.Marshal(struct {
		Operation  string
		In         ecr.RegistryID
		Parameters any
	}{operation, in, parameters})
	if err != nil {
		return listing{}, err
	}
	sum := sha256.Sum256(b)
	l := listing{bound: [tokenHash]byte(sum[:tokenHash]), limit: admin.DefaultPage}
	if maxResults != 0 {
		switch l.limit = int(maxResults); {
		case l.limit < 1:
			return listing{}, ecr.InvalidParameter("maxResults", "Member must have value greater than or equal to 1")
		case l.limit > admin.MaxPage:
			return listing{}, ecr.InvalidParameter("maxResults", "Member must have value less than or equal to %d", admin.MaxPage)
		}
	}
	if nextToken != "" {
		t, err := base64.RawURLEncoding.Strict().DecodeString(nextToken)
		if err != nil || len(t) <= 1+tokenHash || t[0] != tokenVersion || !bytes.Equal(t[1:1+tokenHash], l.bound[:]) {
			return listing{}, badToken()
		}
		l.after = string(t[1+tokenHash:])
	}
	return l, nil
}

func badToken() error {
	return ecr.InvalidParameter("nextToken", "must be a token that this operation returned for the same parameters")
}

// number is the key of a list that is ordered by numbers; 0 at first.
func (l listing) number() (int64, error) {
	if l.after == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(l.after, 10, 64)
	if err != nil || n < 0 {
		return 0, badToken()
	}
	return n, nil
}

// token is the nextToken for going on after key.
func (l listing) token(key string) string {
	b := append([]byte{tokenVersion}, l.bound[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, key...))
}
