package registry

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Operation is a method of Caller and the IAM actions that it asks for. The
// first is asked for the repository it works on (or for "*"), the others as the
// method says.
type Operation struct {
	Name    string
	Actions []access.Action
}

// Operations lists every operation. Each stands beside its method; a test
// holds the list against the methods of Caller.
func Operations() []Operation {
	return []Operation{
		opAuthorizationToken,
		opCreateRepository, opDescribeRepositories, opListRepositories, opDeleteRepository,
		opSetTagMutability, opSetScanOnPush, opScanning,
		opDescribeRegistry, opRegistryScanning, opSetRegistryPolicy, opRegistryPolicy, opDeleteRegistryPolicy,
		opAccountSetting, opSetAccountSetting,
		opSetPolicy, opPolicy, opDeletePolicy,
		opSetLifecyclePolicy, opLifecyclePolicy, opDeleteLifecyclePolicy,
		opTagResource, opUntagResource, opResourceTags,
		opPutImage, opManifest, opStatManifest, opBatchGetImage,
		opBatchDeleteImage, opDeleteManifest, opDeleteTag,
		opListImages, opDescribeImages, opListImageDetails, opListTags, opListReferrers,
		opBatchCheckLayers, opStatBlob, opOpenBlob, opMountBlob, opFindBlob, opDeleteBlob, opDownloadableLayer,
		opStartUpload, opUploadOffset, opAppendUpload, opCompleteUpload, opCancelUpload,
	}
}

// decide asks for each action of op on the repository at, whose policy is
// policyText.
func (c *Caller) decide(at Repo, policyText string, actions ...access.Action) error {
	for _, a := range actions {
		decision := authz.Decide(authz.Request{
			Principal: c.p, Action: a, Resource: at.ARN(), Owner: at.In.Account, RepositoryPolicy: policyText,
		})
		if err := decision.Err(); err != nil {
			return err
		}
	}
	return nil
}

// decideRegistry asks for op's actions where no repository is named.
func (c *Caller) decideRegistry(op Operation, owner ecr.AccountID) error {
	for _, a := range op.Actions {
		if err := authz.Decide(authz.Request{Principal: c.p, Action: a, Resource: "*", Owner: owner}).Err(); err != nil {
			return err
		}
	}
	return nil
}

// load returns the repository if the caller may do op there. Whether it
// exists is told only to those who may.
func (c *Caller) load(ctx context.Context, r meta.RepositoryReader, op Operation, at Repo) (meta.Repository, error) {
	row, err := r.Repository(ctx, at.In, at.Name)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return meta.Repository{}, err
	}
	if denied := c.decide(at, row.PolicyText, op.Actions...); denied != nil {
		return meta.Repository{}, denied
	}
	if err != nil {
		return meta.Repository{}, ecr.RepositoryNotFound(at.In, at.Name)
	}
	return row, nil
}

// view reads in one snapshot, on the repository that op is for.
func (c *Caller) view(ctx context.Context, op Operation, at Repo, fn func(ctx context.Context, r meta.Reader, repo meta.Repository) error) error {
	return storeError(c.r.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		repo, err := c.load(ctx, r, op, at)
		if err != nil {
			return err
		}
		return fn(ctx, r, repo)
	}))
}

// update writes in one transaction, on the repository that op is for.
func (c *Caller) update(ctx context.Context, op Operation, at Repo, fn func(ctx context.Context, tx meta.Tx, repo meta.Repository) error) error {
	return storeError(c.r.cfg.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		repo, err := c.load(ctx, tx, op, at)
		if err != nil {
			return err
		}
		return fn(ctx, tx, repo)
	}))
}

// storeError says to the caller what it can do about a store that fails.
func storeError(err error) error {
	var known *ecr.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, meta.ErrUnavailable) {
		return &ecr.Error{Code: ecr.CodeUnavailable, Message: "The registry cannot store this now. Try again later.", Err: err}
	}
	return err
}
