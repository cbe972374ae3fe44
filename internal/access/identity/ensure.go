package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// localUsers are the users that each hosted account gets.
var localUsers = []struct {
	name     string
	policies []string // in byte order
}{
	{Administrator, []string{access.PolicyAdministrator}},
	{Pusher, []string{access.PolicyPushPull, access.PolicyReferrers}},
}

// ensureAttempts bounds the repetitions after losing a race: whoever lost
// finds everything there the second time, a third time allows for a drawn id
// that was taken.
const ensureAttempts = 3

// EnsureAccount creates what account lacks of its administrator and its
// push/pull user, each with an access key, and the server's key for docker
// tokens. It may be called at every start and by several processes at once;
// where nothing is missing it writes nothing.
//
// It opens each secret it finds, so a wrong master key shows here
// (ErrMasterKey) and nothing new is sealed next to secrets that it cannot open.
func (s *Service) EnsureAccount(ctx context.Context, account ecr.AccountID) error {
	complete := false
	err := s.view(ctx, func(ctx context.Context, r meta.IdentityReader) error {
		missing, err := s.missing(ctx, r, account)
		complete = missing.nothing()
		return err
	})
	if err == nil && !complete {
		err = s.create(ctx, account)
	}
	if err != nil {
		return fmt.Errorf("setting up account %s: %w", account, err)
	}
	return nil
}

// Administered reports whether account has its administrator.
func (s *Service) Administered(ctx context.Context, account ecr.AccountID) (yes bool, err error) {
	err = s.view(ctx, func(ctx context.Context, r meta.IdentityReader) error {
		_, err := r.User(ctx, account, Administrator)
		if yes = err == nil; errors.Is(err, meta.ErrNotFound) {
			return nil
		}
		return err
	})
	return yes, err
}

// Bootstrap makes the administrator of account, with the access key c, where it
// does not exist. It may be called at every start and by several processes at
// once. differs reports that the administrator exists and does not have that key.
func (s *Service) Bootstrap(ctx context.Context, account ecr.AccountID, c Credentials) (differs bool, err error) {
	for range ensureAttempts {
		err = s.update(ctx, func(ctx context.Context, tx meta.IdentityTx) error {
			differs = false
			u, err := tx.User(ctx, account, Administrator)
			if errors.Is(err, meta.ErrNotFound) {
				u = meta.User{
					Account: account, Name: Administrator, UniqueID: NewUserID(), CreatedAt: s.cfg.Now().UTC(),
					Policies: []string{access.PolicyAdministrator},
				}
				if err := tx.InsertUser(ctx, u); err != nil {
					return fmt.Errorf("creating user %s: %w", u.Name, err)
				}
				_, err = s.PutAccessKey(ctx, tx, u, c)
				return err
			}
			if err != nil {
				return err
			}
			keys, err := tx.ListAccessKeys(ctx, u.UniqueID)
			differs = true
			for _, k := range keys {
				if k.ID != c.AccessKeyID {
					continue
				}
				secret, serr := s.Secret(k)
				if serr != nil {
					return serr
				}
				differs = secret != c.SecretAccessKey
			}
			return err
		})
		if !errors.Is(err, meta.ErrExists) {
			break
		}
	}
	if errors.Is(err, meta.ErrExists) {
		return false, fmt.Errorf("administrator of account %s: another user has the access key %s: choose another", account, c.AccessKeyID)
	}
	if err != nil {
		return false, fmt.Errorf("administrator of account %s: %w", account, err)
	}
	return differs, nil
}

// lack is what an account does not have yet.
type lack struct {
	users    []meta.User // to be inserted, with a key each
	keys     []meta.User // there, but without any key
	tokenKey bool
}

func (l lack) nothing() bool { return len(l.users) == 0 && len(l.keys) == 0 && !l.tokenKey }

