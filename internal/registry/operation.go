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
		opDescribeRegistry, opRegistryScanning, opSetRegistryScanning, opStartScan, opScanFindings, opSetRegistryPolicy, opRegistryPolicy, opDeleteRegistryPolicy,
		opAccountSetting, opSetAccountSetting,
		opSetPolicy, opPolicy, opDeletePolicy,
		opSetLifecyclePolicy, opLifecyclePolicy, opDeleteLifecyclePolicy,
		opStartLifecyclePreview, opLifecyclePreview, opRunLifecycle, opSetStorageClass, opIndexManifests,
		opReportLeases, opListLeases, opForgetLeases, opMoveClock,
		opTagResource, opUntagResource, opResourceTags,
		opPutImage, opManifest, opStatManifest, opBatchGetImage,
		opBatchDeleteImage, opDeleteManifest, opDeleteTag,
		opListImages, opDescribeImages, opListImageDetails, opListTags, opListReferrers,
		opBatchCheckLayers, opStatBlob, opOpenBlob, opMountBlob, opFindBlob, opDeleteBlob, opDownloadableLayer,
		opListBin, opRestoreImage, opPurgeImage, opJournal, opUsage, opCollect,
		opStartUpload, opUploadOffset, opAppendUpload, opCompleteUpload, opCancelUpload,
	}
}

// scene is what a decision rests on: a repository's row, which is zero where
// there is none, and the settings of its registry.
type scene struct {
	at       Repo
	row      meta.Repository
	settings meta.RegistrySettings
}

// resource is the ARN that is acted on, "*" for none.
func (s scene) resource() string {
	if s.at.Name == "" {
		return "*"
	}
	return s.at.ARN()
}

// judge asks for one action.
func (c *Caller) judge(s scene, action access.Action) authz.Decision {
	r := authz.Request{
		Principal: c.p, Action: action, Resource: s.resource(), Owner: s.at.In.Account, Region: s.at.In.Region,
		RepositoryPolicy: s.row.PolicyText, ResourceTags: s.row.Tags,
		RequestTags: c.asked.tags, TagKeys: c.asked.tagKeys, AccountSetting: c.asked.setting,
	}
	if governs(s.settings, action) {
		r.RegistryPolicy = s.settings.PolicyText
	}
	return authz.Decide(r)
}

// asked is what a request says beside the names of things, as far as policies
// may ask for it.
type asked struct {
	tags    map[string]string
	tagKeys []string
	setting string
}

// asking is c with what the request in hand says.
func (c *Caller) asking(a asked) *Caller {
	with := *c
	with.asked = a
	return &with
}

// decide asks for each of the actions. A refusal is a *refusal; grant names
// what allows the first.
func (c *Caller) decide(s scene, actions ...access.Action) (grant string, err error) {
	for i, a := range actions {
		d := c.judge(s, a)
		if err := d.Err(); err != nil {
			return "", &refusal{decision: d, action: a, resource: s.resource(), err: err}
		}
		if i == 0 {
			grant = d.By
		}
	}
	return grant, nil
}

// load returns the repository if the caller may do op there. Whether it
// exists is told only to those who may; to others of the repository's account
// in the same words, and to those of other accounts after the same work.
func (c *Caller) load(ctx context.Context, r meta.Reader, op Operation, at Repo) (meta.Repository, error) {
	s, _, err := c.enter(ctx, r, op, at)
	return s.row, err
}

// enter is load, with what was decided on and what allows it.
func (c *Caller) enter(ctx context.Context, r meta.Reader, op Operation, at Repo) (s scene, grant string, err error) {
	s.at = at
	var missing error
	s.row, missing = r.Repository(ctx, at.In, at.Name)
	if missing != nil && !errors.Is(missing, meta.ErrNotFound) {
		return scene{}, "", missing
	}
	if s.settings, err = c.settings(ctx, r, at.In); err != nil {
		return scene{}, "", err
	}
	if grant, err = c.decide(s, op.Actions...); err != nil {
		return scene{}, "", err
	}
	if missing != nil {
		return scene{}, "", ecr.RepositoryNotFound(at.In, at.Name)
	}
	return s, grant, nil
}

// settings reads those of a registry, on which decisions rest. The server's own
// jobs need none.
func (c *Caller) settings(ctx context.Context, r meta.RegistryReader, in ecr.RegistryID) (meta.RegistrySettings, error) {
	if c.p.System != "" {
		return meta.RegistrySettings{}, nil
	}
	return r.RegistrySettings(ctx, in)
}

// view reads in one snapshot, on the repository that op is for.
func (c *Caller) view(ctx context.Context, op Operation, at Repo, fn func(ctx context.Context, r meta.Reader, repo meta.Repository) error) error {
	return c.read(ctx, op, at, func(ctx context.Context, r meta.Reader) (string, error) {
		s, grant, err := c.enter(ctx, r, op, at)
		if err != nil {
			return "", err
		}
		return grant, fn(ctx, r, s.row)
	})
}

// update writes in one transaction, on the repository that op is for.
func (c *Caller) update(ctx context.Context, op Operation, at Repo, fn func(ctx context.Context, tx meta.Tx, repo meta.Repository) error) error {
	return c.change(ctx, op, at, func(ctx context.Context, tx meta.Tx) (string, error) {
		s, grant, err := c.enter(ctx, tx, op, at)
		if err != nil {
			return "", err
		}
		return grant, fn(ctx, tx, s.row)
	})
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
