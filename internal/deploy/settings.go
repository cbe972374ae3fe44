package deploy

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// SettingsAPI is the part of ECR's API about creation templates, pull-through
// cache rules and replication.
type SettingsAPI interface {
	ecr.DescribeRepositoryCreationTemplatesAPIClient
	CreateRepositoryCreationTemplate(context.Context, *ecr.CreateRepositoryCreationTemplateInput, ...func(*ecr.Options)) (*ecr.CreateRepositoryCreationTemplateOutput, error)
	UpdateRepositoryCreationTemplate(context.Context, *ecr.UpdateRepositoryCreationTemplateInput, ...func(*ecr.Options)) (*ecr.UpdateRepositoryCreationTemplateOutput, error)
	DeleteRepositoryCreationTemplate(context.Context, *ecr.DeleteRepositoryCreationTemplateInput, ...func(*ecr.Options)) (*ecr.DeleteRepositoryCreationTemplateOutput, error)

	ecr.DescribePullThroughCacheRulesAPIClient
	CreatePullThroughCacheRule(context.Context, *ecr.CreatePullThroughCacheRuleInput, ...func(*ecr.Options)) (*ecr.CreatePullThroughCacheRuleOutput, error)
	UpdatePullThroughCacheRule(context.Context, *ecr.UpdatePullThroughCacheRuleInput, ...func(*ecr.Options)) (*ecr.UpdatePullThroughCacheRuleOutput, error)
	DeletePullThroughCacheRule(context.Context, *ecr.DeletePullThroughCacheRuleInput, ...func(*ecr.Options)) (*ecr.DeletePullThroughCacheRuleOutput, error)

	DescribeRegistry(context.Context, *ecr.DescribeRegistryInput, ...func(*ecr.Options)) (*ecr.DescribeRegistryOutput, error)
	PutReplicationConfiguration(context.Context, *ecr.PutReplicationConfigurationInput, ...func(*ecr.Options)) (*ecr.PutReplicationConfigurationOutput, error)
	GetRegistryPolicy(context.Context, *ecr.GetRegistryPolicyInput, ...func(*ecr.Options)) (*ecr.GetRegistryPolicyOutput, error)
	PutRegistryPolicy(context.Context, *ecr.PutRegistryPolicyInput, ...func(*ecr.Options)) (*ecr.PutRegistryPolicyOutput, error)
	DeleteRegistryPolicy(context.Context, *ecr.DeleteRegistryPolicyInput, ...func(*ecr.Options)) (*ecr.DeleteRegistryPolicyOutput, error)
}

// Needed says whether to read something of a registry.
type Needed int

// The needs. What is Wished is read if the caller may.
const (
	Unneeded Needed = iota
	Wished
	Needs
)

// SettingsScope says which settings of the registry itself to observe.
type SettingsScope struct{ Templates, Upstreams, Replication, RegistryPolicy Needed }

// SettingsScopeOf is what a plan for d must know. Where the plan deletes, the
// templates of the stack are looked for also if the file has no templates.
func SettingsScopeOf(d state.Desired, end plan.End) (s SettingsScope) {
	if len(d.Wanted.Templates) > 0 || d.Wanted.TemplatesGiven {
		s.Templates = Needs
	} else if end != plan.Nothing {
		s.Templates = Wished
	}
	if len(d.Wanted.Upstreams) > 0 {
		s.Upstreams = Needs
	}
	if d.Wanted.Replication != nil {
		s.Replication = Needs
		if len(d.Wanted.ReplicationAccounts) > 0 {
			s.RegistryPolicy = Wished
		}
	}
	return s
}

