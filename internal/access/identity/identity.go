// Package identity keeps users, their access keys, temporary credentials and
// the keys that sign docker tokens, on top of the metadata store.
//
// It guarantees that no secret reaches the store unsealed (MasterKey), that
// each sealed secret opens for its own row only, and that what the store
// holds now decides: what is kept between calls holds only as long as no identity
// has changed, which each call reads in its snapshot. So a key switched off or a user
// deleted is refused by the next request, on every replica, and a policy changed
// holds for it. See docs/design/0028.
//
// Texts and forms of ids follow AWS: IAM user guide, "IAM identifiers".
package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Names of the users that every hosted account has.
const (
	Administrator = "administrator" // access.PolicyAdministrator
	Pusher        = "pusher"        // access.PolicyPushPull and access.PolicyReferrers
)

// Config is what a Service is made of.
type Config struct {
	Meta meta.Store
	// Key opens and seals the secrets in Meta.
	Key MasterKey
	// Now is the authentication clock; it is never moved.
	Now func() time.Time
	// Partition is the first word of users' ARNs. Default "aws".
	Partition string
}

// Service answers who a key or a token belongs to. It is safe for concurrent
// use.
type Service struct {
	cfg Config

	verified verifiedTable

	mu   sync.Mutex
	used map[string]time.Time // when a use of a key was stored last; guarded by mu
}

// New returns a Service. It reads nothing yet.
func New(cfg Config) *Service {
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	return &Service{cfg: cfg, verified: verifiedTable{Max: verifiedBytes}, used: map[string]time.Time{}}
}

// Snapshots are where identities are looked up: a meta.Store, or the visit of a
// request that continues in the same snapshot.
type Snapshots interface {
	View(ctx context.Context, fn func(ctx context.Context, r meta.Reader) error) error
}

func (s *Service) view(ctx context.Context, fn func(ctx context.Context, r meta.IdentityReader) error) error {
	return s.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error { return fn(ctx, r.Identities()) })
}

func (s *Service) update(ctx context.Context, fn func(ctx context.Context, tx meta.IdentityTx) error) error {
	return s.cfg.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error { return fn(ctx, tx.Identities()) })
}

// Credentials are an access key for tools.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
}

// Credentials returns the oldest active key of the account's user.
// ErrMasterKey when the master key is not the one of the data.
func (s *Service) Credentials(ctx context.Context, account ecr.AccountID, userName string) (Credentials, error) {
	var keys []meta.AccessKey
	err := s.view(ctx, func(ctx context.Context, r meta.IdentityReader) error {
		user, err := r.User(ctx, account, userName)
		if err != nil {
			return err
		}
		keys, err = r.ListAccessKeys(ctx, user.UniqueID)
		return err
	})
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials of user %s in account %s: %w", userName, account, err)
	}
	for _, k := range keys {
		if !k.Active {
			continue
		}
		secret, err := s.cfg.Key.Open(KindAccessKey, k.ID, k.Sealed)
		if err != nil {
			return Credentials{}, err
		}
		return Credentials{AccessKeyID: k.ID, SecretAccessKey: string(secret)}, nil
	}
	return Credentials{}, fmt.Errorf("user %s in account %s has no active access key", userName, account)
}

