package awstest_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// The calls of the AWS Terraform provider for aws_ecr_repository_creation_template, in
// its order: create and read, read on import, update of single members and read, delete
// and delete again (internal/service/ecr/repository_creation_template.go of the
// provider). What was created reads back unchanged.
func TestCallsOfTerraformForTemplates(t *testing.T) {
	c := awstest.ECR(kontortest.Start(t))
	ctx := t.Context()
	read := func() (list []types.RepositoryCreationTemplate) {
		t.Helper()
		pages := ecr.NewDescribeRepositoryCreationTemplatesPaginator(c, &ecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"team"}})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if aws.ToString(page.RegistryId) != "000000000000" {
				t.Errorf("registry %v", page.RegistryId)
			}
			list = append(list, page.RepositoryCreationTemplates...)
		}
		return list
	}
	want := types.RepositoryCreationTemplate{
		Prefix: aws.String("team"), Description: aws.String("for teams"), CustomRoleArn: aws.String("arn:aws:iam::000000000000:role/templates"),
		AppliedFor:              []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush, types.RCTAppliedForPullThroughCache},
		EncryptionConfiguration: &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeAes256},
		ImageTagMutability:      types.ImageTagMutabilityImmutableWithExclusion,
		ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{
			{Filter: aws.String("dev-*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard},
		},
		ResourceTags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
	}
	check := func(what string, want types.RepositoryCreationTemplate) {
		t.Helper()
		got := read()
		if len(got) != 1 {
			t.Fatalf("%s: %d templates", what, len(got))
		}
		if d := cmp.Diff(want, got[0], cmpopts.IgnoreUnexported(types.RepositoryCreationTemplate{}, types.EncryptionConfigurationForRepositoryCreationTemplate{},
			types.ImageTagMutabilityExclusionFilter{}, types.Tag{}), cmpopts.IgnoreFields(types.RepositoryCreationTemplate{}, "CreatedAt", "UpdatedAt")); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	_, err := c.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: want.Prefix, Description: want.Description, CustomRoleArn: want.CustomRoleArn, AppliedFor: want.AppliedFor,
		ImageTagMutability: want.ImageTagMutability, ImageTagMutabilityExclusionFilters: want.ImageTagMutabilityExclusionFilters, ResourceTags: want.ResourceTags,
	})
	if err != nil {
		t.Fatal(err)
	}
	check("after create, and on import", want)

	update := func(what string, in ecr.UpdateRepositoryCreationTemplateInput) {
		t.Helper()
		in.Prefix = want.Prefix
		if _, err := c.UpdateRepositoryCreationTemplate(ctx, &in); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		check(what, want)
	}
	want.Description, want.CustomRoleArn = aws.String("for every team"), nil
	update("texts", ecr.UpdateRepositoryCreationTemplateInput{Description: want.Description, CustomRoleArn: aws.String("")})
	want.ImageTagMutability, want.ImageTagMutabilityExclusionFilters = types.ImageTagMutabilityMutable, nil
	update("mutability", ecr.UpdateRepositoryCreationTemplateInput{ImageTagMutability: want.ImageTagMutability})
	want.ResourceTags = []types.Tag{}
	update("no more tags", ecr.UpdateRepositoryCreationTemplateInput{ResourceTags: []types.Tag{}})
	want.AppliedFor = want.AppliedFor[:1]
	update("reasons", ecr.UpdateRepositoryCreationTemplateInput{AppliedFor: want.AppliedFor})
	update("no lifecycle policy", ecr.UpdateRepositoryCreationTemplateInput{LifecyclePolicy: aws.String(""), RepositoryPolicy: aws.String("")})

	in := &ecr.DeleteRepositoryCreationTemplateInput{Prefix: want.Prefix}
	if _, err := c.DeleteRepositoryCreationTemplate(ctx, in); err != nil {
		t.Fatal(err)
	}
	if got := read(); len(got) != 0 {
		t.Errorf("after delete: %v", got)
	}
	_, err = c.DeleteRepositoryCreationTemplate(ctx, in)
	if none := (*types.TemplateNotFoundException)(nil); !errors.As(err, &none) {
		t.Errorf("again: %v", err)
	}
}