// ObserveSettings reads the settings of the registry itself that are in scope.
func ObserveSettings(ctx context.Context, api SettingsAPI, in kecr.RegistryID, scope SettingsScope) (out state.Settings, err error) {
	if scope.Templates != Unneeded {
		list, err := templates(ctx, api, in)
		switch {
		case scope.Templates == Wished && (denied(err) || isCode(err, kecr.CodeUnknownOperation)):
			out.TemplatesUnseen = err.Error()
		case err != nil:
			return out, err
		default:
			out.Templates = map[string]state.Template{}
			for _, t := range list {
				x := templateOf(t)
				out.Templates[x.Prefix] = x
			}
		}
	}
	if scope.Upstreams != Unneeded {
		list, err := rules(ctx, api, in)
		switch {
		case scope.Upstreams == Wished && (denied(err) || isCode(err, kecr.CodeUnknownOperation)):
			out.UpstreamsUnseen = err.Error()
		case err != nil:
			return out, err
		default:
			out.Upstreams = map[string]state.Upstream{}
			for _, r := range list {
				x := upstreamOf(r)
				out.Upstreams[x.Prefix] = x
			}
		}
	}
	return out, observeReplication(ctx, api, in, scope, &out)
}

func templates(ctx context.Context, api SettingsAPI, in kecr.RegistryID) (list []types.RepositoryCreationTemplate, err error) {
	pages := ecr.NewDescribeRepositoryCreationTemplatesPaginator(api, &ecr.DescribeRepositoryCreationTemplatesInput{MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(err, "the templates of "+in.String())
		}
		list = append(list, page.RepositoryCreationTemplates...)
	}
	return list, nil
}

func rules(ctx context.Context, api SettingsAPI, in kecr.RegistryID) (list []types.PullThroughCacheRule, err error) {
	pages := ecr.NewDescribePullThroughCacheRulesPaginator(api, &ecr.DescribePullThroughCacheRulesInput{
		RegistryId: aws.String(string(in.Account)), MaxResults: aws.Int32(1000),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(err, "the pull-through cache rules of "+in.String())
		}
		list = append(list, page.PullThroughCacheRules...)
	}
	return list, nil
}

func templateOf(t types.RepositoryCreationTemplate) state.Template {
	out := state.Template{Prefix: trimmed(t.Prefix), RoleARN: aws.ToString(t.CustomRoleArn)}
	out.Description, out.Stack = state.Unmarked(aws.ToString(t.Description))
	for _, r := range t.AppliedFor {
		out.AppliedFor = append(out.AppliedFor, kecr.CreationReason(r))
	}
	out.Repository = state.Repository{
		Name:   kecr.RepositoryName(state.Below(out.Prefix)),
		Policy: aws.ToString(t.RepositoryPolicy), Lifecycle: aws.ToString(t.LifecyclePolicy), Tags: map[string]string{},
		Mutability: mutabilityOf(types.Repository{ImageTagMutability: t.ImageTagMutability, ImageTagMutabilityExclusionFilters: t.ImageTagMutabilityExclusionFilters}),
	}
	for _, x := range t.ResourceTags {
		out.Tags[aws.ToString(x.Key)] = aws.ToString(x.Value)
	}
	if e := t.EncryptionConfiguration; e != nil {
		out.Encryption = &kecr.Encryption{Type: string(e.EncryptionType), KMSKey: aws.ToString(e.KmsKey)}
	}
	return out
}

func upstreamOf(r types.PullThroughCacheRule) state.Upstream {
	out := state.Upstream{
		Prefix: trimmed(r.EcrRepositoryPrefix), UpstreamPrefix: trimmed(r.UpstreamRepositoryPrefix),
		Host:       strings.TrimSuffix(strings.TrimPrefix(aws.ToString(r.UpstreamRegistryUrl), "https://"), "/"),
		Credential: aws.ToString(r.CredentialArn), RoleARN: aws.ToString(r.CustomRoleArn),
	}
	if out.UpstreamPrefix == "" {
		out.UpstreamPrefix = kecr.RootPrefix
	}
	return out
}

func trimmed(prefix *string) string { return strings.TrimSuffix(aws.ToString(prefix), "/") }

// settings applies the changes of templates and upstreams.
type settings struct {
	api SettingsAPI
	// Of registries of Kontor; nil for none.
	signers   SignersAPI
	receivers ReceiversAPI
	options   ReplicationAPI
	plan      plan.Plan
}

