package exporter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// reasons are the appliedFor of a template, sorted.
func reasons(t state.Template) []string {
	var out []string
	for _, r := range t.AppliedFor {
		out = append(out, string(r))
	}
	slices.Sort(out)
	return out
}

func description(t state.Template) string { return state.Marked(t.Description, t.Stack) }

// upstreamPrefix is that of a rule, or "" for the whole registry.
func upstreamPrefix(u state.Upstream) string {
	if u.UpstreamPrefix == ecr.RootPrefix {
		return ""
	}
	return u.UpstreamPrefix
}

// terraformSettings writes the templates and rules of r.
func terraformSettings(body *hclwrite.Body, alias, prefix string, taken names, r Registry) error {
	for _, t := range r.Templates {
		if err := terraformTemplate(body, alias, taken.unique(prefix+identifier(t.Prefix), "_"), t); err != nil {
			return err
		}
	}
	for _, u := range r.Upstreams {
		b := terraformSetting(body, "aws_ecr_pull_through_cache_rule", alias, taken.unique(prefix+identifier(u.Prefix), "_"), u.Prefix)
		b.SetAttributeValue("ecr_repository_prefix", cty.StringVal(u.Prefix))
		b.SetAttributeValue("upstream_registry_url", cty.StringVal(u.Host))
		for _, f := range [][2]string{{"upstream_repository_prefix", upstreamPrefix(u)}, {"credential_arn", u.Credential}, {"custom_role_arn", u.RoleARN}} {
			if f[1] != "" {
				b.SetAttributeValue(f[0], cty.StringVal(f[1]))
			}
		}
	}
	if len(r.rules()) == 0 {
		return nil
	}
	b := terraformSetting(body, "aws_ecr_replication_configuration", alias, taken.unique(prefix+"replication", "_"), string(r.Target.Registry.Account))
	c := b.AppendNewBlock("replication_configuration", nil).Body()
	for i, rule := range r.rules() {
		if i > 0 {
			c.AppendNewline()
		}
		terraformRule(c.AppendNewBlock("rule", nil).Body(), rule)
	}
	return nil
}

// prefixMatch is the one type of repository filters.
const prefixMatch = "PREFIX_MATCH"

func terraformRule(b *hclwrite.Body, rule state.ReplicationRule) {
	for i, to := range rule.To {
		if i > 0 {
			b.AppendNewline()
		}
		d := b.AppendNewBlock("destination", nil).Body()
		d.SetAttributeValue("region", cty.StringVal(string(to.Region)))
		d.SetAttributeValue("registry_id", cty.StringVal(string(to.Account)))
	}
	for _, p := range rule.Prefixes {
		b.AppendNewline()
		f := b.AppendNewBlock("repository_filter", nil).Body()
		f.SetAttributeValue("filter", cty.StringVal(p))
		f.SetAttributeValue("filter_type", cty.StringVal(prefixMatch))
	}
}

// terraformSetting begins a resource whose id is its prefix.
func terraformSetting(body *hclwrite.Body, kind, alias, name, id string) *hclwrite.Body {
	if len(body.Blocks()) > 0 {
		body.AppendNewline()
	}
	return terraformResource(body, kind, alias, name, state.Repository{Name: ecr.RepositoryName(id)})
}

func terraformTemplate(body *hclwrite.Body, alias, name string, t state.Template) error {
	b := terraformSetting(body, "aws_ecr_repository_creation_template", alias, name, t.Prefix)
	b.SetAttributeValue("prefix", cty.StringVal(t.Prefix))
	if s := description(t); s != "" {
		b.SetAttributeValue("description", cty.StringVal(s))
	}
	var list []cty.Value
	for _, r := range reasons(t) {
		list = append(list, cty.StringVal(r))
	}
	b.SetAttributeValue("applied_for", cty.ListVal(list))
	if t.RoleARN != "" {
		b.SetAttributeValue("custom_role_arn", cty.StringVal(t.RoleARN))
	}
	b.SetAttributeValue("image_tag_mutability", cty.StringVal(string(t.Mutability.Mode)))
	terraformFilters(b, t.Mutability)
	b.AppendNewline()
	terraformEncryption(b, t.Repository)
	terraformTags(b, "resource_tags", t.Repository)
	for _, d := range documents(t.Repository) {
		text, err := d.form(t.Repository)
		if err != nil {
			return err
		}
		v, errs := lang.Parse(lang.Source{Name: "policy.json", Data: []byte(text)})
		if len(errs) > 0 {
			return fmt.Errorf("the policies of the template for %s: %w", state.Below(t.Prefix), errs)
		}
		b.AppendNewline()
		b.SetAttributeRaw(d.name+"_policy", hclwrite.TokensForFunctionCall("jsonencode", expression(v)))
	}
	return nil
}

