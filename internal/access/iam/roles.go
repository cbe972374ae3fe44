package iam

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

func (c *Caller) now() time.Time { return c.s.cfg.Now().UTC().Truncate(time.Second) }

// Durations of role sessions.
const (
	minSession     = 15 * time.Minute
	defaultSession = time.Hour
	longestSession = 12 * time.Hour
	chainedSession = time.Hour
)

// NewRole is a role to be.
type NewRole struct {
	Name, Path  string
	Trust       string // text of the trust policy
	Description string
	MaxSession  time.Duration // 0 is an hour
	Boundary    string        // ARN of a managed policy; "" for none
	Tags        []Tag
}

func checkMaxSession(d *time.Duration) error {
	if *d == 0 {
		*d = defaultSession
	}
	if *d < defaultSession || *d > longestSession {
		return invalid("maxSessionDuration", d.String(), "Member must have value between 3600 and 43200")
	}
	return nil
}

// checkTrust reads a trust policy and looks up the principals of accounts
// hosted here: those must exist. Of other accounts, each is taken for there.
func (r *reading) checkTrust(ctx context.Context, text string) error {
	doc, err := checkDocument(text, policy.Trust)
	if err != nil {
		return err
	}
	if packed(text) > maxTrust {
		return limitExceeded("ACLSizePerRole", maxTrust)
	}
	for _, s := range doc.Statements {
		for _, arn := range append(append([]string(nil), s.Principal.AWS...), s.NotPrincipal.AWS...) {
			ok, err := r.c.s.Exists(ctx, r, arn)
			if err != nil {
				return err
			}
			if !ok {
				return ecr.Errorf(CodeMalformedPolicyDocument, `Invalid principal in policy: "AWS":"%s"`, arn)
			}
		}
	}
	return nil
}

// Exists reports whether a principal of type AWS, as policies name it, is
// there: every account is, and every user and role of an account that this
// server does not host.
func (s *Service) Exists(ctx context.Context, r meta.IdentityReader, principal string) (bool, error) {
	parts := strings.SplitN(principal, ":", 6)
	if len(parts) != 6 || policy.AccountOf(principal) != "" {
		return true, nil
	}
	account, kind := ecr.AccountID(parts[4]), parts[5]
	hosted, err := r.HostedAccount(ctx, account)
	if err != nil || !hosted {
		return true, err
	}
	kind, rest, _ := strings.Cut(kind, "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	switch kind {
	case "user":
		u, err := r.User(ctx, account, name)
		return found(err, identity.UserARN(parts[1], u) == principal)
	case "role":
		role, err := r.Role(ctx, account, name)
		return found(err, identity.RoleARN(parts[1], role) == principal)
	case "assumed-role":
		name, _, _ = strings.Cut(rest, "/")
		_, err := r.Role(ctx, account, name)
		return found(err, true)
	}
	return true, nil
}

func found(err error, same bool) (bool, error) {
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil
	}
	return same, err
}

// CreateRole adds a role.
func (c *Caller) CreateRole(ctx context.Context, n NewRole) (role meta.Role, err error) {
	err = errors.Join(checkName("roleName", n.Name, maxUserName), checkPath(&n.Path), checkMaxSession(&n.MaxSession), checkDescription(n.Description))
	if err != nil {
		return role, firstOf(err)
	}
	tags, err := checkTags(nil, n.Tags)
	if err != nil {
		return role, err
	}
	err = c.update(ctx, "iam:CreateRole", func(ctx context.Context, tx *writing) error {
		q := question{resource: c.arn("role", n.Path, n.Name), requestTags: tagMap(n.Tags), tagKeys: tagKeys(n.Tags), boundary: n.Boundary}
		if err := tx.may(q); err != nil {
			return err
		}
		if len(n.Tags) > 0 {
			if err := tx.also("iam:TagRole", q); err != nil {
				return err
			}
		}
		if err := tx.checkTrust(ctx, n.Trust); err != nil {
			return err
		}
		role = meta.Role{
			UniqueID: identity.NewRoleID(), Account: c.p.Account, Name: n.Name, Path: n.Path, CreatedAt: c.now(),
			Tags: tags, Description: n.Description, Trust: n.Trust, MaxSession: n.MaxSession,
		}
		if role.Boundary, err = tx.reference(ctx, n.Boundary); err != nil {
			return err
		}
		err := tx.InsertRole(ctx, role)
		if errors.Is(err, meta.ErrExists) {
			return ecr.Errorf(CodeEntityAlreadyExists, "Role with name %s already exists.", n.Name)
		}
		return err
	})
	return role, err
}

// Role returns a role.
func (c *Caller) Role(ctx context.Context, name string) (role meta.Role, err error) {
	err = c.view(ctx, "iam:GetRole", func(ctx context.Context, r *reading) (err error) {
		role, err = r.role(ctx, name, question{})
		return err
	})
	return role, err
}

// Roles lists roles by name, and where the next page begins.
func (c *Caller) Roles(ctx context.Context, p Page) (list []meta.Role, next string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	err = c.view(ctx, "iam:ListRoles", func(ctx context.Context, r *reading) (err error) {
		if err := r.may(question{resource: c.arn("role", p.PathPrefix, "")}); err != nil {
			return err
		}
		list, next, err = collect(p, func(after string, limit int) ([]meta.Role, error) {
			return r.ListRoles(ctx, c.p.Account, after, limit)
		}, func(r meta.Role) string { return r.Name }, func(r meta.Role) bool { return strings.HasPrefix(identity.PathOf(r.Path), p.PathPrefix) })
		return err
	})
	return list, next, err
}

// UpdateRole sets description and longest session; nil and 0 leave them.
func (c *Caller) UpdateRole(ctx context.Context, name string, description *string, maxSession time.Duration) error {
	if maxSession != 0 {
		if err := checkMaxSession(&maxSession); err != nil {
			return err
		}
	}
	if description != nil {
		if err := checkDescription(*description); err != nil {
			return err
		}
	}
	return c.update(ctx, "iam:UpdateRole", func(ctx context.Context, tx *writing) error {
		role, err := tx.role(ctx, name, question{})
		if err != nil {
			return err
		}
		if description != nil {
			role.Description = *description
		}
		if maxSession != 0 {
			role.MaxSession = maxSession
		}
		return tx.UpdateRole(ctx, role)
	})
}

// UpdateAssumeRolePolicy replaces the trust policy. Sessions that run continue.
func (c *Caller) UpdateAssumeRolePolicy(ctx context.Context, name, text string) error {
	return c.update(ctx, "iam:UpdateAssumeRolePolicy", func(ctx context.Context, tx *writing) error {
		role, err := tx.role(ctx, name, question{})
		if err != nil {
			return err
		}
		if err := tx.checkTrust(ctx, text); err != nil {
			return err
		}
		role.Trust = text
		return tx.UpdateRole(ctx, role)
	})
}

// DeleteRole removes a role that has no policies, and ends its sessions.
func (c *Caller) DeleteRole(ctx context.Context, name string) error {
	return c.update(ctx, "iam:DeleteRole", func(ctx context.Context, tx *writing) error {
		role, err := tx.role(ctx, name, question{})
		if err != nil {
			return err
		}
		if err := conflicts(0, len(role.Policies), len(role.Inline)); err != nil {
			return err
		}
		return tx.DeleteRole(ctx, role.UniqueID)
	})
}