// apply makes the changes, one after the other: templates before the rules that use
// them, and what goes in the other order.
func (s settings) apply(ctx context.Context) (results []SettingResult) {
	creating, deleting := []func() SettingResult{}, []func() SettingResult{}
	for _, c := range s.plan.PendingTemplates() {
		step := func() SettingResult {
			return s.run(ctx, KindTemplate, c.Prefix, c.Op, func(ctx context.Context) (string, error) { return s.template(ctx, c) })
		}
		if c.Op == plan.OpDelete {
			deleting = append(deleting, step)
		} else {
			creating = append(creating, step)
		}
	}
	rules := []func() SettingResult{}
	for _, c := range s.plan.PendingUpstreams() {
		rules = append(rules, func() SettingResult {
			return s.run(ctx, KindUpstream, c.Prefix, c.Op, func(ctx context.Context) (string, error) { return s.upstream(ctx, c) })
		})
	}
	for _, c := range s.plan.PendingSigners() {
		rules = append(rules, func() SettingResult {
			return s.run(ctx, KindSigner, c.Name, c.Op, func(ctx context.Context) (string, error) { return s.signer(ctx, c) })
		})
	}
	for _, c := range s.plan.PendingReceivers() {
		rules = append(rules, func() SettingResult {
			return s.run(ctx, KindReceiver, c.Name, c.Op, func(ctx context.Context) (string, error) { return s.receiver(ctx, c) })
		})
	}
	if c, ok := s.plan.PendingReplication(); ok {
		rules = append(rules, func() SettingResult {
			return s.run(ctx, KindReplication, "", c.Op, func(ctx context.Context) (string, error) { return s.replication(ctx, c) })
		})
	}
	for _, list := range [][]func() SettingResult{creating, rules, deleting} {
		for _, step := range list {
			results = append(results, step())
		}
	}
	return results
}

// run makes one change, which returns why it was not made because what is there
// changed.
func (s settings) run(ctx context.Context, kind Kind, prefix string, op plan.Op, change func(context.Context) (moved string, err error)) SettingResult {
	out := SettingResult{Kind: kind, Prefix: prefix, Op: op, Status: StatusDone}
	if ctx.Err() != nil {
		out.Status, out.Error = StatusSkipped, "stopped before it was its turn"
		return out
	}
	moved, err := change(context.WithoutCancel(ctx))
	switch {
	case err != nil:
		what := string(kind) + " " + state.Below(prefix)
		switch kind {
		case KindSigner, KindReceiver:
			what = string(kind) + " " + prefix
		case KindReplication:
			what = "the replication of " + s.plan.Target.Registry().String()
		}
		err = explain(err, what)
		out.Status, out.Error, out.Code = StatusFailed, err.Error(), CodeOf(err)
	case moved != "":
		out.Status, out.Error = StatusMoved, moved
	}
	return out
}