// errInvalidToken is AWS's text for a key or token that is unknown, switched
// off or whose user is gone.
func errInvalidToken() *ecr.Error {
	return ecr.Errorf(ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
}

// Lookup returns whom an access key belongs to, and its secret.
// UnrecognizedClient for a key that is unknown or not active.
func (s *Service) Lookup(ctx context.Context, accessKeyID string) (access.Principal, string, error) {
	var key meta.AccessKey
	var p access.Principal
	err := s.view(ctx, func(ctx context.Context, r meta.IdentityReader) (err error) {
		key, p, err = s.principal(ctx, r, accessKeyID)
		return err
	})
	if err != nil {
		return access.Principal{}, "", storeError(err, "looking up access key "+accessKeyID)
	}
	secret, err := s.cfg.Key.Open(KindAccessKey, key.ID, key.Sealed)
	if err != nil {
		return access.Principal{}, "", err
	}
	return p, string(secret), nil
}

// principal reads an active key and its user within one transaction.
func (s *Service) principal(ctx context.Context, r meta.IdentityReader, keyID string) (meta.AccessKey, access.Principal, error) {
	none := func(err error) (meta.AccessKey, access.Principal, error) {
		if errors.Is(err, meta.ErrNotFound) {
			err = errInvalidToken()
		}
		return meta.AccessKey{}, access.Principal{}, err
	}
	key, err := r.AccessKey(ctx, keyID)
	if err != nil {
		return none(err)
	}
	if !key.Active {
		return none(errInvalidToken())
	}
	user, err := r.UserByID(ctx, key.UserUniqueID)
	if err != nil {
		return none(err)
	}
	p := access.Principal{
		Account:  user.Account,
		ARN:      UserARN(s.cfg.Partition, user),
		UniqueID: user.UniqueID,
		KeyID:    key.ID,
		Tags:     user.Tags,
	}
	if err := fillPolicies(ctx, r, &p, user.Policies, user.Inline, user.Boundary); err != nil {
		return none(err)
	}
	return key, p, nil
}

// UserARN is the ARN of u.
func UserARN(partition string, u meta.User) string {
	return ecr.IAMARN(partition, u.Account, "user"+PathOf(u.Path)+u.Name)
}

// RoleARN is the ARN of r.
func RoleARN(partition string, r meta.Role) string {
	return ecr.IAMARN(partition, r.Account, "role"+PathOf(r.Path)+r.Name)
}

// PathOf is the path of a row, which may be stored as "".
func PathOf(stored string) string {
	if stored == "" {
		return "/"
	}
	return stored
}

// useStep is how exactly the last use of a key is known.
const useStep = 15 * time.Minute

// Used records that a request signed with the key was accepted. It stores one
// use in useStep at most, and nothing while the store cannot write: what the
// key is good for does not depend on it.
func (s *Service) Used(ctx context.Context, keyID, service string, region ecr.Region) {
	s.once(keyID, func(now time.Time) error {
		return s.update(meta.Hot(ctx), func(ctx context.Context, tx meta.IdentityTx) error {
			return tx.RecordKeyUse(ctx, keyID, meta.KeyUse{At: now, Service: service, Region: string(region)})
		})
	})
}

// once stores a use of what has the id, unless one was stored within useStep.
func (s *Service) once(id string, store func(now time.Time) error) {
	now := s.cfg.Now().UTC().Truncate(time.Second)
	s.mu.Lock()
	due := now.Sub(s.used[id]) >= useStep
	if due {
		s.used[id] = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	if err := store(now); err != nil { // the next request tries again
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.used, id)
	}
}

// storeError keeps errors that are for the caller and tells apart what may
// pass from what may not.
func storeError(err error, doing string) error {
	var known *ecr.Error
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, meta.ErrUnavailable):
		return &ecr.Error{Code: ecr.CodeUnavailable, Message: "The service cannot verify identities now. Try again later.",
			Err: fmt.Errorf("%s: %w", doing, err)}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// newID returns prefix and n random characters of A-Z and 2-7, as IAM's
// unique ids and access key ids are.
func newID(prefix string, n int) string {
	return prefix + base32.StdEncoding.EncodeToString(random(n))[:n]
}

// NewUserID draws a user's unique id.
func NewUserID() string { return newID("AIDA", 17) }

// NewRoleID draws a role's unique id.
func NewRoleID() string { return newID("AROA", 17) }

// NewPolicyID draws a managed policy's id.
func NewPolicyID() string { return newID(policyIDPrefix, 17) }

func newAccessKeyID() string  { return newID("AKIA", 16) }
func newSessionKeyID() string { return newID(sessionKeyPrefix, 16) }

// newSecret is 40 characters holding 240 random bits.
func newSecret() string { return base64.StdEncoding.EncodeToString(random(30)) }
