package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Holder is who holds policies and tags.
type Holder string

// The holders, as actions name them: "iam:Put" + Holder + "Policy".
const (
	OfUser Holder = "User"
	OfRole Holder = "Role"
)

// holder is a user or role as far as they are alike.
type holder struct {
	name     string
	refs     *[]string
	inline   *map[string]string
	boundary *string
	tags     *map[string]string
	most     int // of the sizes of inline policies
	store    func(ctx context.Context, tx meta.IdentityTx) error
}

func (r *reading) holder(ctx context.Context, of Holder, name string, q question) (holder, error) {
	if of == OfRole {
		role, err := r.role(ctx, name, q)
		return holder{role.Name, &role.Policies, &role.Inline, &role.Boundary, &role.Tags, maxInlineRole,
			func(ctx context.Context, tx meta.IdentityTx) error { return tx.UpdateRole(ctx, role) }}, err
	}
	u, err := r.user(ctx, name, q)
	return holder{u.Name, &u.Policies, &u.Inline, &u.Boundary, &u.Tags, maxInlineUser,
		func(ctx context.Context, tx meta.IdentityTx) error { return tx.UpdateUser(ctx, u) }}, err
}

// change loads a holder, lets fn change it, and stores it.
func (c *Caller) change(ctx context.Context, of Holder, action access.Action, name string, q question, fn func(ctx context.Context, tx *writing, h holder) error) error {
	return c.update(ctx, action, func(ctx context.Context, tx *writing) error {
		h, err := tx.holder(ctx, of, name, q)
		if err != nil {
			return err
		}
		if err := fn(ctx, tx, h); err != nil {
			return err
		}
		return h.store(ctx, tx)
	})
}

func (c *Caller) look(ctx context.Context, of Holder, action access.Action, name string, fn func(ctx context.Context, r *reading, h holder) error) error {
	return c.view(ctx, action, func(ctx context.Context, r *reading) error {
		h, err := r.holder(ctx, of, name, question{})
		if err != nil {
			return err
		}
		return fn(ctx, r, h)
	})
}

func act(format string, of Holder) access.Action {
	return access.Action(strings.Replace(format, "*", string(of), 1))
}