func (s settings) template(ctx context.Context, c plan.TemplateChange) (moved string, err error) {
	list, err := templates(ctx, s.api, s.plan.Target.Registry())
	if err != nil {
		return "", err
	}
	var have state.Template
	var named *string // as it was written when it was created
	for _, t := range list {
		if x := templateOf(t); x.Prefix == c.Prefix {
			have, named = x, t.Prefix
		}
	}
	if moved := c.Moved(have, named != nil); moved != "" {
		return moved, nil
	}
	if c.Op == plan.OpDelete {
		if named == nil {
			return "", nil // it is gone, as wanted
		}
		_, err = s.api.DeleteRepositoryCreationTemplate(ctx, &ecr.DeleteRepositoryCreationTemplateInput{Prefix: named})
		if isCode(err, kecr.CodeTemplateNotFound) {
			err = nil
		}
		return "", err
	}
	after := *c.After
	description := aws.String(state.Marked(after.Description, after.Stack))
	reasons := make([]types.RCTAppliedFor, len(after.AppliedFor))
	for i, r := range after.AppliedFor {
		reasons[i] = types.RCTAppliedFor(r)
	}
	encryption := &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionType(after.Settings.Encryption.Type)}
	if key := after.Settings.Encryption.KMSKey; key != "" {
		encryption.KmsKey = aws.String(key)
	}
	if named == nil {
		in := &ecr.CreateRepositoryCreationTemplateInput{
			Prefix: aws.String(c.Prefix), AppliedFor: reasons, Description: description, CustomRoleArn: some(after.RoleARN),
			EncryptionConfiguration: encryption, ResourceTags: tagsOf(after.Settings.Tags),
			ImageTagMutability: types.ImageTagMutability(after.Settings.Mutability.Mode), ImageTagMutabilityExclusionFilters: filtersOf(after.Settings.Mutability),
			RepositoryPolicy: some(after.Settings.Policy), LifecyclePolicy: some(after.Settings.Lifecycle),
		}
		_, err = s.api.CreateRepositoryCreationTemplate(ctx, in)
		return "", err
	}
	// What is left out stays as it is, so that all is given; "" takes away.
	in := &ecr.UpdateRepositoryCreationTemplateInput{
		Prefix: named, AppliedFor: reasons, Description: description, CustomRoleArn: aws.String(after.RoleARN),
		EncryptionConfiguration: encryption, ResourceTags: tagsOf(after.Settings.Tags),
		ImageTagMutability: types.ImageTagMutability(after.Settings.Mutability.Mode), ImageTagMutabilityExclusionFilters: filtersOf(after.Settings.Mutability),
		RepositoryPolicy: aws.String(after.Settings.Policy), LifecyclePolicy: aws.String(after.Settings.Lifecycle),
	}
	if in.ResourceTags == nil {
		in.ResourceTags = []types.Tag{}
	}
	if plan.EqualPolicy(have.Policy, after.Settings.Policy) {
		in.RepositoryPolicy = nil // it may name someone who is gone
	}
	_, err = s.api.UpdateRepositoryCreationTemplate(ctx, in)
	return "", err
}

func (s settings) upstream(ctx context.Context, c plan.UpstreamChange) (moved string, err error) {
	list, err := rules(ctx, s.api, s.plan.Target.Registry())
	if err != nil {
		return "", err
	}
	var have state.Upstream
	var named *string
	for _, r := range list {
		if x := upstreamOf(r); x.Prefix == c.Prefix {
			have, named = x, r.EcrRepositoryPrefix
		}
	}
	if moved := c.Moved(have, named != nil); moved != "" {
		return moved, nil
	}
	account := aws.String(string(s.plan.Target.Account))
	switch {
	case c.Op == plan.OpDelete && named == nil:
		return "", nil
	case c.Op == plan.OpDelete:
		_, err = s.api.DeletePullThroughCacheRule(ctx, &ecr.DeletePullThroughCacheRuleInput{RegistryId: account, EcrRepositoryPrefix: named})
		if isCode(err, kecr.CodePullThroughCacheRuleNotFound) {
			err = nil
		}
		return "", err
	case named == nil:
		in := &ecr.CreatePullThroughCacheRuleInput{
			RegistryId: account, EcrRepositoryPrefix: aws.String(c.Prefix), UpstreamRegistryUrl: aws.String(c.After.Registry),
			CredentialArn: some(c.After.CredentialARN), CustomRoleArn: some(c.After.RoleARN),
		}
		if c.After.UpstreamPrefix != kecr.RootPrefix {
			in.UpstreamRepositoryPrefix = aws.String(c.After.UpstreamPrefix)
		}
		_, err = s.api.CreatePullThroughCacheRule(ctx, in)
		return "", err
	case c.Leaves(plan.UpstreamOf(have)) == plan.UpstreamOf(have):
		return "", nil // it was done already
	}
	_, err = s.api.UpdatePullThroughCacheRule(ctx, &ecr.UpdatePullThroughCacheRuleInput{
		RegistryId: account, EcrRepositoryPrefix: named, CredentialArn: some(c.After.CredentialARN), CustomRoleArn: some(c.After.RoleARN),
	})
	return "", err
}

// some is s, or nil for "".
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
