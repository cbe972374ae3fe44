// Package templates holds the operations on repository creation templates: the
// settings of repositories that the registry creates itself. Package registry finds
// and applies them.
//
// A registry has at most one template per prefix. A change holds for repositories
// created from then on, never for those that exist.
//
// Errors are *ecr.Error with the API's codes; ECR's texts are not known.
package templates

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// MaxTemplates is how many templates a registry has at most. ECR has a limit
// (LimitExceededException); its number is not known.
const MaxTemplates = 100

// Service is the operations on templates. It is safe for concurrent use.
type Service struct {
	gate     *gate.Gate
	registry *registry.Registry
	now      func() time.Time
}

// New returns a Service. now is the image clock.
func New(g *gate.Gate, r *registry.Registry, now func() time.Time) *Service {
	return &Service{g, r, now}
}

// Caller is the operations in the name of one principal. It is safe for concurrent
// use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.gate.As(p)} }

// Operations lists every operation. Each stands next to its method; a test holds
// the list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{opCreateTemplate, opListTemplates, opTemplates, opUpdateTemplate, opDeleteTemplate}
}

// key is a prefix as it is stored.
func key(prefix string) string { return strings.TrimSuffix(prefix, "/") }

func notFound(in ecr.RegistryID, prefix string) error {
	return ecr.Errorf(ecr.CodeTemplateNotFound, "The repository creation template with prefix '%s' does not exist in the registry with id '%s'", prefix, in.Account)
}

var opCreateTemplate = gate.Op("CreateTemplate", "ecr:CreateRepositoryCreationTemplate")

// CreateTemplate adds a template with the prefix t.Given and returns it as it is
// stored. It asks for what the template lets the registry do as well: to create
// repositories below the prefix, to set their policies, and to pass the role.
// Errors: TemplateAlreadyExists, LimitExceeded, InvalidParameter, InvalidTagParameter,
// TooManyTags.
func (c *Caller) CreateTemplate(ctx context.Context, in ecr.RegistryID, t meta.TemplateSettings) (meta.CreationTemplate, error) {
	now := c.s.now()
	made := meta.CreationTemplate{Registry: in, Prefix: key(t.Given), CreatedAt: now, UpdatedAt: now}
	if err := checkAppliedFor(t.AppliedFor); err != nil {
		return made, err
	}
	err := c.gate.Change(ctx, opCreateTemplate, func(ctx context.Context, tx *gate.Tx) error {
		if err := enter(ctx, tx, in, made.Prefix, t); err != nil {
			return err
		}
		made.TemplateSettings = t
		if err := c.s.registry.CheckTemplate(ctx, tx, in, &made.TemplateSettings); err != nil {
			return err
		}
		all, err := tx.Registries().ListCreationTemplates(ctx, in, "", MaxTemplates)
		if err != nil {
			return err
		}
		if len(all) == MaxTemplates && !slices.ContainsFunc(all, func(t meta.CreationTemplate) bool { return t.Prefix == made.Prefix }) {
			return ecr.Errorf(ecr.CodeLimitExceeded, "The maximum number of repository creation templates in the registry with id '%s' is %d", in.Account, MaxTemplates)
		}
		err = tx.Registries().InsertCreationTemplate(ctx, made)
		if errors.Is(err, meta.ErrExists) {
			return ecr.Errorf(ecr.CodeTemplateAlreadyExists, "The repository creation template with prefix '%s' already exists in the registry with id '%s'", t.Given, in.Account)
		}
		if err == nil {
			made.Policy, err = registry.ShownPolicy(ctx, tx.Identities(), in, made.Policy)
		}
		return err
	})
	return made, err
}

func checkAppliedFor(reasons []ecr.CreationReason) error {
	if len(reasons) == 0 {
		return ecr.InvalidParameter("appliedFor", "Member must have length greater than or equal to 1")
	}
	for i, r := range reasons {
		if slices.Contains(reasons[:i], r) {
			return ecr.InvalidParameter("appliedFor", "%s is listed twice", r)
		}
	}
	return nil
}

// enter asks for the operation's action, and for what the template needs (user guide,
// "IAM permissions for creating repository creation templates").
func enter(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, prefix string, t meta.TemplateSettings) error {
	s, err := tx.EnterRegistry(ctx, in)
	if err != nil {
		return err
	}
	s.At = in.Repo("*")
	if prefix != ecr.RootPrefix {
		s.At.Name = ecr.RepositoryName(prefix + "/*")
	}
	actions := []access.Action{"ecr:CreateRepository"}
	if t.Lifecycle != "" {
		actions = append(actions, "ecr:PutLifecyclePolicy")
	}
	if t.Policy != "" {
		actions = append(actions, "ecr:SetRepositoryPolicy")
	}
	if err := tx.Would(s, actions...); err != nil || t.RoleARN == "" {
		return err
	}
	return registry.PassRole(tx, in, t.RoleARN, "ecr-templates")
}

var opListTemplates = gate.Op("ListTemplates", "ecr:DescribeRepositoryCreationTemplates")