// document is a policy of a repository and how it is written.
type document struct {
	name string // "lifecycle" or "repository"
	form func(state.Repository) (string, error)
}

// documents are those that r has.
func documents(r state.Repository) (out []document) {
	if r.Lifecycle != "" {
		out = append(out, document{"lifecycle", lifecycleText})
	}
	if r.Policy != "" {
		out = append(out, document{"repository", policyText})
	}
	return out
}

// cfTemplate are the properties of AWS::ECR::RepositoryCreationTemplate.
type cfTemplate struct {
	Prefix                             string        `json:"Prefix"`
	Description                        string        `json:"Description,omitempty"`
	AppliedFor                         []string      `json:"AppliedFor"`
	CustomRoleARN                      string        `json:"CustomRoleArn,omitempty"`
	ImageTagMutability                 string        `json:"ImageTagMutability"`
	ImageTagMutabilityExclusionFilters []cfFilter    `json:"ImageTagMutabilityExclusionFilters,omitempty"`
	EncryptionConfiguration            cfEncryption  `json:"EncryptionConfiguration"`
	LifecyclePolicy                    string        `json:"LifecyclePolicy,omitempty"`
	RepositoryPolicy                   string        `json:"RepositoryPolicy,omitempty"`
	ResourceTags                       []resourceTag `json:"ResourceTags,omitempty"`
}

// cfUpstream are those of AWS::ECR::PullThroughCacheRule.
type cfUpstream struct {
	Prefix         string `json:"EcrRepositoryPrefix"`
	Registry       string `json:"UpstreamRegistryUrl"`
	UpstreamPrefix string `json:"UpstreamRepositoryPrefix,omitempty"`
	CredentialARN  string `json:"CredentialArn,omitempty"`
	CustomRoleARN  string `json:"CustomRoleArn,omitempty"`
}

func cfTemplateOf(t state.Template) (cfTemplate, error) {
	p, err := propertiesOf(t.Repository)
	out := cfTemplate{
		Prefix: t.Prefix, Description: description(t), AppliedFor: reasons(t), CustomRoleARN: t.RoleARN, ImageTagMutability: p.ImageTagMutability,
		ImageTagMutabilityExclusionFilters: p.ImageTagMutabilityExclusionFilters, EncryptionConfiguration: p.EncryptionConfiguration,
		RepositoryPolicy: string(p.RepositoryPolicyText), ResourceTags: p.Tags,
	}
	if p.LifecyclePolicy != nil {
		out.LifecyclePolicy = p.LifecyclePolicy.LifecyclePolicyText
	}
	return out, err
}

func cfUpstreamOf(u state.Upstream) cfUpstream {
	return cfUpstream{u.Prefix, u.Host, upstreamPrefix(u), u.Credential, u.RoleARN}
}

// cfReplication are those of AWS::ECR::ReplicationConfiguration.
type cfReplication struct {
	Configuration struct {
		Rules []cfRule `json:"Rules"`
	} `json:"ReplicationConfiguration"`
}

type cfRule struct {
	Destinations []cfDestination      `json:"Destinations"`
	Filters      []cfRepositoryFilter `json:"RepositoryFilters,omitempty"`
}

type cfDestination struct {
	Region     string `json:"Region"`
	RegistryID string `json:"RegistryId"`
}

type cfRepositoryFilter struct {
	Filter string `json:"Filter"`
	Type   string `json:"FilterType"`
}

func cfReplicationOf(rules []state.ReplicationRule) (out cfReplication) {
	for _, rule := range rules {
		var one cfRule
		for _, to := range rule.To {
			one.Destinations = append(one.Destinations, cfDestination{string(to.Region), string(to.Account)})
		}
		for _, p := range rule.Prefixes {
			one.Filters = append(one.Filters, cfRepositoryFilter{p, prefixMatch})
		}
		out.Configuration.Rules = append(out.Configuration.Rules, one)
	}
	return out
}

