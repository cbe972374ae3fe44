package iam

import (
	"context"
	"errors"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// HeldBy is a user or role with its policies resolved.
type HeldBy struct {
	User     *meta.User // one of the two
	Role     *meta.Role
	Attached []ManagedPolicy
	Boundary *ManagedPolicy // nil for none
}

// Details is an account as a whole, or a page of it.
type Details struct {
	Holders  []HeldBy
	Policies []ManagedPolicy // the account's own
}

// DetailKind is a part of Details.
type DetailKind string

// The kinds, in the order in which pages bring them.
const (
	DetailUsers    DetailKind = "User"
	DetailRoles    DetailKind = "Role"
	DetailPolicies DetailKind = "LocalManagedPolicy"
)

// AccountDetails returns the users, roles and policies of the kinds wanted, and
// where the next page begins (IAM API reference,
// GetAccountAuthorizationDetails).
func (c *Caller) AccountDetails(ctx context.Context, kinds []DetailKind, p Page) (d Details, next string, err error) {
	if err := p.check(); err != nil {
		return d, "", err
	}
	last, after, _ := strings.Cut(p.Marker, "/")
	err = c.view(ctx, "iam:GetAccountAuthorizationDetails", func(ctx context.Context, r *reading) error {
		d, next = Details{}, ""
		if err := r.may(question{resource: "*"}); err != nil {
			return err
		}
		left, skip := p.Limit, last != ""
		for _, kind := range kinds {
			from := ""
			if skip {
				if kind != DetailKind(last) {
					continue
				}
				skip, from = false, after
			}
			if left == 0 {
				next = string(kind) + "/"
				return nil
			}
			n, more, err := r.detail(ctx, &d, kind, from, left)
			if err != nil {
				return err
			}
			if more != "" {
				next = string(kind) + "/" + more
				return nil
			}
			left -= n
		}
		return nil
	})
	return d, next, err
}

// detail adds at most limit of a kind, and says where to continue.
func (r *reading) detail(ctx context.Context, d *Details, kind DetailKind, after string, limit int) (n int, more string, err error) {
	switch kind {
	case DetailUsers:
		list, err := r.ListUsers(ctx, r.c.p.Account, after, limit)
		if err != nil {
			return 0, "", err
		}
		for _, u := range list {
			if err := r.hold(ctx, d, HeldBy{User: &u}, u.Policies, u.Boundary); err != nil {
				return 0, "", err
			}
			more = u.Name
		}
		n = len(list)
	case DetailRoles:
		list, err := r.ListRoles(ctx, r.c.p.Account, after, limit)
		if err != nil {
			return 0, "", err
		}
		for _, role := range list {
			if err := r.hold(ctx, d, HeldBy{Role: &role}, role.Policies, role.Boundary); err != nil {
				return 0, "", err
			}
			more = role.Name
		}
		n = len(list)
	case DetailPolicies:
		list, err := r.ListPolicies(ctx, r.c.p.Account, after, limit)
		if err != nil {
			return 0, "", err
		}
		for _, p := range list {
			found, err := r.attached(ctx, []string{p.ID})
			if err != nil {
				return 0, "", err
			}
			d.Policies = append(d.Policies, found...)
			more = p.Name
		}
		n = len(list)
	}
	if n < limit {
		more = ""
	}
	return n, more, nil
}

func (r *reading) hold(ctx context.Context, d *Details, h HeldBy, policies []string, boundary string) (err error) {
	if h.Attached, err = r.attached(ctx, policies); err != nil {
		return err
	}
	if boundary != "" {
		found, err := r.attached(ctx, []string{boundary})
		if err != nil {
			return err
		}
		for _, m := range found {
			h.Boundary = &m
		}
	}
	d.Holders = append(d.Holders, h)
	return nil
}

// DetailsOf are those of one user or role, for who may read those of all: see
// AccountDetails. Errors: NoSuchEntity.
func DetailsOf(ctx context.Context, c *Caller, of Holder, name string) (HeldBy, error) {
	var d Details
	err := c.view(ctx, "iam:GetAccountAuthorizationDetails", func(ctx context.Context, r *reading) error {
		d = Details{}
		if err := r.may(question{resource: "*"}); err != nil {
			return err
		}
		if of == OfRole {
			role, err := r.Role(ctx, r.c.p.Account, name)
			if errors.Is(err, meta.ErrNotFound) {
				return ecr.Errorf(CodeNoSuchEntity, "The role with name %s cannot be found.", name)
			}
			if err != nil {
				return err
			}
			return r.hold(ctx, &d, HeldBy{Role: &role}, role.Policies, role.Boundary)
		}
		u, err := r.User(ctx, r.c.p.Account, name)
		if errors.Is(err, meta.ErrNotFound) {
			return ecr.Errorf(CodeNoSuchEntity, "The user with name %s cannot be found.", name)
		}
		if err != nil {
			return err
		}
		return r.hold(ctx, &d, HeldBy{User: &u}, u.Policies, u.Boundary)
	})
	if err != nil {
		return HeldBy{}, err
	}
	return d.Holders[0], nil
}
