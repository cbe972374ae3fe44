package registry

import (
	"context"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

var opSetPolicy = Operation{"SetPolicy", []access.Action{"ecr:SetRepositoryPolicy"}}

// SetPolicy sets the repository policy and returns it as Policy will. Without
// force, a policy under which the caller could not set the next one is refused.
// Errors: RepositoryNotFound, InvalidParameter.
func (c *Caller) SetPolicy(ctx context.Context, at Repo, text string, force bool) (string, error) {
	doc, err := policy.ParseFor([]byte(text), policy.Repository)
	if err == nil {
		err = checkKeys(doc)
	}
	if err != nil {
		return "", invalidPolicy("repository", err)
	}
	return doc.Pretty(), c.change(ctx, opSetPolicy, at, func(ctx context.Context, tx meta.Tx) (string, error) {
		s, grant, err := c.enter(ctx, tx, opSetPolicy, at)
		if err != nil {
			return "", err
		}
		bound, err := bind(ctx, tx, at.In.Region.Partition(), doc)
		if err != nil {
			return "", err
		}
		s.row.PolicyText = bound.Pretty()
		if _, locked := c.decide(s, opSetPolicy.Actions...); locked != nil && !force {
			return "", lockedOut(locked, "; set it with force if that is meant")
		}
		return grant, tx.UpdateRepository(ctx, s.row)
	})
}

func noPolicy(at Repo) error {
	return ecr.Errorf(ecr.CodeRepositoryPolicyNotFound,
		"Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", at.Name, at.In.Account)
}

var opPolicy = Operation{"Policy", []access.Action{"ecr:GetRepositoryPolicy"}}

// Policy returns the repository policy. Errors: RepositoryPolicyNotFound.
func (c *Caller) Policy(ctx context.Context, at Repo) (string, error) {
	return c.document(ctx, opPolicy, at, policyDocument)
}

var opDeletePolicy = Operation{"DeletePolicy", []access.Action{"ecr:DeleteRepositoryPolicy"}}

// DeletePolicy removes the repository policy and returns what it was.
// Errors: RepositoryPolicyNotFound.
func (c *Caller) DeletePolicy(ctx context.Context, at Repo) (string, error) {
	return c.deleteDocument(ctx, opDeletePolicy, at, policyDocument)
}

var opSetLifecyclePolicy = Operation{"SetLifecyclePolicy", []access.Action{"ecr:PutLifecyclePolicy"}}

// SetLifecyclePolicy sets the lifecycle policy and returns it as stored.
// Errors: RepositoryNotFound, InvalidParameter.
func (c *Caller) SetLifecyclePolicy(ctx context.Context, at Repo, text string) (string, error) {
	p, err := c.r.dialect().Parse([]byte(text))
	if err != nil {
		return "", invalidLifecyclePolicy(err)
	}
	stored := p.String()
	return stored, c.update(ctx, opSetLifecyclePolicy, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		repo.LifecycleText = stored
		return tx.UpdateRepository(ctx, repo)
	})
}

// invalidLifecyclePolicy says what ECR says.
func invalidLifecyclePolicy(err error) error {
	constraint := "Lifecycle policy validation failure: " + err.Error()
	var found lifecycle.Errors
	if errors.As(err, &found) {
		constraint = "Lifecycle policy validation failure: " + found.Detail()
		if found[0].Code == lifecycle.CodeLength {
			constraint = found.Detail()
		}
	}
	e := ecr.InvalidParameter("LifecyclePolicyText", "%s", constraint)
	e.Err = err
	return e
}

func noLifecyclePolicy(at Repo) error {
	return ecr.Errorf(ecr.CodeLifecyclePolicyNotFound,
		"Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", at.Name, at.In.Account)
}

var opLifecyclePolicy = Operation{"LifecyclePolicy", []access.Action{"ecr:GetLifecyclePolicy"}}

// LifecyclePolicy returns the lifecycle policy, and when it was last evaluated
// to act on images: zero for never. Errors: LifecyclePolicyNotFound.
func (c *Caller) LifecyclePolicy(ctx context.Context, at Repo) (text string, evaluated time.Time, err error) {
	err = c.view(ctx, opLifecyclePolicy, at, func(_ context.Context, _ meta.Reader, repo meta.Repository) error {
		if text, evaluated = repo.LifecycleText, repo.LifecycleEvaluatedAt; text == "" {
			return noLifecyclePolicy(at)
		}
		return nil
	})
	return text, evaluated, err
}

var opDeleteLifecyclePolicy = Operation{"DeleteLifecyclePolicy", []access.Action{"ecr:DeleteLifecyclePolicy"}}

// DeleteLifecyclePolicy removes the lifecycle policy and returns what it was,
// as LifecyclePolicy does. Errors: LifecyclePolicyNotFound.
func (c *Caller) DeleteLifecyclePolicy(ctx context.Context, at Repo) (text string, evaluated time.Time, err error) {
	err = c.update(ctx, opDeleteLifecyclePolicy, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		evaluated = repo.LifecycleEvaluatedAt
		text, err = c.removeDocument(ctx, tx, at, repo, lifecycleDocument)
		if err != nil || evaluated.IsZero() {
			return err
		}
		// The next policy is another one.
		return tx.SetLifecycleEvaluated(ctx, repo.ID, time.Time{})
	})
	return text, evaluated, err
}

// document is one of the two policies that a repository may have.
type document struct {
	of      func(*meta.Repository) *string
	absent  func(Repo) error
	deleted meta.JournalOp
	// shown is the text for people.
	shown func(ctx context.Context, r meta.IdentityReader, partition, text string) (string, error)
}

var (
	policyDocument    = document{func(r *meta.Repository) *string { return &r.PolicyText }, noPolicy, meta.JournalDeletePolicy, shown}
	lifecycleDocument = document{func(r *meta.Repository) *string { return &r.LifecycleText }, noLifecyclePolicy, meta.JournalDeleteLifecycle, asStored}
)

func asStored(_ context.Context, _ meta.IdentityReader, _, text string) (string, error) {
	return text, nil
}

func (c *Caller) document(ctx context.Context, op Operation, at Repo, d document) (text string, err error) {
	err = c.view(ctx, op, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) (err error) {
		if text = *d.of(&repo); text == "" {
			return d.absent(at)
		}
		text, err = d.shown(ctx, r, at.In.Region.Partition(), text)
		return err
	})
	return text, err
}

func (c *Caller) deleteDocument(ctx context.Context, op Operation, at Repo, d document) (text string, err error) {
	err = c.update(ctx, op, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) (err error) {
		text, err = c.removeDocument(ctx, tx, at, repo, d)
		return err
	})
	return text, err
}

func (c *Caller) removeDocument(ctx context.Context, tx meta.Tx, at Repo, repo meta.Repository, d document) (text string, err error) {
	if text = *d.of(&repo); text == "" {
		return "", d.absent(at)
	}
	if text, err = d.shown(ctx, tx, at.In.Region.Partition(), text); err != nil {
		return "", err
	}
	if err := tx.AppendJournal(ctx, c.entry(at, repo, d.deleted, []byte(text))); err != nil {
		return "", err
	}
	*d.of(&repo) = ""
	return text, tx.UpdateRepository(ctx, repo)
}
