package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Repositories that the registry creates itself, from templates. Source: Amazon ECR
// user guide, "Templates to control repositories created during a pull through cache,
// create on push, or replication action". Where the guide is silent, a template that
// is not for the reason at hand does not hide a shorter one that is.

// FindTemplate returns the template for a repository that is created for reason: the
// one with the longest prefix. meta.ErrNotFound.
func FindTemplate(ctx context.Context, r meta.TemplateReader, at ecr.Repo, reason ecr.CreationReason) (meta.CreationTemplate, error) {
	prefixes := ecr.TemplatePrefixes(at.Name)
	all, err := r.CreationTemplates(ctx, at.In, prefixes)
	if err != nil {
		return meta.CreationTemplate{}, err
	}
	for _, prefix := range prefixes {
		for _, t := range all {
			if t.Prefix == prefix && slices.Contains(t.AppliedFor, reason) {
				return t, nil
			}
		}
	}
	return meta.CreationTemplate{}, meta.ErrNotFound
}

// Draft is the row of the repository at as t makes it. It is not stored.
func (r *Registry) Draft(at ecr.Repo, t meta.CreationTemplate) (meta.Repository, error) {
	row := meta.Repository{
		Registry: at.In, Name: at.Name, CreatedAt: r.cfg.Now(), Mutability: t.Mutability, Tags: t.Tags,
		PolicyText: t.Policy, LifecycleText: t.Lifecycle,
	}
	if row.Mutability.Mode == "" {
		row.Mutability.Mode = ecr.Mutable
	}
	var err error
	row.Encryption, err = encryption(at.In, t.Encryption)
	return row, err
}

// Create stores a repository that Draft made of t, and returns its row. The record
// says that the template is the reason. Where the caller's own rights count, the
// operation has asked for them on the draft (gate.EnterOrDraft).
// Errors: RepositoryNotFound when the template's role may not create it.
func (r *Registry) Create(ctx context.Context, tx *gate.Tx, row meta.Repository, t meta.CreationTemplate) (meta.Repository, error) {
	at := row.Registry.Repo(row.Name)
	if err := r.checkRole(ctx, tx, row, t); err != nil {
		return row, err
	}
	by := authz.Decision{Allowed: true, By: "repository creation template " + t.Prefix}
	if err := tx.Decided(opCreateRepository.Actions[0], at.ARN(), by); err != nil {
		return row, err
	}
	var err error
	row.ID, err = tx.InsertRepository(ctx, row)
	created(tx, at, by.By)
	return row, err
}

// CreateForPull creates the repository of a first pull through a cache in the name of
// c: as a template for such pulls says, else with ECR's defaults. One that is there is
// no error. Errors: AccessDenied; RepositoryNotFound when the template's role may not.
func (r *Registry) CreateForPull(ctx context.Context, c *gate.Caller, at ecr.Repo) error {
	err := c.Change(ctx, opCreateRepository, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterNew(ctx, at); err != nil {
			return err
		}
		row, t, err := r.DraftFor(ctx, tx.Registries(), at, ecr.CreateOnPull)
		if err == nil {
			_, err = r.CreateDraft(ctx, tx, row, t, "first pull through a cache")
		}
		return err
	})
	if errors.Is(err, meta.ErrExists) {
		return nil
	}
	return err
}

// DraftFor is the row of a repository that is created for reason: as a template for it
// says, else with ECR's defaults, and then there is no template.
func (r *Registry) DraftFor(ctx context.Context, from meta.TemplateReader, at ecr.Repo, reason ecr.CreationReason) (row meta.Repository, t *meta.CreationTemplate, err error) {
	found, err := FindTemplate(ctx, from, at, reason)
	if err == nil {
		t = &found
	} else if !errors.Is(err, meta.ErrNotFound) {
		return row, nil, err
	}
	row, err = r.Draft(at, found)
	return row, t, err
}

// CreateDraft stores what DraftFor returned; cause is why, for its event. The caller has
// asked for the right to create the repository. Errors: those of Create; meta.ErrExists.
func (r *Registry) CreateDraft(ctx context.Context, tx *gate.Tx, row meta.Repository, t *meta.CreationTemplate, cause string) (meta.Repository, error) {
	if t != nil {
		return r.Create(ctx, tx, row, *t)
	}
	var err error
	row.ID, err = tx.InsertRepository(ctx, row)
	created(tx, row.Registry.Repo(row.Name), cause)
	return row, err
}

// serviceECR is who assumes the role of a template.
const serviceECR = "ecr.amazonaws.com"