// The input files of the AWS CLI.
type (
	replicationInput struct {
		Configuration struct {
			Rules []apiRule `json:"rules"`
		} `json:"replicationConfiguration"`
	}
	apiRule struct {
		Destinations []apiDestination `json:"destinations"`
		Filters      []apiFilter      `json:"repositoryFilters,omitempty"`
	}
	apiDestination struct {
		Region     string `json:"region"`
		RegistryID string `json:"registryId"`
	}
	templateInput struct {
		Prefix      string      `json:"prefix"`
		Description string      `json:"description"`
		AppliedFor  []string    `json:"appliedFor"`
		RoleARN     string      `json:"customRoleArn,omitempty"`
		Mutability  string      `json:"imageTagMutability"`
		Filters     []apiFilter `json:"imageTagMutabilityExclusionFilters,omitempty"`
		Encryption  struct {
			Type   string `json:"encryptionType"`
			KMSKey string `json:"kmsKey,omitempty"`
		} `json:"encryptionConfiguration"`
		Tags      []resourceTag `json:"resourceTags"`
		Policy    string        `json:"repositoryPolicy"`
		Lifecycle string        `json:"lifecyclePolicy"`
	}
	upstreamInput struct {
		Prefix         string `json:"ecrRepositoryPrefix"`
		Registry       string `json:"upstreamRegistryUrl"`
		UpstreamPrefix string `json:"upstreamRepositoryPrefix,omitempty"`
		CredentialARN  string `json:"credentialArn,omitempty"`
		RoleARN        string `json:"customRoleArn,omitempty"`
	}
	upstreamLogin struct {
		Prefix        string `json:"ecrRepositoryPrefix"`
		CredentialARN string `json:"credentialArn,omitempty"`
		RoleARN       string `json:"customRoleArn,omitempty"`
	}
)

// cliSettings writes the lines of the script and the input files for the templates and
// rules of r. Files are below folder.
func cliSettings(script *strings.Builder, folder string, r Registry) (out []File, err error) {
	base := func(prefix string) string { return folder + "/" + strings.ReplaceAll(prefix, "/", "+") }
	add := func(kind, prefix string, v any) {
		data, e := indented(v)
		if e != nil {
			err = e
		}
		out = append(out, File{Name: base(prefix) + "." + kind + ".json", Data: data})
	}
	call := func(kind, prefix string) {
		fmt.Fprintf(script, "%s %s %s\n", kind, quoted(prefix), quoted(base(prefix)))
	}
	for _, t := range r.Templates {
		in := templateInput{
			Prefix: t.Prefix, Description: description(t), AppliedFor: reasons(t), RoleARN: t.RoleARN,
			Mutability: string(t.Mutability.Mode), Tags: tagsOf(t.Repository),
		}
		if in.Tags == nil {
			in.Tags = []resourceTag{}
		}
		for _, f := range t.Mutability.Filters {
			in.Filters = append(in.Filters, apiFilter{"WILDCARD", f})
		}
		in.Encryption.Type, in.Encryption.KMSKey = encryption(t.Repository).Type, encryption(t.Repository).KMSKey
		for _, d := range documents(t.Repository) {
			text, err := d.form(t.Repository)
			if err != nil {
				return nil, err
			}
			if d.name == "lifecycle" {
				in.Lifecycle = text
			} else {
				in.Policy = text
			}
		}
		add("template", t.Prefix, in)
		call("template", t.Prefix)
	}
	for _, u := range r.Upstreams {
		add("upstream", u.Prefix, upstreamInput{u.Prefix, u.Host, upstreamPrefix(u), u.Credential, u.RoleARN})
		if u.Credential != "" || u.RoleARN != "" {
			add("upstream-login", u.Prefix, upstreamLogin{u.Prefix, u.Credential, u.RoleARN})
		}
		call("upstream", u.Prefix)
	}
	if len(r.rules()) > 0 {
		var in replicationInput
		for _, rule := range r.rules() {
			var one apiRule
			for _, to := range rule.To {
				one.Destinations = append(one.Destinations, apiDestination{string(to.Region), string(to.Account)})
			}
			for _, p := range rule.Prefixes {
				one.Filters = append(one.Filters, apiFilter{prefixMatch, p})
			}
			in.Configuration.Rules = append(in.Configuration.Rules, one)
		}
		add("replication", "registry", in)
		fmt.Fprintf(script, "replication %s\n", quoted(base("registry")))
	}
	return out, err
}
