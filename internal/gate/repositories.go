package gate

import (
	"context"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Scene is what a decision about a repository or registry rests on: the
// repository's row, which is zero where there is none, and the settings of its
// registry. Its name is "*" for all repositories, and "" for the registry.
type Scene struct {
	At       ecr.Repo
	Row      meta.Repository
	Settings meta.RegistrySettings
	image    func(key string) ([]string, bool) // nil where none is acted on
}

// sceneReader reads scenes.
type sceneReader struct {
	meta.RepositoryReader
	registries meta.RegistryReader
}

// resource is the ARN that is acted on, "*" for none.
func (s Scene) resource() string {
	if s.At.Name == "" {
		return "*"
	}
	return s.At.ARN()
}

// SettingPolicyScope is the account setting that says what registry policies
// govern: all actions ("V2", the default), or with ScopeV1 a few only (Amazon ECR
// user guide, "Private registry permissions").
const (
	SettingPolicyScope = "REGISTRY_POLICY_SCOPE"
	ScopeV1            = "V1"
)

// request is the question for one action.
func (q *Inquiry) request(s Scene, action access.Action) authz.Request {
	r := authz.Request{
		Principal: q.c.p, Action: action, Resource: s.resource(), Owner: s.At.In.Account, Region: s.At.In.Region,
		RepositoryPolicy: s.Row.PolicyText, ResourceTags: s.Row.Tags,
		RequestTags: q.c.said.Tags, TagKeys: q.c.said.TagKeys, AccountSetting: q.c.said.AccountSetting, Image: s.image,
	}
	if a, _ := policy.LookupAction(string(action)); a.RegistryV1 || s.Settings.Settings[SettingPolicyScope] != ScopeV1 {
		r.RegistryPolicy = s.Settings.PolicyText
	}
	return r
}

// May asks for each of the actions on the scene s.
func (q *Inquiry) May(s Scene, actions ...access.Action) error {
	for _, a := range actions {
		if err := q.Ask(q.request(s, a)); err != nil {
			return err
		}
	}
	return nil
}

// Would returns what May would return; nothing is asked for, and nothing is
// recorded. It is for lists that leave out rows that the caller may not see.
func (q *Inquiry) Would(s Scene, actions ...access.Action) error {
	for _, a := range actions {
		r := q.request(s, a)
		d := authz.Decide(r)
		if err := d.Err(); err != nil {
			return &refusal{d, a, r.Resource, err}
		}
	}
	return nil
}

// settings reads those of a registry. The server's own jobs need none to decide.
func (q *Inquiry) settings(ctx context.Context, in ecr.RegistryID) (meta.RegistrySettings, error) {
	if q.c.p.System != "" {
		return meta.RegistrySettings{}, nil
	}
	return q.r.registries.RegistrySettings(ctx, in)
}

// EnterRegistry asks for the operation where no repository is named.
func (q *Inquiry) EnterRegistry(ctx context.Context, in ecr.RegistryID) (s Scene, err error) {
	s.At.In = in
	// Read for the server's own jobs, too: this is what the operation is about.
	if s.Settings, err = q.r.registries.RegistrySettings(ctx, in); err != nil {
		return Scene{}, err
	}
	return s, q.May(s, q.op.Actions...)
}

// EnterNew asks for the operation, and for the actions also, on a repository
// that is to be, or on all ("*"): on no row.
func (q *Inquiry) EnterNew(ctx context.Context, at ecr.Repo, also ...access.Action) (s Scene, err error) {
	s.At = at
	if s.Settings, err = q.settings(ctx, at.In); err != nil {
		return Scene{}, err
	}
	return s, q.May(s, slices.Concat(q.op.Actions, also)...)
}

// Enter asks for the operation on a repository. Whether it exists is told only
// to those who may; to others of the repository's account in the same words,
// and to those of other accounts after the same work.
// Errors: RepositoryNotFound.
func (q *Inquiry) Enter(ctx context.Context, at ecr.Repo) (Scene, error) {
	return q.EnterFor(ctx, at, q.op.Actions...)
}

// EnterFor is Enter for other actions than the operation's.
func (q *Inquiry) EnterFor(ctx context.Context, at ecr.Repo, actions ...access.Action) (Scene, error) {
	s, there, err := q.scene(ctx, at)
	if err == nil {
		err = q.May(s, actions...)
	}
	if err == nil && !there {
		err = ecr.RepositoryNotFound(at.In, at.Name)
	}
	return s, err
}

// EnterName is Enter for what concerns a repository's name, whether there is a
// repository of that name or not.
func (q *Inquiry) EnterName(ctx context.Context, at ecr.Repo) (Scene, error) {
	s, _, err := q.scene(ctx, at)
	if err == nil {
		err = q.May(s, q.op.Actions...)
	}
	return s, err
}

// EnterOrDraft is Enter for an operation that makes the repository where it is not
// there. draft returns the row as it would be, or meta.ErrNotFound where it cannot be
// made, which is told as RepositoryNotFound. Of a draft, the caller is asked for the
// actions of also, too, which do not go on record when they are allowed.
func (q *Inquiry) EnterOrDraft(ctx context.Context, at ecr.Repo, draft func(ctx context.Context) (meta.Repository, error), also ...access.Action) (s Scene, drafted bool, err error) {
	s, there, err := q.scene(ctx, at)
	if err == nil && !there {
		var row meta.Repository
		switch row, err = draft(ctx); {
		case err == nil:
			s.Row, drafted = row, true
		case errors.Is(err, meta.ErrNotFound):
			err = nil
		}
	}
	if err == nil {
		err = q.May(s, q.op.Actions...)
	}
	if err == nil && drafted {
		err = q.Would(s, also...)
	}
	if err == nil && !there && !drafted {
		err = ecr.RepositoryNotFound(at.In, at.Name)
	}
	return s, drafted, err
}

func (q *Inquiry) scene(ctx context.Context, at ecr.Repo) (s Scene, there bool, err error) {
	s.At = at
	s.Row, err = q.r.Repository(ctx, at.In, at.Name)
	if there = err == nil; !there && !errors.Is(err, meta.ErrNotFound) {
		return Scene{}, false, err
	}
	if s.Settings, err = q.settings(ctx, at.In); err != nil {
		return Scene{}, false, err
	}
	return s, there, nil
}

// EnterNames asks for the operation on the repository name, or where name is
// empty on all of the registry. shown tells which repositories the caller may
// see of what is found then.
func (q *Inquiry) EnterNames(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) (shown func(ecr.RepositoryName) (bool, error), err error) {
	if name != "" {
		_, err := q.EnterName(ctx, in.Repo(name))
		return func(ecr.RepositoryName) (bool, error) { return true, nil }, err
	}
	if _, err := q.EnterNew(ctx, in.Repo("*")); err != nil {
		return nil, err
	}
	known := map[ecr.RepositoryName]bool{}
	return func(name ecr.RepositoryName) (bool, error) {
		if yes, ok := known[name]; ok {
			return yes, nil
		}
		s, _, err := q.scene(ctx, in.Repo(name))
		if err != nil {
			return false, err
		}
		known[name] = q.Would(s, q.op.Actions...) == nil
		return known[name], nil
	}, nil
}

// ReadRepository is Read on the repository that op is for.
func (c *Caller) ReadRepository(ctx context.Context, op Operation, at ecr.Repo, fn func(ctx context.Context, v *View, repo meta.Repository) error) error {
	return c.Read(ctx, op, func(ctx context.Context, v *View) error {
		s, err := v.Enter(ctx, at)
		if err != nil {
			return err
		}
		return fn(ctx, v, s.Row)
	})
}

// ChangeRepository is Change on the repository that op is for.
func (c *Caller) ChangeRepository(ctx context.Context, op Operation, at ecr.Repo, fn func(ctx context.Context, tx *Tx, repo meta.Repository) error) error {
	return c.Change(ctx, op, func(ctx context.Context, tx *Tx) error {
		s, err := tx.Enter(ctx, at)
		if err != nil {
			return err
		}
		return fn(ctx, tx, s.Row)
	})
}
