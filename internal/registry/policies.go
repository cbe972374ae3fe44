package registry

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

var opSetPolicy = gate.Op("SetPolicy", "ecr:SetRepositoryPolicy")

// SetPolicy sets the repository policy and returns it as Policy will. Without
// force, a policy under which the caller could not set the next one is refused.
// Errors: RepositoryNotFound, InvalidParameter.
func (c *Caller) SetPolicy(ctx context.Context, at ecr.Repo, text string, force bool) (string, error) {
	doc, err := policy.ParseFor([]byte(text), policy.Repository)
	if err == nil {
		err = c.r.checkKeys(doc)
	}
	if err != nil {
		return "", invalidPolicy("repository", err)
	}
	doc = withRootARNs(at.In.Region.Partition(), doc)
	return doc.Pretty(), c.gate.Change(ctx, opSetPolicy, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.Enter(ctx, at)
		if err != nil {
			return err
		}
		bound, err := bind(ctx, tx.Identities(), at.In.Region.Partition(), doc)
		if err != nil {
			return err
		}
		s.Row.PolicyText = bound.Pretty()
		if locked := tx.Would(s, opSetPolicy.Actions...); locked != nil && !force {
			return lockedOut(locked, "; set it with force if that is meant")
		}
		tx.Emit(events.Event{Type: events.PolicyChanged, Registry: at.In, Repository: at.Name, Policy: "repository"})
		return tx.UpdateRepository(ctx, s.Row)
	})
}

func noPolicy(at ecr.Repo) error {
	return ecr.Errorf(ecr.CodeRepositoryPolicyNotFound,
		"Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", at.Name, at.In.Account)
}

var opPolicy = gate.Op("Policy", "ecr:GetRepositoryPolicy")

// Policy returns the repository policy. Errors: RepositoryPolicyNotFound.
func (c *Caller) Policy(ctx context.Context, at ecr.Repo) (string, error) {
	var text string
	err := c.gate.ReadRepository(ctx, opPolicy, at, func(ctx context.Context, r *gate.View, repo meta.Repository) (err error) {
		if repo.PolicyText == "" {
			return noPolicy(at)
		}
		text, err = shown(ctx, r.Identities(), at.In.Region.Partition(), repo.PolicyText)
		return err
	})
	return text, err
}

var opDeletePolicy = gate.Op("DeletePolicy", "ecr:DeleteRepositoryPolicy")

// DeletePolicy removes the repository policy and returns what it was.
// Errors: RepositoryPolicyNotFound.
func (c *Caller) DeletePolicy(ctx context.Context, at ecr.Repo) (string, error) {
	var text string
	err := c.gate.ChangeRepository(ctx, opDeletePolicy, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) (err error) {
		if repo.PolicyText == "" {
			return noPolicy(at)
		}
		if text, err = shown(ctx, tx.Identities(), at.In.Region.Partition(), repo.PolicyText); err != nil {
			return err
		}
		e := retention.Entry(tx, at, repo.ID, meta.JournalDeletePolicy, c.r.byRequest())
		e.Body = []byte(text)
		if err := retention.Record(ctx, tx, e, ecr.Image{}); err != nil {
			return err
		}
		repo.PolicyText = ""
		return tx.UpdateRepository(ctx, repo)
	})
	return text, err
}
