package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// invalidPolicy is what ECR says of every repository or registry policy that it
// does not take; what is wrong is for the log, except for what ECR would take.
func invalidPolicy(kind string, err error) error {
	text := "Invalid " + kind + " policy provided"
	var unknown *unknownKey
	var image *imageKey
	switch {
	case errors.As(err, &unknown):
		text += ": " + unknown.Error()
	case errors.As(err, &image):
		text += ": " + image.Error()
	}
	e := ecr.InvalidParameter("PolicyText", "%s", text)
	e.Err = err
	return e
}

func lockedOut(locked error, advice string) error {
	e := ecr.InvalidParameter("PolicyText", "The policy would keep you from setting another one%s", advice)
	e.Err = locked
	return e
}

// unknownKey is a condition key of a Deny of which nobody knows the value.
type unknownKey struct{ key string }

func (e *unknownKey) Error() string {
	return fmt.Sprintf("this registry never has a value for the condition key '%s', so that the Deny would deny everything", e.key)
}

func (r *Registry) checkKeys(doc policy.Document) error {
	if key, found := authz.DeniesByUnknown(doc, r.cfg.Organizations); found {
		return &unknownKey{key}
	}
	if key, found := authz.OnImageKey(doc); found {
		return &imageKey{key}
	}
	return nil
}

// imageKey is a condition key about images in a Deny of other actions.
type imageKey struct{ key string }

func (e *imageKey) Error() string {
	return fmt.Sprintf("the condition key '%s' has a value only for ecr:BatchGetImage, so a Deny that depends on it must name that action and no other", e.key)
}

// bind makes sure that the users and roles that doc names exist, and names them
// by their unique ids, as far as this server hosts their accounts; who else
// exists it cannot know. Whoever comes back under a name is somebody else, and
// no grant is meant for them (IAM user guide, "AWS JSON policy elements:
// Principal", on the ARN that becomes the principal's id when the policy is
// saved). Sessions of roles, and accounts, keep their ARNs. The text of the
// error is ECR's.
func bind(ctx context.Context, r meta.IdentityReader, partition string, doc policy.Document) (policy.Document, error) {
	return renamed(doc, func(arn string) (string, error) {
		to, known, err := bound(ctx, r, partition, arn)
		if err == nil && !known {
			e := ecr.InvalidParameter("PolicyText", "Principal not found")
			e.Err = fmt.Errorf("there is no %s", arn)
			err = e
		}
		return to, err
	})
}

// withRootARNs is doc as ECR stores and returns it: with the ARN of its root user
// in the place of each account id.
func withRootARNs(partition string, doc policy.Document) policy.Document {
	doc, _ = renamed(doc, func(principal string) (string, error) { // which does not fail
		if id := policy.AccountOf(principal); id != "" && id == principal {
			return "arn:" + partition + ":iam::" + id + ":root", nil
		}
		return principal, nil
	})
	return doc
}

// shown is a text that bind made, with the names of the principals that still
// exist. The others keep their ids, and a policy with one of those cannot be set.
func shown(ctx context.Context, r meta.IdentityReader, partition, text string) (string, error) {
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return text, nil // as it is: it denies everything until it is set again
	}
	doc, err = renamed(withRootARNs(partition, doc), func(id string) (arn string, err error) {
		switch {
		case strings.HasPrefix(id, userID):
			var u meta.User
			u, err = r.UserByID(ctx, id)
			arn = identity.UserARN(partition, u)
		case strings.HasPrefix(id, roleID):
			var role meta.Role
			role, err = r.RoleByID(ctx, id)
			arn = identity.RoleARN(partition, role)
		default:
			return id, nil
		}
		if errors.Is(err, meta.ErrNotFound) {
			return id, nil
		}
		return arn, err
	})
	return doc.Pretty(), err
}

// What the unique ids of users and roles begin with.
const (
	userID = "AIDA"
	roleID = "AROA"
)

// renamed is doc with other principals of type AWS.
func renamed(doc policy.Document, to func(string) (string, error)) (policy.Document, error) {
	doc.Statements = slices.Clone(doc.Statements)
	for i := range doc.Statements {
		for _, p := range []*policy.Principals{&doc.Statements[i].Principal, &doc.Statements[i].NotPrincipal} {
			p.AWS = slices.Clone(p.AWS)
			for j, name := range p.AWS {
				var err error
				if p.AWS[j], err = to(name); err != nil {
					return policy.Document{}, err
				}
			}
		}
	}
	return doc, nil
}

// bound is the unique id of the user or role, or arn where it stays. known is
// false for somebody who does not exist.
func bound(ctx context.Context, r meta.IdentityReader, partition, arn string) (id string, known bool, err error) {
	p := strings.SplitN(arn, ":", 6)
	if len(p) < 6 || policy.AccountOf(arn) != "" {
		return arn, true, nil // everyone, or an account: they all exist
	}
	account := ecr.AccountID(p[4])
	if hosted, err := r.HostedAccount(ctx, account); err != nil || !hosted {
		return arn, true, err
	}
	if p[1] != partition {
		return "", false, nil
	}
	// Names are found in any letter case; policies name them, and their paths, in
	// theirs.
	kind, rest, _ := strings.Cut(p[5], "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	switch kind {
	case "user":
		var u meta.User
		u, err = r.User(ctx, account, name)
		id, known = u.UniqueID, identity.UserARN(partition, u) == arn
	case "role":
		var role meta.Role
		role, err = r.Role(ctx, account, name)
		id, known = role.UniqueID, identity.RoleARN(partition, role) == arn
	case "assumed-role": // whose ARN has the role's name, without its path, and the session's
		name, _, _ = strings.Cut(rest, "/")
		var role meta.Role
		role, err = r.Role(ctx, account, name)
		id, known = arn, role.Name == name
	default:
		return arn, true, nil // a federated user's session
	}
	if errors.Is(err, meta.ErrNotFound) {
		return "", false, nil
	}
	return id, known, err
}
