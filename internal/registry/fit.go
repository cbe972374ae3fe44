package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Fit is a repository policy that was written for AWS as a server can have it
// that stands for the registry there: without the users and roles that do not
// exist on the server, and without Denies that would deny everything on it. left
// says what was left out, and what to do to have it. secure says whether clients
// reach the server by TLS. What is wrong with text in other ways is for
// SetPolicy to say.
func (r *Registry) Fit(ctx context.Context, partition string, secure bool, text string) (fit string, left []string, err error) {
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return text, nil, nil // SetPolicy says why
	}
	err = r.cfg.Gate.System("fitting a policy").Read(ctx, gate.Op("Fit"), func(ctx context.Context, v *gate.View) (err error) {
		left, err = fitDocument(ctx, v.Identities(), partition, secure, &doc)
		return err
	})
	switch {
	case err != nil:
		return "", nil, err
	case left == nil:
		return text, nil, nil
	case len(doc.Statements) == 0:
		return "", left, nil
	}
	return doc.Pretty(), left, nil
}

// fitDocument takes out of doc what does not fit, and says what that is.
func fitDocument(ctx context.Context, r meta.IdentityReader, partition string, secure bool, doc *policy.Document) (left []string, err error) {
	var kept []policy.Statement
	for i, s := range doc.Statements {
		if why := deniesAll(s, doc.Version, secure); why != "" {
			left = append(left, fmt.Sprintf("statement %d, as %s", i+1, why))
			continue
		}
		whole := true // as long as no list of principals has become empty
		for _, p := range []*policy.Principals{&s.Principal, &s.NotPrincipal} {
			var there []string
			for _, arn := range p.AWS {
				_, known, err := bound(ctx, r, partition, arn)
				if err != nil {
					return nil, err
				}
				if known {
					there = append(there, arn)
				} else if why := arn + ", which does not exist on this server (--identities makes users and roles)"; !slices.Contains(left, why) {
					left = append(left, why)
				}
			}
			whole = whole && (len(there) > 0 || len(p.AWS) == 0 || len(p.Service) > 0 || len(p.Federated) > 0)
			p.AWS = there
		}
		if whole {
			kept = append(kept, s)
		}
	}
	doc.Statements = kept
	return left, nil
}

// deniesAll is why a statement would deny every request that reaches the server,
// "" when it would not.
func deniesAll(s policy.Statement, version policy.Version, secure bool) string {
	if key, found := authz.DeniesByUnknown(policy.Document{Version: version, Statements: []policy.Statement{s}}); found {
		return fmt.Sprintf("no request to this server has a value for the condition key %s, so that the Deny would deny everything", key)
	}
	if s.Effect == policy.Deny && !secure && slices.ContainsFunc(policy.KeysOf(s, version), func(k string) bool { return strings.EqualFold(k, "aws:SecureTransport") }) {
		return "this server speaks plain HTTP and the Deny is about aws:SecureTransport (--tls serves https)"
	}
	return ""
}