// PutInline stores an inline policy.
func (c *Caller) PutInline(ctx context.Context, of Holder, name, policyName, text string) error {
	if err := checkName("policyName", policyName, maxPolicyName); err != nil {
		return err
	}
	return c.change(ctx, of, act("iam:Put*Policy", of), name, question{}, func(_ context.Context, _ *writing, h holder) error {
		if _, err := checkDocument(text, policy.Identity); err != nil {
			return err
		}
		all := maps.Clone(*h.inline)
		if all == nil {
			all = map[string]string{}
		}
		all[policyName] = text
		size := 0
		for _, t := range all {
			size += packed(t)
		}
		if size > h.most {
			return ecr.Errorf(CodeLimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", h.most, strings.ToLower(string(of)), h.name)
		}
		*h.inline = all
		return nil
	})
}

func noInline(of Holder, policyName string) error {
	return ecr.Errorf(CodeNoSuchEntity, "The %s policy with name %s cannot be found.", strings.ToLower(string(of)), policyName)
}

// Inline returns an inline policy's text.
func (c *Caller) Inline(ctx context.Context, of Holder, name, policyName string) (text string, err error) {
	err = c.look(ctx, of, act("iam:Get*Policy", of), name, func(_ context.Context, _ *reading, h holder) error {
		var ok bool
		if text, ok = (*h.inline)[policyName]; !ok {
			return noInline(of, policyName)
		}
		return nil
	})
	return text, err
}

// InlineNames lists the names of inline policies.
func (c *Caller) InlineNames(ctx context.Context, of Holder, name string) (names []string, err error) {
	action := "iam:List*Policies"
	err = c.look(ctx, of, act(action, of), name, func(_ context.Context, _ *reading, h holder) error {
		names = slices.Sorted(maps.Keys(*h.inline))
		return nil
	})
	return names, err
}

// DeleteInline removes an inline policy.
func (c *Caller) DeleteInline(ctx context.Context, of Holder, name, policyName string) error {
	return c.change(ctx, of, act("iam:Delete*Policy", of), name, question{}, func(_ context.Context, _ *writing, h holder) error {
		if _, ok := (*h.inline)[policyName]; !ok {
			return noInline(of, policyName)
		}
		*h.inline = maps.Clone(*h.inline)
		delete(*h.inline, policyName)
		return nil
	})
}

// Attach attaches a managed policy; twice is nothing.
func (c *Caller) Attach(ctx context.Context, of Holder, name, arn string) error {
	return c.change(ctx, of, act("iam:Attach*Policy", of), name, question{policyARN: arn}, func(ctx context.Context, tx *writing, h holder) error {
		ref, err := tx.reference(ctx, arn)
		if err != nil {
			return err
		}
		if ref == "" {
			return ecr.Errorf(CodeInvalidInput, "ARN %s is not valid.", arn)
		}
		if slices.Contains(*h.refs, ref) {
			return nil
		}
		if len(*h.refs) >= maxAttached {
			return limitExceeded("PoliciesPer"+string(of), maxAttached)
		}
		*h.refs = append(slices.Clone(*h.refs), ref)
		return nil
	})
}

// Detach takes a managed policy away.
func (c *Caller) Detach(ctx context.Context, of Holder, name, arn string) error {
	return c.change(ctx, of, act("iam:Detach*Policy", of), name, question{policyARN: arn}, func(ctx context.Context, tx *writing, h holder) error {
		m, err := tx.find(ctx, arn)
		if err == nil && slices.Contains(*h.refs, m.reference()) {
			*h.refs = slices.DeleteFunc(slices.Clone(*h.refs), func(ref string) bool { return ref == m.reference() })
			return nil
		}
		if isMissing(err) {
			return ecr.Errorf(CodeNoSuchEntity, "Policy %s was not found.", arn)
		}
		return err
	})
}

// Attached lists the managed policies attached, by name.
func (c *Caller) Attached(ctx context.Context, of Holder, name string) (list []ManagedPolicy, err error) {
	err = c.look(ctx, of, act("iam:ListAttached*Policies", of), name, func(ctx context.Context, r *reading, h holder) (err error) {
		list, err = r.attached(ctx, *h.refs)
		return err
	})
	return list, err
}

// PutBoundary sets the permissions boundary.
func (c *Caller) PutBoundary(ctx context.Context, of Holder, name, arn string) error {
	return c.change(ctx, of, act("iam:Put*PermissionsBoundary", of), name, question{boundary: arn}, func(ctx context.Context, tx *writing, h holder) error {
		ref, err := tx.reference(ctx, arn)
		if err == nil && ref == "" {
			err = ecr.Errorf(CodeInvalidInput, "ARN %s is not valid.", arn)
		}
		*h.boundary = ref
		return err
	})
}

// DeleteBoundary removes the permissions boundary.
func (c *Caller) DeleteBoundary(ctx context.Context, of Holder, name string) error {
	return c.change(ctx, of, act("iam:Delete*PermissionsBoundary", of), name, question{}, func(_ context.Context, _ *writing, h holder) error {
		if *h.boundary == "" {
			return ecr.Errorf(CodeNoSuchEntity, "%s %s does not have a permissions boundary.", of, h.name)
		}
		*h.boundary = ""
		return nil
	})
}

// BoundaryARN is the ARN of a row's boundary, "" for none. It asks for no
// permission: who may see the row may see it.
func (c *Caller) BoundaryARN(ctx context.Context, ref string) (arn string, err error) {
	if ref == "" {
		return "", nil
	}
	err = c.s.cfg.Gate.System("boundary of what the caller may see").Read(ctx, gate.Op("BoundaryARN"), func(ctx context.Context, v *gate.View) error {
		found, err := (&reading{v.Identities(), v.Inquiry, c}).attached(ctx, []string{ref})
		for _, m := range found {
			arn = m.ARN
		}
		return err
	})
	return arn, err
}

// Tag sets tags.
func (c *Caller) Tag(ctx context.Context, of Holder, name string, tags []Tag) error {
	q := question{requestTags: tagMap(tags), tagKeys: tagKeys(tags)}
	return c.change(ctx, of, act("iam:Tag*", of), name, q, func(_ context.Context, _ *writing, h holder) (err error) {
		*h.tags, err = checkTags(*h.tags, tags)
		return err
	})
}

// Untag removes tags; those that are not there are nothing.
func (c *Caller) Untag(ctx context.Context, of Holder, name string, keys []string) error {
	return c.change(ctx, of, act("iam:Untag*", of), name, question{tagKeys: keys}, func(_ context.Context, _ *writing, h holder) error {
		*h.tags = maps.Clone(*h.tags)
		maps.DeleteFunc(*h.tags, func(k, _ string) bool {
			return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(k, key) })
		})
		return nil
	})
}

// TagsOf lists tags by name.
func (c *Caller) TagsOf(ctx context.Context, of Holder, name string) (tags []Tag, err error) {
	err = c.look(ctx, of, act("iam:List*Tags", of), name, func(_ context.Context, _ *reading, h holder) error {
		tags = Tags(*h.tags)
		return nil
	})
	return tags, err
}
