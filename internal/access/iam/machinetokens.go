package iam

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Limits of machine tokens, which IAM does not have.
const (
	maxMachineTokens = 100 // of a user
	maxTokenName     = 64
	maxScope         = 10240 // bytes of a scope
	maxGlobs         = 50    // of one kind
)

// What may be pulled and pushed with a token whose scope was given as patterns: what
// docker and compatible tools need, and to list (Amazon ECR user guide, "IAM
// permissions for pushing an image" and "Amazon ECR repository policy examples").
var (
	pullScope = []access.Action{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeRepositories",
		"ecr:GetDownloadUrlForLayer", "ecr:ListImageReferrers", "ecr:ListImages",
		// What the first pull through a cache needs ("IAM permissions required to sync
		// an upstream registry"); the user's own policies say who may.
		"ecr:BatchImportUpstreamImage", "ecr:CreateRepository",
	}
	pushScope = []access.Action{"ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"}
)

// NewMachineToken is a token to be.
type NewMachineToken struct {
	User, Name string
	// Policy is the text of its scope, an identity policy. Instead of it, Pull and
	// Push are patterns of repository names, with * and ?, of what may be pulled, and
	// pulled and pushed. All empty: what the user may do.
	Policy     string
	Pull, Push []string
	// Expires is when it ends; zero for never.
	Expires time.Time
	// Off: the server does not accept tokens, so that none is made.
	Off bool
}

// Expired reports whether t's time is over.
func (s *Service) Expired(t meta.MachineToken) bool {
	return !t.ExpiresAt.IsZero() && !s.cfg.Now().Before(t.ExpiresAt)
}

// globPattern is what a pattern of repository names consists of.
var globPattern = lazyregexp.New(`^[a-z0-9*?][a-z0-9._/*?-]{0,255}$`)

func (n *NewMachineToken) check(partition string, now time.Time) error {
	if err := checkName("tokenName", n.Name, maxTokenName); err != nil {
		return err
	}
	if !n.Expires.IsZero() && !n.Expires.After(now) {
		return invalid("expiresAt", n.Expires.UTC().Format(time.RFC3339), "Member must be in the future")
	}
	for _, of := range []struct {
		name  string
		globs []string
	}{{"pull", n.Pull}, {"push", n.Push}} {
		if len(of.globs) > maxGlobs {
			return invalid(of.name, strings.Join(of.globs, ", "), "Member must have length less than or equal to %d", maxGlobs)
		}
		for _, g := range of.globs {
			if !globPattern.MatchString(g) {
				return invalid(of.name, g, "Member must be a repository name, in which * and ? are wildcards")
			}
		}
	}
	switch {
	case n.Policy == "" && len(n.Pull)+len(n.Push) > 0:
		n.Policy = scopeOf(partition, n.Pull, n.Push)
	case n.Policy == "":
		return nil
	case len(n.Pull)+len(n.Push) > 0:
		return invalid("policy", n.Policy, "a token has either a policy or patterns to pull and push")
	}
	if len(n.Policy) > maxScope {
		return invalid("policy", n.Policy[:20]+"...", "Member must have length less than or equal to %d", maxScope)
	}
	_, err := checkDocument(n.Policy, policy.Identity)
	return err
}

// scopeOf is the policy of patterns. It reaches the repositories of those names in
// every registry.
func scopeOf(partition string, pull, push []string) string {
	type statement struct {
		Sid, Effect      string
		Action, Resource []string
	}
	var all []statement
	add := func(sid string, globs []string, lists ...[]access.Action) {
		if len(globs) == 0 {
			return
		}
		s := statement{Sid: sid, Effect: "Allow"}
		for _, list := range lists {
			for _, a := range list {
				s.Action = append(s.Action, string(a))
			}
		}
		for _, g := range globs {
			s.Resource = append(s.Resource, "arn:"+partition+":ecr:*:*:repository/"+g)
		}
		all = append(all, s)
	}
	add("Pull", pull, pullScope)
	add("Push", push, pullScope, pushScope)
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": all})
	if err != nil {
		panic(err) // strings and lists of strings always have a form in JSON
	}
	return string(text)
}

// The actions of the operations on machine tokens. IAM has none.
const (
	createToken access.Action = "kontor:CreateUserToken"
	listTokens  access.Action = "kontor:ListUserTokens"
	deleteToken access.Action = "kontor:DeleteUserToken"
)

// TokenActions lists what the operations on machine tokens ask for.
func TokenActions() []access.Action { return []access.Action{createToken, listTokens, deleteToken} }

// Tokens are the operations on machine tokens of users.
type Tokens struct{ c *Caller }

// Tokens returns the operations on machine tokens, as c may call them.
func (c *Caller) Tokens() Tokens { return Tokens{c} }

// Create gives a user another token. Its password is told once.
// Errors: NoSuchEntity, EntityAlreadyExists, LimitExceeded, MalformedPolicyDocument.
func (t Tokens) Create(ctx context.Context, n NewMachineToken) (made meta.MachineToken, password string, err error) {
	c := t.c
	now := c.now()
	if err := n.check(c.s.cfg.Partition, now); err != nil {
		return made, "", err
	}
	err = c.update(ctx, createToken, func(ctx context.Context, tx *writing) error {
		u, err := tx.user(ctx, n.User, question{})
		if err != nil {
			return err
		}
		if n.Off {
			return ecr.Errorf(ecr.CodeValidation, "This server does not accept machine tokens: start it with --machine-credentials on (kontor up), or machine_credentials: \"on\" (kontor serve).")
		}
		have, err := tx.ListMachineTokens(ctx, u.UniqueID)
		if err != nil {
			return err
		}
		if len(have) >= maxMachineTokens {
			return limitExceeded("TokensPerUser", maxMachineTokens)
		}
		made = meta.MachineToken{UserUniqueID: u.UniqueID, Name: n.Name, Policy: n.Policy, CreatedAt: now, ExpiresAt: n.Expires.UTC().Truncate(time.Second)}
		if n.Expires.IsZero() {
			made.ExpiresAt = time.Time{}
		}
		password = identity.NewMachineToken(&made)
		err = tx.InsertMachineToken(ctx, made)
		if errors.Is(err, meta.ErrExists) {
			return ecr.Errorf(CodeEntityAlreadyExists, "User %s has a token with the name %s already.", n.User, n.Name)
		}
		return err
	})
	return made, password, err
}

// List lists a user's tokens by name.
func (t Tokens) List(ctx context.Context, user string) (list []meta.MachineToken, err error) {
	err = t.c.view(ctx, listTokens, func(ctx context.Context, r *reading) error {
		u, err := r.user(ctx, user, question{})
		if err == nil {
			list, err = r.ListMachineTokens(ctx, u.UniqueID)
		}
		return err
	})
	return list, err
}

// Delete removes a user's token, by its name or id, at once and at every
// replica, and returns what it was.
func (t Tokens) Delete(ctx context.Context, user, name string) (gone meta.MachineToken, err error) {
	err = t.c.update(ctx, deleteToken, func(ctx context.Context, tx *writing) error {
		u, err := tx.user(ctx, user, question{})
		if err != nil {
			return err
		}
		list, err := tx.ListMachineTokens(ctx, u.UniqueID)
		if err != nil {
			return err
		}
		for _, t := range list {
			if t.Name == name || t.ID == name {
				gone = t
				return tx.DeleteMachineToken(ctx, t.ID)
			}
		}
		return ecr.Errorf(CodeNoSuchEntity, "User %s has no token with the name %.128s.", user, name)
	})
	return gone, err
}
