package iam

import (
	"context"
	"errors"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// NewUser is a user to be.
type NewUser struct {
	Name, Path string
	Boundary   string // ARN of a managed policy; "" for none
	Tags       []Tag
}

// CreateUser adds a user, without keys.
func (c *Caller) CreateUser(ctx context.Context, n NewUser) (u meta.User, err error) {
	if err := errors.Join(checkName("userName", n.Name, maxUserName), checkPath(&n.Path)); err != nil {
		return u, firstOf(err)
	}
	tags, err := checkTags(nil, n.Tags)
	if err != nil {
		return u, err
	}
	err = c.update(ctx, "iam:CreateUser", func(ctx context.Context, tx *writing) error {
		q := question{resource: c.arn("user", n.Path, n.Name), requestTags: tagMap(n.Tags), tagKeys: tagKeys(n.Tags), boundary: n.Boundary}
		if err := tx.may(q); err != nil {
			return err
		}
		if len(n.Tags) > 0 {
			if err := tx.also("iam:TagUser", q); err != nil {
				return err
			}
		}
		u = meta.User{UniqueID: identity.NewUserID(), Account: c.p.Account, Name: n.Name, Path: n.Path, CreatedAt: c.now(), Tags: tags}
		if u.Boundary, err = tx.reference(ctx, n.Boundary); err != nil {
			return err
		}
		err := tx.InsertUser(ctx, u)
		if errors.Is(err, meta.ErrExists) {
			return ecr.Errorf(CodeEntityAlreadyExists, "User with name %s already exists.", n.Name)
		}
		return err
	})
	return u, err
}

// firstOf is the first of joined errors: AWS reports one.
func firstOf(err error) error {
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) {
		return all.Unwrap()[0]
	}
	return err
}

// OwnName is the name of the user that calls, for operations that mean it when
// they name none. ValidationError for a role's session.
func (c *Caller) OwnName() (string, error) {
	_, path, ok := strings.Cut(c.p.ARN, ":user/")
	if !ok {
		return "", ecr.Errorf(ecr.CodeValidation, "Must specify userName when calling with non-User credentials")
	}
	return path[strings.LastIndexByte(path, '/')+1:], nil
}

// orOwn completes a name.
func (c *Caller) orOwn(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	return c.OwnName()
}

// User returns a user; the caller for "".
func (c *Caller) User(ctx context.Context, name string) (u meta.User, err error) {
	if name, err = c.orOwn(name); err != nil {
		return u, err
	}
	err = c.view(ctx, "iam:GetUser", func(ctx context.Context, r *reading) (err error) {
		u, err = r.user(ctx, name, question{})
		return err
	})
	return u, err
}

// Users lists users by name, and where the next page begins.
func (c *Caller) Users(ctx context.Context, p Page) (list []meta.User, next string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	err = c.view(ctx, "iam:ListUsers", func(ctx context.Context, r *reading) (err error) {
		if err := r.may(question{resource: c.arn("user", p.PathPrefix, "")}); err != nil {
			return err
		}
		list, next, err = collect(p, func(after string, limit int) ([]meta.User, error) {
			return r.ListUsers(ctx, c.p.Account, after, limit)
		}, func(u meta.User) string { return u.Name }, func(u meta.User) bool { return strings.HasPrefix(identity.PathOf(u.Path), p.PathPrefix) })
		return err
	})
	return list, next, err
}

// UpdateUser renames and moves a user; "" leaves name or path as it is. Keys
// and policies stay.
func (c *Caller) UpdateUser(ctx context.Context, name, newName, newPath string) error {
	if newName != "" {
		if err := checkName("newUserName", newName, maxUserName); err != nil {
			return err
		}
	}
	if newPath != "" {
		if err := checkPath(&newPath); err != nil {
			return err
		}
	}
	return c.update(ctx, "iam:UpdateUser", func(ctx context.Context, tx *writing) error {
		u, err := tx.user(ctx, name, question{})
		if err != nil {
			return err
		}
		if err := notOurs(u.Name); err != nil {
			return err
		}
		if newName != "" {
			u.Name = newName
		}
		if newPath != "" {
			u.Path = newPath
		}
		// "the user must have permission on both the source and the target"
		if err := tx.may(question{resource: c.arn("user", u.Path, u.Name), tags: u.Tags}); err != nil {
			return err
		}
		err = tx.UpdateUser(ctx, u)
		if errors.Is(err, meta.ErrExists) {
			return ecr.Errorf(CodeEntityAlreadyExists, "User with name %s already exists.", newName)
		}
		return err
	})
}

// notOurs protects the users that every account has and that would come back
// at the next start.
func notOurs(name string) error {
	if name == identity.Administrator || name == identity.Pusher {
		return ecr.Errorf(CodeUnmodifiableEntity, "The user with name %s belongs to this server and cannot be renamed or deleted. Deactivate its access keys instead.", name)
	}
	return nil
}

// DeleteUser removes a user that has neither keys nor policies.
func (c *Caller) DeleteUser(ctx context.Context, name string) error {
	return c.update(ctx, "iam:DeleteUser", func(ctx context.Context, tx *writing) error {
		u, err := tx.user(ctx, name, question{})
		if err != nil {
			return err
		}
		if err := notOurs(u.Name); err != nil {
			return err
		}
		keys, err := tx.ListAccessKeys(ctx, u.UniqueID)
		if err != nil {
			return err
		}
		if err := conflicts(len(keys), len(u.Policies), len(u.Inline)); err != nil {
			return err
		}
		return tx.DeleteUser(ctx, u.UniqueID)
	})
}

