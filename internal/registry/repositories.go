package registry

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func describe(at ecr.Repo, row meta.Repository) Repository {
	return Repository{Repo: at, CreatedAt: row.CreatedAt, Mutability: row.Mutability, ScanOnPush: row.ScanOnPush, Encryption: row.Encryption}
}

var opAuthorizationToken = gate.Op("AuthorizationToken", "ecr:GetAuthorizationToken")

// AuthorizationToken issues a docker token for the caller in region.
func (c *Caller) AuthorizationToken(ctx context.Context, region ecr.Region) (Token, error) {
	p := c.gate.Principal()
	err := viewRegistry(ctx, c.gate, opAuthorizationToken, ecr.RegistryID{Account: p.Account, Region: region}, func(*gate.View, meta.RegistrySettings) error { return nil })
	if err != nil {
		return Token{}, err
	}
	password, expires, err := c.r.cfg.Tokens.IssueToken(ctx, p, region)
	if err != nil {
		return Token{}, err
	}
	return Token{Password: password, ExpiresAt: expires}, nil
}

var opCreateRepository = gate.Op("CreateRepository", "ecr:CreateRepository")

// CreateRepository creates a repository. With tags it needs ecr:TagResource
// too.
// Errors: RepositoryAlreadyExists, InvalidParameter, InvalidTagParameter, TooManyTags.
func (c *Caller) CreateRepository(ctx context.Context, n NewRepository) (Repository, error) {
	if n.Mutability.Mode == "" {
		n.Mutability.Mode = ecr.Mutable
	}
	if err := checkMutability(n.Mutability); err != nil {
		return Repository{}, err
	}
	var err error
	if n.Encryption, err = encryption(n.In, n.Encryption); err != nil {
		return Repository{}, err
	}
	if err := checkResourceTags(n.Tags); err != nil {
		return Repository{}, err
	}
	row := meta.Repository{
		Registry: n.In, Name: n.Name, CreatedAt: c.r.cfg.Now(), Mutability: n.Mutability,
		ScanOnPush: n.ScanOnPush, Encryption: n.Encryption, Tags: n.Tags,
	}
	var also []access.Action
	if len(n.Tags) > 0 {
		also = opTagResource.Actions
	}
	err = c.gate.Saying(tagsSaid(n.Tags)).Change(ctx, opCreateRepository, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterNew(ctx, n.Repo, also...); err != nil {
			return err
		}
		_, err := tx.InsertRepository(ctx, row)
		if errors.Is(err, meta.ErrExists) {
			return ecr.RepositoryAlreadyExists(n.In, n.Name)
		}
		created(tx, n.Repo, "")
		return err
	})
	if err != nil {
		return Repository{}, err
	}
	return describe(n.Repo, row), nil
}

// created has those told who want to know of new repositories.
func created(tx *gate.Tx, at ecr.Repo, why string) {
	tx.Emit(events.Event{Type: events.RepositoryCreated, Registry: at.In, Repository: at.Name, Reason: why})
}

var opDescribeRepositories = gate.Op("DescribeRepositories", "ecr:DescribeRepositories")

// DescribeRepositories returns the named repositories in the order given.
// Errors: RepositoryNotFound if any is missing.
func (c *Caller) DescribeRepositories(ctx context.Context, in ecr.RegistryID, names []ecr.RepositoryName) ([]Repository, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var list []Repository
	err := c.gate.Read(ctx, opDescribeRepositories, func(ctx context.Context, v *gate.View) error {
		list = make([]Repository, 0, len(names))
		for _, name := range names {
			s, err := v.Enter(ctx, in.Repo(name))
			if err != nil {
				return err
			}
			list = append(list, describe(s.At, s.Row))
		}
		return nil
	})
	return list, err
}

var opListRepositories = gate.Op("ListRepositories", "ecr:DescribeRepositories")

// ListRepositories returns at most limit repositories in byte order of their
// names after the name after, and whether there may be more. As ECR does, it
// asks for the action on all repositories of the registry; those on which the
// caller is denied it are left out.
func (c *Caller) ListRepositories(ctx context.Context, in ecr.RegistryID, after ecr.RepositoryName, limit int) (list []Repository, more bool, err error) {
	err = c.gate.Read(ctx, opListRepositories, func(ctx context.Context, v *gate.View) error {
		all, err := v.EnterNew(ctx, in.Repo("*"))
		if err != nil {
			return err
		}
		var rows []meta.Repository
		rows, more, err = meta.Take(meta.Repositories(ctx, v, in, after, limit+1), limit, func(row *meta.Repository) (bool, error) {
			return v.Would(gate.Scene{At: in.Repo(row.Name), Row: *row, Settings: all.Settings}, opListRepositories.Actions...) == nil, nil
		})
		list = nil
		for _, row := range rows {
			list = append(list, describe(in.Repo(row.Name), row))
		}
		return err
	})
	return list, more, err
}

var opDeleteRepository = gate.Op("DeleteRepository", "ecr:DeleteRepository")

// DeleteRepository deletes a repository; with force, its images too.
// Errors: RepositoryNotFound, RepositoryNotEmpty.
func (c *Caller) DeleteRepository(ctx context.Context, at ecr.Repo, force bool) (Repository, error) {
	var (
		gone Repository
		done bool
	)
	err := c.gate.ChangeRepository(ctx, opDeleteRepository, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		gone = describe(at, repo)
		used, err := tx.HasImages(ctx, repo.ID)
		if err != nil {
			return err
		}
		if used && !force {
			return ecr.RepositoryNotEmpty(at.In, at.Name)
		}
		done, err = c.r.cfg.Retention.DeleteRepository(ctx, tx, repo)
		return err
	})
	if err == nil && !done {
		c.r.cfg.Retention.WakeDeletions()
	}
	return gone, err
}

var opSetTagMutability = gate.Op("SetTagMutability", "ecr:PutImageTagMutability")

// SetTagMutability changes which tags may be pushed again.
func (c *Caller) SetTagMutability(ctx context.Context, at ecr.Repo, m ecr.Mutability) error {
	if err := checkMutability(m); err != nil {
		return err
	}
	return c.gate.ChangeRepository(ctx, opSetTagMutability, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		repo.Mutability = m
		return tx.UpdateRepository(ctx, repo)
	})
}

func checkMutability(m ecr.Mutability) error {
	const path = "imageTagMutabilityExclusionFilters"
	switch m.Mode {
	case ecr.Mutable, ecr.Immutable:
		if len(m.Filters) > 0 {
			return ecr.InvalidParameter(path, "ImageTagMutabilityExclusionFilters can't be set when imageTagMutability is set as %s", m.Mode)
		}
	case ecr.MutableWithExclusion, ecr.ImmutableWithExclusion:
		if len(m.Filters) == 0 {
			return ecr.InvalidParameter(path, "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as %s", m.Mode)
		}
	default:
		return ecr.InvalidParameter("imageTagMutability",
			"Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]")
	}
	return nil
}

var opSetScanOnPush = gate.Op("SetScanOnPush", "ecr:PutImageScanningConfiguration")

// SetScanOnPush changes whether images are scanned when pushed.
func (c *Caller) SetScanOnPush(ctx context.Context, at ecr.Repo, on bool) error {
	return c.gate.ChangeRepository(ctx, opSetScanOnPush, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		repo.ScanOnPush = on
		return tx.UpdateRepository(ctx, repo)
	})
}
