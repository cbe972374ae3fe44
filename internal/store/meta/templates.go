package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// CreationTemplate holds the settings of repositories that the registry creates
// itself, of those whose names begin with Prefix and a slash.
type CreationTemplate struct {
	Registry  ecr.RegistryID
	Prefix    string // without a slash at its end, such as "team/app"; ecr.RootPrefix for all
	CreatedAt time.Time
	UpdatedAt time.Time
	TemplateSettings
}

// TemplateSettings are what a template says, kept as a whole. Empty fields are
// not set.
type TemplateSettings struct {
	// Given is the prefix as it was given, perhaps with a slash at its end.
	Given       string            `json:"given,omitempty"`
	Description string            `json:"description,omitempty"`
	Encryption  ecr.Encryption    `json:"encryption,omitzero"`
	Mutability  ecr.Mutability    `json:"mutability,omitzero"`
	Tags        map[string]string `json:"tags,omitempty"`
	// Policy and Lifecycle are documents, as a Repository's.
	Policy    string `json:"policy,omitempty"`
	Lifecycle string `json:"lifecycle,omitempty"`
	// AppliedFor is not empty.
	AppliedFor []ecr.CreationReason `json:"applied_for,omitempty"`
	RoleARN    string               `json:"role_arn,omitempty"`
}

// TemplateReader reads templates.
type TemplateReader interface {
	// CreationTemplates returns those templates of the registry that have one of
	// prefixes, each once, in byte order of their prefixes.
	CreationTemplates(ctx context.Context, in ecr.RegistryID, prefixes []string) ([]CreationTemplate, error)
	// ListCreationTemplates returns at most limit templates of the registry in
	// byte order of their prefixes, starting after the prefix after.
	ListCreationTemplates(ctx context.Context, in ecr.RegistryID, after string, limit int) ([]CreationTemplate, error)
}

// TemplateWriter changes templates.
type TemplateWriter interface {
	// InsertCreationTemplate adds t. ErrExists when the registry has one of that
	// prefix.
	InsertCreationTemplate(ctx context.Context, t CreationTemplate) error
	// UpdateCreationTemplate stores t's settings and UpdatedAt. ErrNotFound.
	UpdateCreationTemplate(ctx context.Context, t CreationTemplate) error
	// DeleteCreationTemplate removes the template. ErrNotFound.
	DeleteCreationTemplate(ctx context.Context, in ecr.RegistryID, prefix string) error
}
