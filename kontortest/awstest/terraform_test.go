package awstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// resource is one of the AWS Terraform provider's, with the calls that it makes.
type resource struct {
	name string
	// create and update are followed by read, as on import. A resource without
	// update is replaced.
	create, update func() error
	read           func() (any, error)
	// created and updated are what is read then.
	created, updated any
	// delete is nil where the provider leaves the setting as it is.
	delete func() error
	// gone is the code of the error of reading it then, or what is read. The
	// provider takes the code of again, of deleting it twice, for success.
	gone  any
	again string
}

// The provider's eleven resources of ECR: create, read, update and delete, in the order
// of its calls (internal/service/ecr of hashicorp/terraform-provider-aws). Each
// succeeds and reads back unchanged.
func TestCallsOfTerraform(t *testing.T) {
	r := kontortest.Start(t)
	c, ctx, account := awstest.ECR(r), t.Context(), aws.String(r.Account)
	const (
		policy    = `{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":["ecr:BatchGetImage"]}]}`
		policyTo  = `{"Version":"2012-10-17","Statement":[{"Sid":"b","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":["ecr:BatchGetImage"]}]}`
		registry  = `{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":["ecr:CreateRepository"],"Resource":["arn:aws:ecr:us-east-1:000000000000:repository/*"]}]}`
		registry2 = `{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":["ecr:CreateRepository"],"Resource":["arn:aws:ecr:us-east-1:000000000000:repository/*"]}]}`
		rules     = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
		rulesTo   = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}`
	)
	base, app := aws.String("base"), aws.String("app")
	if _, err := c.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: base}); err != nil {
		t.Fatal(err)
	}
	setPolicy := func(text string) func() error {
		return func() error {
			return only(c.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: base, PolicyText: &text}))
		}
	}
	putRules := func(text string) func() error {
		return func() error {
			return only(c.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: base, LifecyclePolicyText: &text}))
		}
	}
	putRegistry := func(text string) func() error {
		return func() error {
			return only(c.PutRegistryPolicy(ctx, &ecr.PutRegistryPolicyInput{PolicyText: &text}))
		}
	}
	replicate := func(prefixes ...string) error {
		rules := []types.ReplicationRule{} // the provider destroys with an empty list
		for _, p := range prefixes {
			rules = append(rules, types.ReplicationRule{
				Destinations:      []types.ReplicationDestination{{Region: aws.String("eu-west-1"), RegistryId: account}},
				RepositoryFilters: []types.RepositoryFilter{{Filter: &p, FilterType: types.RepositoryFilterTypePrefixMatch}},
			})
		}
		return only(c.PutReplicationConfiguration(ctx, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{Rules: rules}}))
	}
	putSetting := func(value string) func() error {
		return func() error {
			return only(c.PutAccountSetting(ctx, &ecr.PutAccountSettingInput{Name: aws.String("REGISTRY_POLICY_SCOPE"), Value: &value}))
		}
	}
	putScanning := func(filters ...string) func() error {
		in := &ecr.PutRegistryScanningConfigurationInput{ScanType: types.ScanTypeBasic, Rules: []types.RegistryScanningRule{}}
		for _, f := range filters {
			in.Rules = append(in.Rules, types.RegistryScanningRule{ScanFrequency: types.ScanFrequencyScanOnPush,
				RepositoryFilters: []types.ScanningRepositoryFilter{{Filter: &f, FilterType: types.ScanningRepositoryFilterTypeWildcard}}})
		}
		return func() error { return only(c.PutRegistryScanningConfiguration(ctx, in)) }
	}
	// The profile that a rule names is AWS Signer's on AWS, and there before.
	profile := r.SigningProfile(t, "release")
	sign := func(filters ...string) error {
		rule := types.SigningRule{SigningProfileArn: &profile}
		for _, f := range filters {
			rule.RepositoryFilters = append(rule.RepositoryFilters, types.SigningRepositoryFilter{Filter: &f, FilterType: types.SigningRepositoryFilterTypeWildcardMatch})
		}
		return only(c.PutSigningConfiguration(ctx, &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{Rules: []types.SigningRule{rule}}}))
	}
	arn := aws.String("arn:aws:ecr:us-east-1:000000000000:repository/app")
	exclusion := aws.String("arn:aws:iam::000000000000:role/scanner")
	template, quay := aws.String("team"), aws.String("quay")
	for _, res := range []resource{
		{
			name: "aws_ecr_repository",
			create: func() error {
				return only(c.CreateRepository(ctx, &ecr.CreateRepositoryInput{
					RepositoryName: app, ImageTagMutability: types.ImageTagMutabilityMutable, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
					ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
					EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
				}))
			},
			read: func() (any, error) {
				out, err := c.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*app}})
				if err != nil {
					return nil, err
				}
				tags, err := c.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: arn})
				if err != nil {
					return nil, err
				}
				d := out.Repositories[0]
				return []any{*d.RegistryId, *d.RepositoryArn, d.ImageTagMutability, d.ImageScanningConfiguration.ScanOnPush, d.EncryptionConfiguration.EncryptionType, len(tags.Tags), *tags.Tags[0].Key}, nil
			},
			created: []any{r.Account, *arn, types.ImageTagMutabilityMutable, true, types.EncryptionTypeAes256, 1, "a"},
			update: func() error {
				return errors.Join(
					only(c.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RegistryId: account, RepositoryName: app, ImageTagMutability: types.ImageTagMutabilityImmutable})),
					only(c.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{RegistryId: account, RepositoryName: app, ImageScanningConfiguration: &types.ImageScanningConfiguration{}})),
					only(c.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}})),
					only(c.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("d")}}})))
			},
			updated: []any{r.Account, *arn, types.ImageTagMutabilityImmutable, false, types.EncryptionTypeAes256, 1, "c"},
			delete: func() error {
				return only(c.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RegistryId: account, RepositoryName: app, Force: false}))
			},
			gone: "RepositoryNotFoundException", again: "RepositoryNotFoundException",
		},
		{
			name:   "aws_ecr_repository_policy",
			create: setPolicy(policy), update: setPolicy(policyTo), created: meaning(policy), updated: meaning(policyTo),
			read: func() (any, error) {
				out, err := c.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: base})
				if err != nil {
					return nil, err
				}
				return meaning(*out.PolicyText), nil
			},
			delete: func() error {
				return only(c.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RegistryId: account, RepositoryName: base}))
			},
			gone: "RepositoryPolicyNotFoundException", again: "RepositoryPolicyNotFoundException",
		},
		{
			name:   "aws_ecr_lifecycle_policy",
			create: putRules(rules), update: putRules(rulesTo), created: meaning(rules), updated: meaning(rulesTo),
			read: func() (any, error) {
				out, err := c.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: base})
				if err != nil {
					return nil, err
				}
				return meaning(*out.LifecyclePolicyText), nil
			},
			delete: func() error {
				return only(c.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: base}))
			},
			gone: "LifecyclePolicyNotFoundException", again: "LifecyclePolicyNotFoundException",
		},
		{
			name:   "aws_ecr_registry_policy",
			create: putRegistry(registry), update: putRegistry(registry2), created: meaning(registry), updated: meaning(registry2),
			read: func() (any, error) {
				out, err := c.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
				if err != nil {
					return nil, err
				}
				return meaning(*out.PolicyText), nil
			},
			delete: func() error { return only(c.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})) },
			gone:   "RegistryPolicyNotFoundException", again: "RegistryPolicyNotFoundException",
		},
		{
			name:   "aws_ecr_registry_scanning_configuration",
			create: putScanning("team/*"), update: putScanning("*"), delete: putScanning(),
			created: []string{"BASIC", "SCAN_ON_PUSH", "team/*"}, updated: []string{"BASIC", "SCAN_ON_PUSH", "*"}, gone: []string{"BASIC"},
			read: func() (any, error) {
				out, err := c.GetRegistryScanningConfiguration(ctx, &ecr.GetRegistryScanningConfigurationInput{})
				if err != nil {
					return nil, err
				}
				list := []string{string(out.ScanningConfiguration.ScanType)}
				for _, rule := range out.ScanningConfiguration.Rules {
					list = append(list, string(rule.ScanFrequency), *rule.RepositoryFilters[0].Filter)
				}
				return list, nil
			},
		},
		{
			name:   "aws_ecr_account_setting", // the provider leaves it as it is
			create: putSetting("V1"), update: putSetting("V2"), created: "V1", updated: "V2",
			read: func() (any, error) {
				out, err := c.GetAccountSetting(ctx, &ecr.GetAccountSettingInput{Name: aws.String("REGISTRY_POLICY_SCOPE")})
				if err != nil {
					return nil, err
				}
				return *out.Value, nil
			},
		},
		{
			name: "aws_ecr_pull_time_update_exclusion",
			create: func() error {
				return only(c.RegisterPullTimeUpdateExclusion(ctx, &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: exclusion}))
			},
			read: func() (any, error) {
				out, err := c.ListPullTimeUpdateExclusions(ctx, &ecr.ListPullTimeUpdateExclusionsInput{})
				if err != nil {
					return nil, err
				}
				return slices.Contains(out.PullTimeUpdateExclusions, *exclusion), nil
			},
			created: true, gone: false, again: "ExclusionNotFoundException",
			delete: func() error {
				return only(c.DeregisterPullTimeUpdateExclusion(ctx, &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: exclusion}))
			},
		},
		{
			name: "aws_ecr_repository_creation_template", // see TestCallsOfTerraformForTemplates
			create: func() error {
				return only(c.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{Prefix: template, AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForReplication}}))
			},
			update: func() error {
				return only(c.UpdateRepositoryCreationTemplate(ctx, &ecr.UpdateRepositoryCreationTemplateInput{Prefix: template, Description: aws.String("d")}))
			},
			read: func() (any, error) {
				out, err := c.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{*template}})
				if err != nil || len(out.RepositoryCreationTemplates) == 0 {
					return nil, err
				}
				return aws.ToString(out.RepositoryCreationTemplates[0].Description), nil
			},
			created: "", updated: "d", gone: nil, again: "TemplateNotFoundException",
			delete: func() error {
				return only(c.DeleteRepositoryCreationTemplate(ctx, &ecr.DeleteRepositoryCreationTemplateInput{Prefix: template}))
			},
		},
		{
			name: "aws_ecr_pull_through_cache_rule", // updated only with a credential
			create: func() error {
				return only(c.CreatePullThroughCacheRule(ctx, &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: quay, UpstreamRegistryUrl: aws.String("quay.io")}))
			},
			read: func() (any, error) {
				out, err := c.DescribePullThroughCacheRules(ctx, &ecr.DescribePullThroughCacheRulesInput{EcrRepositoryPrefixes: []string{*quay}})
				if err != nil {
					return nil, err
				}
				rule := out.PullThroughCacheRules[0]
				return []any{*rule.EcrRepositoryPrefix, *rule.UpstreamRegistryUrl, *rule.UpstreamRepositoryPrefix, *rule.RegistryId, aws.ToString(rule.CredentialArn)}, nil
			},
			created: []any{"quay", "quay.io", "ROOT", r.Account, ""},
			delete: func() error {
				return only(c.DeletePullThroughCacheRule(ctx, &ecr.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: quay}))
			},
			gone: "PullThroughCacheRuleNotFoundException", again: "PullThroughCacheRuleNotFoundException",
		},
		{
			// Destroyed by a configuration without rules.
			name:   "aws_ecr_replication_configuration",
			create: func() error { return replicate("prod") },
			read: func() (any, error) {
				out, err := c.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
				if err != nil {
					return nil, err
				}
				var read []any
				for _, r := range out.ReplicationConfiguration.Rules {
					read = append(read, *r.Destinations[0].Region, *r.Destinations[0].RegistryId, *r.RepositoryFilters[0].Filter, r.RepositoryFilters[0].FilterType)
				}
				return read, nil
			},
			created: []any{"eu-west-1", r.Account, "prod", types.RepositoryFilterTypePrefixMatch},
			update:  func() error { return replicate("prod", "test") },
			updated: []any{"eu-west-1", r.Account, "prod", types.RepositoryFilterTypePrefixMatch, "eu-west-1", r.Account, "test", types.RepositoryFilterTypePrefixMatch},
			delete:  func() error { return replicate() },
			gone:    []any(nil),
		},
		{
			name:   "aws_ecr_signing_configuration",
			create: func() error { return sign("prod/*") }, update: func() error { return sign("prod/*", "test/*") },
			read: func() (any, error) {
				out, err := c.GetSigningConfiguration(ctx, &ecr.GetSigningConfigurationInput{})
				if err != nil {
					return nil, err
				}
				var read []string
				for _, r := range out.SigningConfiguration.Rules {
					read = append(read, *r.SigningProfileArn)
					for _, f := range r.RepositoryFilters {
						read = append(read, *f.Filter, string(f.FilterType))
					}
				}
				return read, nil
			},
			created: []string{profile, "prod/*", "WILDCARD_MATCH"}, updated: []string{profile, "prod/*", "WILDCARD_MATCH", "test/*", "WILDCARD_MATCH"},
			delete: func() error { return only(c.DeleteSigningConfiguration(ctx, &ecr.DeleteSigningConfigurationInput{})) },
			gone:   "SigningConfigurationNotFoundException", again: "SigningConfigurationNotFoundException",
		},
	} {
		t.Run(res.name, func(t *testing.T) { res.replay(t) })
	}
	// What destroys all leaves nothing that keeps the next from being created.
	if _, err := c.DeleteRepository(context.WithoutCancel(ctx), &ecr.DeleteRepositoryInput{RegistryId: account, RepositoryName: base}); err != nil {
		t.Error(err)
	}
}

func (res resource) replay(t *testing.T) {
	reads := func(when string, want any) {
		t.Helper()
		got, err := res.read()
		if code, isCode := want.(string); isCode && err != nil {
			got, want = codeOf(err), code
		} else if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	for range 2 { // destroyed and created again
		if err := res.create(); err != nil {
			t.Fatalf("create: %v", err)
		}
		reads("after create", res.created)
		reads("on import", res.created)
		if res.update != nil {
			if err := res.update(); err != nil {
				t.Fatalf("update: %v", err)
			}
			reads("after update", res.updated)
		}
		if res.delete == nil {
			continue
		}
		if err := res.delete(); err != nil {
			t.Fatalf("delete: %v", err)
		}
		reads("after delete", res.gone)
		if got := codeOf(res.delete()); got != res.again {
			t.Errorf("delete again: %q, want %q", got, res.again)
		}
	}
}

// only is the error of a call.
func only[T any](_ T, err error) error { return err }

// meaning is a document without its layout.
func meaning(text string) (v any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err.Error()
	}
	return alone(v)
}

// alone is v with the lists of one element as that element, which policies do not tell
// apart.
func alone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = alone(x)
		}
	case []any:
		for i := range v {
			v[i] = alone(v[i])
		}
		if len(v) == 1 {
			return v[0]
		}
	}
	return v
}

// codeOf is the code of an error of the API; "" for none.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
