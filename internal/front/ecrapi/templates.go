package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

func (c *call) createRepositoryCreationTemplate(ctx context.Context, in *CreateRepositoryCreationTemplateRequest) (*CreateRepositoryCreationTemplateResponse, error) {
	at := c.in(nil)
	t := meta.TemplateSettings{
		Given: *in.Prefix, Description: value(in.Description), RoleARN: value(in.CustomRoleArn),
		Policy: value(in.RepositoryPolicy), Lifecycle: value(in.LifecyclePolicy),
		Mutability: mutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters),
		Encryption: templateEncryption(in.EncryptionConfiguration), AppliedFor: reasons(in.AppliedFor),
	}
	var err error
	if t.Tags, err = resourceTags(in.ResourceTags); err != nil {
		return nil, err
	}
	made, err := c.templates.CreateTemplate(ctx, at, t)
	if err != nil {
		return nil, err
	}
	out := creationTemplate(made)
	return &CreateRepositoryCreationTemplateResponse{RegistryId: text(at.Account), RepositoryCreationTemplate: &out}, nil
}

func (c *call) describeRepositoryCreationTemplates(ctx context.Context, in *DescribeRepositoryCreationTemplatesRequest) (*DescribeRepositoryCreationTemplatesResponse, error) {
	at := c.in(nil)
	out := &DescribeRepositoryCreationTemplatesResponse{RegistryId: text(at.Account), RepositoryCreationTemplates: []RepositoryCreationTemplate{}}
	var list []meta.CreationTemplate
	walk, err := newListing("DescribeRepositoryCreationTemplates", at, nil)
	if err != nil {
		return nil, err
	}
	after, err := walk.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	if len(in.Prefixes) > 0 {
		list, err = c.templates.Templates(ctx, at, in.Prefixes)
	} else {
		var more bool
		list, more, err = c.templates.ListTemplates(ctx, at, after, pageSize(in.MaxResults, defaultPage))
		if more {
			out.NextToken = walk.token(list[len(list)-1].Prefix)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		out.RepositoryCreationTemplates = append(out.RepositoryCreationTemplates, creationTemplate(t))
	}
	return out, nil
}

func (c *call) updateRepositoryCreationTemplate(ctx context.Context, in *UpdateRepositoryCreationTemplateRequest) (*UpdateRepositoryCreationTemplateResponse, error) {
	at := c.in(nil)
	changes := templates.Changes{
		Description: in.Description, RoleARN: in.CustomRoleArn, Policy: in.RepositoryPolicy, Lifecycle: in.LifecyclePolicy, AppliedFor: reasons(in.AppliedFor),
	}
	if in.EncryptionConfiguration != nil {
		e := templateEncryption(in.EncryptionConfiguration)
		changes.Encryption = &e
	}
	if in.ImageTagMutability != nil || in.ImageTagMutabilityExclusionFilters != nil {
		m := mutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters)
		changes.Mutability = &m
	}
	if in.ResourceTags != nil {
		tags, err := resourceTags(in.ResourceTags)
		if err != nil {
			return nil, err
		}
		changes.Tags = &tags
	}
	t, err := c.templates.UpdateTemplate(ctx, at, *in.Prefix, changes)
	if err != nil {
		return nil, err
	}
	out := creationTemplate(t)
	return &UpdateRepositoryCreationTemplateResponse{RegistryId: text(at.Account), RepositoryCreationTemplate: &out}, nil
}

func (c *call) deleteRepositoryCreationTemplate(ctx context.Context, in *DeleteRepositoryCreationTemplateRequest) (*DeleteRepositoryCreationTemplateResponse, error) {
	at := c.in(nil)
	t, err := c.templates.DeleteTemplate(ctx, at, *in.Prefix)
	if err != nil {
		return nil, err
	}
	out := creationTemplate(t)
	return &DeleteRepositoryCreationTemplateResponse{RegistryId: text(at.Account), RepositoryCreationTemplate: &out}, nil
}

func templateEncryption(e *EncryptionConfigurationForRepositoryCreationTemplate) ecr.Encryption {
	if e == nil {
		return ecr.Encryption{}
	}
	return ecr.Encryption{Type: value(e.EncryptionType), KMSKey: value(e.KmsKey)}
}

func reasons(list []string) []ecr.CreationReason {
	if list == nil {
		return nil
	}
	out := make([]ecr.CreationReason, len(list))
	for i, r := range list {
		out[i] = ecr.CreationReason(r)
	}
	return out
}

// creationTemplate is t on the wire.
func creationTemplate(t meta.CreationTemplate) RepositoryCreationTemplate {
	out := RepositoryCreationTemplate{
		Prefix: text(t.Given), Description: text(t.Description), CustomRoleArn: text(t.RoleARN),
		CreatedAt: awsjson.NewTime(t.CreatedAt), UpdatedAt: awsjson.NewTime(t.UpdatedAt),
		RepositoryPolicy: text(t.Policy), LifecyclePolicy: text(t.Lifecycle), ImageTagMutability: text(t.Mutability.Mode),
		ImageTagMutabilityExclusionFilters: exclusionFilters(t.Mutability),
		EncryptionConfiguration: &EncryptionConfigurationForRepositoryCreationTemplate{
			EncryptionType: text(t.Encryption.Type), KmsKey: text(t.Encryption.KMSKey),
		},
		ResourceTags: tagList(t.Tags), AppliedFor: []string{},
	}
	for _, r := range t.AppliedFor {
		out.AppliedFor = append(out.AppliedFor, string(r))
	}
	return out
}