// ListTemplates returns at most limit templates in byte order of their prefixes,
// after the prefix after, and whether there are more.
func (c *Caller) ListTemplates(ctx context.Context, in ecr.RegistryID, after string, limit int) (list []meta.CreationTemplate, more bool, err error) {
	err = c.gate.Read(ctx, opListTemplates, func(ctx context.Context, v *gate.View) (err error) {
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if list, err = v.Registries().ListCreationTemplates(ctx, in, after, limit+1); err != nil {
			return err
		}
		if more = len(list) > limit; more {
			list = list[:limit]
		}
		return show(ctx, v, in, list)
	})
	return list, more, err
}

var opTemplates = gate.Op("Templates", "ecr:DescribeRepositoryCreationTemplates")

// Templates returns those templates that have one of prefixes. The API has no error
// for prefixes without a template.
func (c *Caller) Templates(ctx context.Context, in ecr.RegistryID, prefixes []string) (list []meta.CreationTemplate, err error) {
	keys := make([]string, len(prefixes))
	for i, p := range prefixes {
		keys[i] = key(p)
	}
	err = c.gate.Read(ctx, opTemplates, func(ctx context.Context, v *gate.View) (err error) {
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if list, err = v.Registries().CreationTemplates(ctx, in, keys); err != nil {
			return err
		}
		return show(ctx, v, in, list)
	})
	return list, err
}

func show(ctx context.Context, v *gate.View, in ecr.RegistryID, list []meta.CreationTemplate) (err error) {
	for i := range list {
		if list[i].Policy, err = registry.ShownPolicy(ctx, v.Identities(), in, list[i].Policy); err != nil {
			return fmt.Errorf("policy of the repository creation template %s: %w", list[i].Prefix, err)
		}
	}
	return nil
}

// find reads the template of a prefix. Errors: TemplateNotFound.
func find(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, prefix string) (meta.CreationTemplate, error) {
	list, err := tx.Registries().CreationTemplates(ctx, in, []string{key(prefix)})
	if err == nil && len(list) == 0 {
		err = notFound(in, prefix)
	}
	if err != nil {
		return meta.CreationTemplate{}, err
	}
	return list[0], nil
}

// Changes are the changes of a template. A nil field stays as it is; an empty one is
// cleared.
type Changes struct {
	Description *string
	Encryption  *ecr.Encryption
	Mutability  *ecr.Mutability
	Tags        *map[string]string
	Policy      *string
	Lifecycle   *string
	AppliedFor  []ecr.CreationReason // nil to stay
	RoleARN     *string
}

// apply puts the changes into t.
func (c Changes) apply(t *meta.TemplateSettings) {
	put(c.Description, &t.Description)
	put(c.Encryption, &t.Encryption)
	if c.Mutability != nil {
		m := *c.Mutability
		m.Mode = cmp.Or(m.Mode, t.Mutability.Mode)
		t.Mutability = m
	}
	put(c.Tags, &t.Tags)
	put(c.Policy, &t.Policy)
	put(c.Lifecycle, &t.Lifecycle)
	put(c.RoleARN, &t.RoleARN)
	if c.AppliedFor != nil {
		t.AppliedFor = c.AppliedFor
	}
}

func put[T any](from, to *T) {
	if from != nil {
		*to = *from
	}
}

var opUpdateTemplate = gate.Op("UpdateTemplate", "ecr:UpdateRepositoryCreationTemplate")

// UpdateTemplate changes a template and returns it. It asks for what CreateTemplate
// asks for, as the template is then.
// Errors: TemplateNotFound, and those of CreateTemplate.
func (c *Caller) UpdateTemplate(ctx context.Context, in ecr.RegistryID, prefix string, changes Changes) (t meta.CreationTemplate, err error) {
	err = c.gate.Change(ctx, opUpdateTemplate, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if t, err = find(ctx, tx, in, prefix); err != nil {
			return err
		}
		// A policy that names someone who is gone cannot be set again, and need not be.
		kept := t.Policy
		changes.apply(&t.TemplateSettings)
		t.UpdatedAt = c.s.now()
		if err := checkAppliedFor(t.AppliedFor); err != nil {
			return err
		}
		if err := enter(ctx, tx, in, t.Prefix, t.TemplateSettings); err != nil {
			return err
		}
		checked := t.TemplateSettings
		if changes.Policy == nil {
			checked.Policy = ""
		}
		if err := c.s.registry.CheckTemplate(ctx, tx, in, &checked); err != nil {
			return err
		}
		if changes.Policy == nil {
			checked.Policy = kept
		}
		t.TemplateSettings = checked
		if err := tx.Registries().UpdateCreationTemplate(ctx, t); err != nil {
			return err
		}
		t.Policy, err = registry.ShownPolicy(ctx, tx.Identities(), in, t.Policy)
		return err
	})
	return t, err
}

var opDeleteTemplate = gate.Op("DeleteTemplate", "ecr:DeleteRepositoryCreationTemplate")

// DeleteTemplate removes a template and returns what it was. Repositories that were
// created from it stay. Errors: TemplateNotFound.
func (c *Caller) DeleteTemplate(ctx context.Context, in ecr.RegistryID, prefix string) (t meta.CreationTemplate, err error) {
	err = c.gate.Change(ctx, opDeleteTemplate, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if t, err = find(ctx, tx, in, prefix); err != nil {
			return err
		}
		if t.Policy, err = registry.ShownPolicy(ctx, tx.Identities(), in, t.Policy); err != nil {
			return err
		}
		return tx.Registries().DeleteCreationTemplate(ctx, in, t.Prefix)
	})
	return t, err
}