// missing finds out what account lacks and opens what is there.
func (s *Service) missing(ctx context.Context, r meta.IdentityReader, account ecr.AccountID) (lack, error) {
	var l lack
	tokenKeys, err := r.TokenKeys(ctx)
	if err != nil {
		return lack{}, fmt.Errorf("reading token keys: %w", err)
	}
	for _, k := range tokenKeys {
		if _, err := s.cfg.Key.Open(KindTokenKey, k.ID, k.Sealed); err != nil {
			return lack{}, err
		}
	}
	l.tokenKey = len(tokenKeys) == 0
	for _, want := range localUsers {
		user, err := r.User(ctx, account, want.name)
		if errors.Is(err, meta.ErrNotFound) {
			l.users = append(l.users, meta.User{Account: account, Name: want.name, Policies: slices.Clone(want.policies)})
			continue
		}
		if err != nil {
			return lack{}, fmt.Errorf("reading user %s: %w", want.name, err)
		}
		keys, err := r.ListAccessKeys(ctx, user.UniqueID)
		if err != nil {
			return lack{}, fmt.Errorf("reading the keys of user %s: %w", want.name, err)
		}
		for _, k := range keys {
			if _, err := s.cfg.Key.Open(KindAccessKey, k.ID, k.Sealed); err != nil {
				return lack{}, err
			}
		}
		if len(keys) == 0 {
			l.keys = append(l.keys, user)
		}
	}
	return l, nil
}

// create inserts what is missing. The names' constraints settle races: who
// finds a name taken starts again.
func (s *Service) create(ctx context.Context, account ecr.AccountID) error {
	var err error
	for range ensureAttempts {
		err = s.update(ctx, func(ctx context.Context, tx meta.IdentityTx) error {
			l, err := s.missing(ctx, tx, account)
			if err != nil {
				return err
			}
			for _, u := range l.users {
				u.UniqueID, u.CreatedAt = NewUserID(), s.cfg.Now().UTC()
				if err := tx.InsertUser(ctx, u); err != nil {
					return fmt.Errorf("creating user %s: %w", u.Name, err)
				}
				if err := s.insertAccessKey(ctx, tx, u); err != nil {
					return err
				}
			}
			for _, u := range l.keys {
				if err := s.insertAccessKey(ctx, tx, u); err != nil {
					return err
				}
			}
			if l.tokenKey {
				return s.insertTokenKey(ctx, tx)
			}
			return nil
		})
		if !errors.Is(err, meta.ErrExists) {
			return err
		}
	}
	return err
}

func (s *Service) insertAccessKey(ctx context.Context, tx meta.IdentityTx, u meta.User) error {
	_, _, err := s.AddAccessKey(ctx, tx, u)
	return err
}

// AddAccessKey gives u another access key.
func (s *Service) AddAccessKey(ctx context.Context, tx meta.IdentityTx, u meta.User) (meta.AccessKey, Credentials, error) {
	c := Credentials{AccessKeyID: newAccessKeyID(), SecretAccessKey: newSecret()}
	k, err := s.PutAccessKey(ctx, tx, u, c)
	return k, c, err
}

// PutAccessKey gives u the access key c, which others chose. meta.ErrExists
// when there is one of that id.
func (s *Service) PutAccessKey(ctx context.Context, tx meta.IdentityTx, u meta.User, c Credentials) (meta.AccessKey, error) {
	k := meta.AccessKey{
		ID: c.AccessKeyID, UserUniqueID: u.UniqueID, Sealed: s.cfg.Key.Seal(KindAccessKey, c.AccessKeyID, []byte(c.SecretAccessKey)),
		Active: true, CreatedAt: s.cfg.Now().UTC(),
	}
	if err := tx.InsertAccessKey(ctx, k); err != nil {
		return meta.AccessKey{}, fmt.Errorf("creating an access key for user %s: %w", u.Name, err)
	}
	return k, nil
}

// Secret opens the secret of a stored key.
func (s *Service) Secret(k meta.AccessKey) (string, error) {
	secret, err := s.cfg.Key.Open(KindAccessKey, k.ID, k.Sealed)
	return string(secret), err
}

func (s *Service) insertTokenKey(ctx context.Context, tx meta.IdentityTx) error {
	id := newID("", tokenKeyIDLen)
	err := tx.InsertTokenKey(ctx, meta.TokenKey{
		ID: id, Sealed: s.cfg.Key.Seal(KindTokenKey, id, random(tokenKeySize)), CreatedAt: s.cfg.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("creating a token key: %w", err)
	}
	return nil
}
