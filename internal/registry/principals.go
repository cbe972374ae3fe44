package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// invalidPolicy is what ECR says of every repository or registry policy that it
// does not take; what is wrong is for the log, except for what ECR would take.
func invalidPolicy(kind string, err error) error {
	text := "Invalid " + kind + " policy provided"
	var unknown *unknownKey
	if errors.As(err, &unknown) {
		text += ": " + unknown.Error()
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

func checkKeys(doc policy.Document) error {
	if key, found := authz.DeniesByUnknown(doc); found {
		return &unknownKey{key}
	}
	return nil
}

// checkPrincipals makes sure that the users and roles that doc names exist, as
// far as this server hosts their accounts; who else exists it cannot know. The
// text is ECR's.
func checkPrincipals(ctx context.Context, r meta.IdentityReader, doc policy.Document) error {
	for _, s := range doc.Statements {
		for _, arn := range slices.Concat(s.Principal.AWS, s.NotPrincipal.AWS) {
			known, err := principalExists(ctx, r, arn)
			if err != nil {
				return err
			}
			if !known {
				e := ecr.InvalidParameter("PolicyText", "Principal not found")
				e.Err = fmt.Errorf("there is no %s", arn)
				return e
			}
		}
	}
	return nil
}

func principalExists(ctx context.Context, r meta.IdentityReader, arn string) (bool, error) {
	p := strings.SplitN(arn, ":", 6)
	if len(p) < 6 || policy.AccountOf(arn) != "" {
		return true, nil // everyone, or an account: they all exist
	}
	account := ecr.AccountID(p[4])
	if hosted, err := r.HostedAccount(ctx, account); err != nil || !hosted {
		return true, err
	}
	kind, rest, _ := strings.Cut(p[5], "/")
	path, name := "/", rest
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		path, name = "/"+rest[:i+1], rest[i+1:]
	}
	var at string
	var err error
	switch kind {
	case "user":
		var u meta.User
		u, err = r.User(ctx, account, name)
		at, rest = u.Path, u.Name
	case "role":
		var role meta.Role
		role, err = r.Role(ctx, account, name)
		at, rest = role.Path, role.Name
	case "assumed-role": // whose ARN has the role's name, without its path, and the session's
		name, _, _ = strings.Cut(rest, "/")
		var role meta.Role
		role, err = r.Role(ctx, account, name)
		at, path, rest = "/", "/", role.Name
	default:
		return true, nil // a federated user's session
	}
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil
	}
	if at == "" {
		at = "/"
	}
	// Names are found in any letter case, policies name them in theirs.
	return err == nil && at == path && rest == name, err
}