// conflicts says what must go before a user or role can.
func conflicts(keys, attached, inline int) error {
	for _, c := range []struct {
		n    int
		what string
	}{{attached, "must detach all policies first."}, {keys, "must delete access keys first."}, {inline, "must delete policies first."}} {
		if c.n > 0 {
			return ecr.Errorf(CodeDeleteConflict, "Cannot delete entity, %s", c.what)
		}
	}
	return nil
}

// CreateAccessKey gives a user, the caller for "", another key. Its secret is
// told once.
func (c *Caller) CreateAccessKey(ctx context.Context, name string) (u meta.User, k meta.AccessKey, secret string, err error) {
	if name, err = c.orOwn(name); err != nil {
		return u, k, "", err
	}
	err = c.update(ctx, "iam:CreateAccessKey", func(ctx context.Context, tx *writing) (err error) {
		if u, err = tx.user(ctx, name, question{}); err != nil {
			return err
		}
		keys, err := tx.ListAccessKeys(ctx, u.UniqueID)
		if err != nil {
			return err
		}
		if len(keys) >= maxKeys {
			return limitExceeded("AccessKeysPerUser", maxKeys)
		}
		var made identity.Credentials
		k, made, err = c.s.cfg.Identity.AddAccessKey(ctx, tx, u)
		secret = made.SecretAccessKey
		return err
	})
	return u, k, secret, err
}

// EnsureAccessKey gives a user a key that others chose, for jobs of the server
// only. Where the user has it already it is switched on and keeps or takes the
// secret; EntityAlreadyExists when another user has it.
func (c *Caller) EnsureAccessKey(ctx context.Context, name string, want identity.Credentials) error {
	if c.p.System == "" {
		return ecr.Errorf(ecr.CodeAccessDenied, "Access keys are chosen by the server.")
	}
	return c.update(ctx, "iam:CreateAccessKey", func(ctx context.Context, tx *writing) error {
		u, err := tx.user(ctx, name, question{})
		if err != nil {
			return err
		}
		k, err := tx.AccessKey(ctx, want.AccessKeyID)
		switch {
		case errors.Is(err, meta.ErrNotFound):
		case err != nil:
			return err
		case k.UserUniqueID != u.UniqueID:
			return ecr.Errorf(CodeEntityAlreadyExists, "Access key %s belongs to another user.", k.ID)
		default:
			secret, err := c.s.cfg.Identity.Secret(k)
			if err != nil {
				return err
			}
			if secret == want.SecretAccessKey {
				if k.Active {
					return nil
				}
				return tx.SetAccessKeyActive(ctx, k.ID, true)
			}
			if err := tx.DeleteAccessKey(ctx, k.ID); err != nil {
				return err
			}
		}
		_, err = c.s.cfg.Identity.PutAccessKey(ctx, tx, u, want)
		return err
	})
}

// AccessKeys lists a user's keys, oldest first.
func (c *Caller) AccessKeys(ctx context.Context, name string) (u meta.User, keys []meta.AccessKey, err error) {
	if name, err = c.orOwn(name); err != nil {
		return u, nil, err
	}
	err = c.view(ctx, "iam:ListAccessKeys", func(ctx context.Context, r *reading) (err error) {
		if u, err = r.user(ctx, name, question{}); err == nil {
			keys, err = r.ListAccessKeys(ctx, u.UniqueID)
		}
		return err
	})
	return u, keys, err
}

// key reads a key of the user.
func (r *reading) key(ctx context.Context, name, id string) (meta.AccessKey, error) {
	u, err := r.user(ctx, name, question{})
	if err != nil {
		return meta.AccessKey{}, err
	}
	k, err := r.AccessKey(ctx, id)
	if errors.Is(err, meta.ErrNotFound) || err == nil && k.UserUniqueID != u.UniqueID {
		return k, noKey(id)
	}
	return k, err
}

func noKey(id string) error {
	return ecr.Errorf(CodeNoSuchEntity, "The Access Key with id %.128s cannot be found.", id)
}

// SetAccessKeyActive switches a user's key on or off, at once and for
// everything that was issued to it.
func (c *Caller) SetAccessKeyActive(ctx context.Context, name, id string, active bool) (err error) {
	if name, err = c.orOwn(name); err != nil {
		return err
	}
	return c.update(ctx, "iam:UpdateAccessKey", func(ctx context.Context, tx *writing) error {
		k, err := tx.key(ctx, name, id)
		if err != nil {
			return err
		}
		return tx.SetAccessKeyActive(ctx, k.ID, active)
	})
}

// DeleteAccessKey removes a user's key, and with it what was issued to it.
func (c *Caller) DeleteAccessKey(ctx context.Context, name, id string) (err error) {
	if name, err = c.orOwn(name); err != nil {
		return err
	}
	return c.update(ctx, "iam:DeleteAccessKey", func(ctx context.Context, tx *writing) error {
		k, err := tx.key(ctx, name, id)
		if err != nil {
			return err
		}
		return tx.DeleteAccessKey(ctx, k.ID)
	})
}

// AccessKeyLastUsed returns a key and whose it is.
func (c *Caller) AccessKeyLastUsed(ctx context.Context, id string) (u meta.User, k meta.AccessKey, err error) {
	err = c.view(ctx, "iam:GetAccessKeyLastUsed", func(ctx context.Context, r *reading) (err error) {
		k, err = r.AccessKey(ctx, id)
		if err == nil {
			u, err = r.UserByID(ctx, k.UserUniqueID)
		}
		missing := errors.Is(err, meta.ErrNotFound) || err == nil && u.Account != c.p.Account
		if err != nil && !missing {
			return err
		}
		resource := "*"
		if !missing {
			resource = c.arn("user", u.Path, u.Name)
		}
		if err := r.may(question{resource: resource}); err != nil {
			return err
		}
		if missing {
			return noKey(id)
		}
		return nil
	})
	return u, k, err
}
