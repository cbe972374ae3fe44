package retention

import "time"

import "errors"

import "github.com/kontor-registry/kontor/lifecycle"

import "github.com/kontor-registry/kontor/internal/store/meta"

import "github.com/kontor-registry/kontor/internal/ecr"

import "context"

import "github.com/kontor-registry/kontor/internal/gate"

import "github.com/kontor-registry/kontor/internal/events"

var opSetLifecyclePolicy = gate.Op("SetLifecyclePolicy", "ecr:PutLifecyclePolicy")

// SetLifecyclePolicy sets the lifecycle policy and returns it as stored.
// Errors: RepositoryNotFound, InvalidParameter.
func (c *Caller) SetLifecyclePolicy(ctx context.Context, at ecr.Repo, text string) (string, error) {
	stored, err := c.s.CheckLifecyclePolicy(at.In, text)
	if err != nil {
		return "", err
	}
	return stored, c.gate.ChangeRepository(ctx, opSetLifecyclePolicy, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		repo.LifecycleText = stored
		tx.Emit(events.Event{Type: events.PolicyChanged, Registry: at.In, Repository: at.Name, Policy: "lifecycle"})
		return tx.UpdateRepository(ctx, repo)
	})
}

// Dialect is the language of a registry's lifecycle policies.
func (s *Service) Dialect(in ecr.RegistryID) lifecycle.Dialect {
	if d, other := s.cfg.Dialects[in]; other {
		return d
	}
	return s.cfg.Dialect
}

// CheckLifecyclePolicy returns a policy's text as SetLifecyclePolicy stores it.
// Errors: InvalidParameter.
func (s *Service) CheckLifecyclePolicy(in ecr.RegistryID, text string) (string, error) {
	p, err := s.Dialect(in).Parse([]byte(text))
	if err != nil {
		return "", invalidLifecyclePolicy(err)
	}
	return p.String(), nil
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

func noLifecyclePolicy(at ecr.Repo) error {
	return ecr.Errorf(ecr.CodeLifecyclePolicyNotFound,
		"Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", at.Name, at.In.Account)
}

var opLifecyclePolicy = gate.Op("LifecyclePolicy", "ecr:GetLifecyclePolicy")

// LifecyclePolicy returns the lifecycle policy, and when it was last evaluated
// to act on images: zero for never. Errors: LifecyclePolicyNotFound.
func (c *Caller) LifecyclePolicy(ctx context.Context, at ecr.Repo) (text string, evaluated time.Time, err error) {
	err = c.gate.ReadRepository(ctx, opLifecyclePolicy, at, func(_ context.Context, _ *gate.View, repo meta.Repository) error {
		if text, evaluated = repo.LifecycleText, repo.LifecycleEvaluatedAt; text == "" {
			return noLifecyclePolicy(at)
		}
		return nil
	})
	return text, evaluated, err
}

var opDeleteLifecyclePolicy = gate.Op("DeleteLifecyclePolicy", "ecr:DeleteLifecyclePolicy")

// DeleteLifecyclePolicy removes the lifecycle policy and returns what it was,
// as LifecyclePolicy does. Errors: LifecyclePolicyNotFound.
func (c *Caller) DeleteLifecyclePolicy(ctx context.Context, at ecr.Repo) (text string, evaluated time.Time, err error) {
	err = c.gate.ChangeRepository(ctx, opDeleteLifecyclePolicy, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		if text, evaluated = repo.LifecycleText, repo.LifecycleEvaluatedAt; text == "" {
			return noLifecyclePolicy(at)
		}
		e := Entry(tx, at, repo.ID, meta.JournalDeleteLifecycle, c.s.byRequest())
		e.Body = []byte(text)
		if err := Record(ctx, tx, e, ecr.Image{}); err != nil {
			return err
		}
		repo.LifecycleText = ""
		if err := tx.UpdateRepository(ctx, repo); err != nil || evaluated.IsZero() {
			return err
		}
		// The next policy is another one.
		return tx.SetLifecycleEvaluated(ctx, repo.ID, time.Time{})
	})
	return text, evaluated, err
}
