package registry

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func describe(at ecr.Repo, row meta.Repository) Repository {
	return Repository{Repo: at, CreatedAt: row.CreatedAt, Mutability: row.Mutability, ScanOnPush: row.ScanOnPush, Encryption: row.Encryption}
}

var opAuthorizationToken = Operation{"AuthorizationToken", []access.Action{"ecr:GetAuthorizationToken"}}

// AuthorizationToken issues a docker token for the caller in region.
func (c *Caller) AuthorizationToken(ctx context.Context, region ecr.Region) (Token, error) {
	err := c.viewRegistry(ctx, opAuthorizationToken, ecr.RegistryID{Account: c.p.Account, Region: region}, func(meta.Reader, meta.RegistrySettings) error { return nil })
	if err != nil {
		return Token{}, err
	}
	password, expires, err := c.r.cfg.Tokens.IssueToken(ctx, c.p, region)
	if err != nil {
		return Token{}, storeError(err)
	}
	return Token{Password: password, ExpiresAt: expires}, nil
}

var opCreateRepository = Operation{"CreateRepository", []access.Action{"ecr:CreateRepository"}}

// CreateRepository creates a repository. With tags it needs ecr:TagResource
// too.
// Errors: RepositoryAlreadyExists, InvalidParameter, InvalidTagParameter, TooManyTags.
func (c *Caller) CreateRepository(ctx context.Context, n NewRepository) (Repository, error) {
	if n.Mutability.Mode == "" {
		n.Mutability.Mode = ecr.Mutable
	}
	if n.Encryption.Type == "" {
		n.Encryption.Type = "AES256"
	}
	if err := checkMutability(n.Mutability); err != nil {
		return Repository{}, err
	}
	if n.Encryption.Type != "AES256" {
		return Repository{}, ecr.InvalidParameter("encryptionConfiguration",
			"encryption type %s is not available in this registry; use AES256", n.Encryption.Type)
	}
	if err := checkResourceTags(n.Tags); err != nil {
		return Repository{}, err
	}
	row := meta.Repository{
		Registry: n.In, Name: n.Name, CreatedAt: c.r.cfg.Now(), Mutability: n.Mutability,
		ScanOnPush: n.ScanOnPush, Encryption: n.Encryption, Tags: n.Tags,
	}
	actions := opCreateRepository.Actions
	if len(n.Tags) > 0 {
		actions = append(actions[:len(actions):len(actions)], opTagResource.Actions...)
	}
	c = c.asking(asked{tags: n.Tags, tagKeys: slices.Collect(maps.Keys(n.Tags))})
	err := c.change(ctx, opCreateRepository, n.Repo, func(ctx context.Context, tx meta.Tx) (grant string, err error) {
		s := scene{at: n.Repo}
		if s.settings, err = c.settings(ctx, tx, n.In); err != nil {
			return "", err
		}
		if grant, err = c.decide(s, actions...); err != nil {
			return "", err
		}
		_, err = tx.InsertRepository(ctx, row)
		if errors.Is(err, meta.ErrExists) {
			return "", ecr.RepositoryAlreadyExists(n.In, n.Name)
		}
		return grant, err
	})
	if err != nil {
		return Repository{}, err
	}
	return describe(n.Repo, row), nil
}

var opDescribeRepositories = Operation{"DescribeRepositories", []access.Action{"ecr:DescribeRepositories"}}

// DescribeRepositories returns the named repositories in the order given.
// Errors: RepositoryNotFound if any is missing.
func (c *Caller) DescribeRepositories(ctx context.Context, in ecr.RegistryID, names []ecr.RepositoryName) ([]Repository, error) {
	var list []Repository
	err := c.read(ctx, opDescribeRepositories, in.Repo("*"), func(ctx context.Context, r meta.Reader) (grant string, err error) {
		list = make([]Repository, 0, len(names))
		for _, name := range names {
			at := in.Repo(name)
			s, by, err := c.enter(ctx, r, opDescribeRepositories, at)
			if err != nil {
				return "", err
			}
			grant, list = by, append(list, describe(at, s.row))
		}
		return grant, nil
	})
	return list, err
}

var opListRepositories = Operation{"ListRepositories", []access.Action{"ecr:DescribeRepositories"}}

// ListRepositories returns at most limit repositories in byte order of their
// names after the name after, and whether there may be more. As ECR does, it
// asks for the action on all repositories of the registry; those on which the
// caller is denied it are left out.
func (c *Caller) ListRepositories(ctx context.Context, in ecr.RegistryID, after ecr.RepositoryName, limit int) (list []Repository, more bool, err error) {
	err = c.read(ctx, opListRepositories, in.Repo("*"), func(ctx context.Context, r meta.Reader) (grant string, err error) {
		s := scene{at: in.Repo("*")}
		if s.settings, err = c.settings(ctx, r, in); err != nil {
			return "", err
		}
		if grant, err = c.decide(s, opListRepositories.Actions...); err != nil {
			return "", err
		}
		var rows []meta.Repository
		rows, more, err = meta.Take(meta.Repositories(ctx, r, in, after, limit+1), limit, func(row *meta.Repository) (bool, error) {
			_, hidden := c.decide(scene{in.Repo(row.Name), *row, s.settings}, opListRepositories.Actions...)
			return hidden == nil, nil
		})
		list = nil
		for _, row := range rows {
			list = append(list, describe(in.Repo(row.Name), row))
		}
		return grant, err
	})
	return list, more, err
}

var opDeleteRepository = Operation{"DeleteRepository", []access.Action{"ecr:DeleteRepository"}}

// DeleteRepository deletes a repository; with force, its images too.
// Errors: RepositoryNotFound, RepositoryNotEmpty.
func (c *Caller) DeleteRepository(ctx context.Context, at ecr.Repo, force bool) (Repository, error) {
	var gone Repository
	err := c.update(ctx, opDeleteRepository, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		gone = describe(at, repo)
		used, err := tx.HasImages(ctx, repo.ID)
		if err != nil {
			return err
		}
		if used && !force {
			return ecr.RepositoryNotEmpty(at.In, at.Name)
		}
		if used {
			if err := c.journalAll(ctx, tx, repo, "repository deleted"); err != nil {
				return err
			}
		}
		if err := tx.Retention().AppendJournal(ctx, c.entry(at, repo, meta.JournalDeleteRepository, nil)); err != nil {
			return err
		}
		return tx.DeleteRepository(ctx, repo.ID)
	})
	return gone, err
}

var opSetTagMutability = Operation{"SetTagMutability", []access.Action{"ecr:PutImageTagMutability"}}

// SetTagMutability changes which tags may be pushed again.
func (c *Caller) SetTagMutability(ctx context.Context, at ecr.Repo, m ecr.Mutability) error {
	if err := checkMutability(m); err != nil {
		return err
	}
	return c.update(ctx, opSetTagMutability, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
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

var opSetScanOnPush = Operation{"SetScanOnPush", []access.Action{"ecr:PutImageScanningConfiguration"}}

// SetScanOnPush changes whether images are scanned when pushed.
func (c *Caller) SetScanOnPush(ctx context.Context, at ecr.Repo, on bool) error {
	return c.update(ctx, opSetScanOnPush, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		repo.ScanOnPush = on
		return tx.UpdateRepository(ctx, repo)
	})
}