// checkRole checks that the template's role, if it has one, may create the repository.
func (r *Registry) checkRole(ctx context.Context, tx *gate.Tx, row meta.Repository, t meta.CreationTemplate) error {
	if t.RoleARN == "" {
		return nil
	}
	at := row.Registry.Repo(row.Name)
	refuse := func(reason string, cause error) error {
		e := ecr.Errorf(ecr.CodeRepositoryNotFound, "%s. The repository creation template with prefix '%s' did not create it: %s", ecr.RepositoryNotFound(at.In, at.Name).Message, t.Given, reason)
		e.Err = cause
		return e
	}
	var role access.Principal
	ok := false
	if r.cfg.Roles != nil {
		var err error
		if role, ok, err = r.cfg.Roles.ServiceRole(ctx, tx.Identities(), t.RoleARN, serviceECR, at.In); err != nil {
			return err
		}
	}
	if !ok {
		return refuse("its role "+t.RoleARN+" does not exist or does not let "+serviceECR+" assume it", nil)
	}
	actions := slices.Clone(opCreateRepository.Actions)
	if len(row.Tags) > 0 {
		actions = append(actions, opTagResource.Actions...)
	}
	said := tagsSaid(row.Tags)
	for _, action := range actions {
		d := authz.Decide(authz.Request{
			Principal: role, Action: action, Resource: at.ARN(), Owner: at.In.Account, Region: at.In.Region,
			RequestTags: said.Tags, TagKeys: said.TagKeys,
		})
		if err := d.Err(); err != nil {
			return refuse("its role "+t.RoleARN+" is not allowed to perform "+string(action), err)
		}
	}
	return nil
}

// pushActions are what a push asks for from its beginning to its end. Who may not do
// all of it leaves no repository behind.
var pushActions = []access.Action{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}

// pushDraft is the draft of a repository that a push creates, for gate.EnterOrDraft.
func (r *Registry) pushDraft(from meta.TemplateReader, at ecr.Repo) func(ctx context.Context) (meta.Repository, error) {
	return func(ctx context.Context) (meta.Repository, error) {
		t, err := FindTemplate(ctx, from, at, ecr.CreateOnPush)
		if err != nil {
			return meta.Repository{}, err
		}
		return r.Draft(at, t)
	}
}

// pushTo is gate.ChangeRepository for the operations that begin a push: where the
// repository is not there, a template may say that they create it. A push that may
// not go on to its end, or that fails here, creates nothing.
func (r *Registry) pushTo(ctx context.Context, c *gate.Caller, op gate.Operation, at ecr.Repo, fn func(ctx context.Context, tx *gate.Tx, s gate.Scene) error) error {
	return c.Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		var t meta.CreationTemplate
		s, drafted, err := tx.EnterOrDraft(ctx, at, func(ctx context.Context) (row meta.Repository, err error) {
			if t, err = FindTemplate(ctx, tx.Registries(), at, ecr.CreateOnPush); err != nil {
				return row, err
			}
			return r.Draft(at, t)
		}, pushActions...)
		if err == nil && drafted {
			s.Row, err = r.Create(ctx, tx, s.Row, t)
		}
		if err != nil {
			return err
		}
		return fn(ctx, tx, s)
	})
}

// CheckTemplate checks what a template says, and completes it as it is stored: with
// the documents in their stored form, and principals by their ids.
// Errors: InvalidParameter, InvalidTagParameter, TooManyTags.
func (r *Registry) CheckTemplate(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, t *meta.TemplateSettings) error {
	if t.Mutability.Mode == "" {
		t.Mutability.Mode = ecr.Mutable
	}
	if err := checkMutability(t.Mutability); err != nil {
		return err
	}
	if t.Encryption.Type == "" {
		t.Encryption.Type = "AES256"
	}
	if _, err := encryption(in, t.Encryption); err != nil {
		return err
	}
	if err := checkResourceTags(t.Tags); err != nil {
		return err
	}
	if err := r.checkTemplatePolicy(ctx, tx, in, t); err != nil {
		return err
	}
	if t.Lifecycle != "" {
		var err error
		if t.Lifecycle, err = r.cfg.Retention.CheckLifecyclePolicy(in, t.Lifecycle); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) checkTemplatePolicy(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, t *meta.TemplateSettings) error {
	if t.Policy == "" {
		return nil
	}
	doc, err := policy.ParseFor([]byte(t.Policy), policy.Repository)
	if err == nil {
		err = r.checkKeys(doc)
	}
	if err != nil {
		return invalidPolicy("repository", err)
	}
	partition := in.Region.Partition()
	if doc, err = bind(ctx, tx.Identities(), partition, withRootARNs(partition, doc)); err == nil {
		t.Policy = doc.Pretty()
	}
	return err
}

// ShownPolicy is the repository policy of a template as its reader sees it: with the
// names of the principals that still exist.
func ShownPolicy(ctx context.Context, r meta.IdentityReader, in ecr.RegistryID, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return shown(ctx, r, in.Region.Partition(), text)
}
