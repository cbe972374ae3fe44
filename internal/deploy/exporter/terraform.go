package exporter

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Terraform writes a file with providers, and for each registry one with a
// resource and an import block for every repository, lifecycle policy and
// repository policy, for Terraform and OpenTofu from 1.5 on. Repositories
// cannot be destroyed by mistake.
func Terraform(list []Registry) ([]File, error) {
	providers := hclwrite.NewEmptyFile()
	settings := providers.Body().AppendNewBlock("terraform", nil).Body()
	settings.SetAttributeValue("required_version", cty.StringVal(">= 1.5"))
	aws := settings.AppendNewBlock("required_providers", nil).Body()
	aws.SetAttributeValue("aws", cty.ObjectVal(map[string]cty.Value{"source": cty.StringVal("hashicorp/aws"), "version": cty.StringVal("~> 6.0")}))
	out := []File{{Name: "providers.tf"}}
	aliases, resources := names{}, names{}
	for _, r := range list {
		alias := aliases.unique(identifier(r.Target.Name), "_")
		terraformProvider(providers.Body(), alias, r.Target)
		f := hclwrite.NewEmptyFile()
		prefix := ""
		if len(list) > 1 {
			prefix = alias + "_"
		}
		for i, repo := range r.sorted() {
			if i > 0 {
				f.Body().AppendNewline()
			}
			if err := terraformRepository(f.Body(), alias, resources.unique(prefix+identifier(string(repo.Name)), "_"), repo); err != nil {
				return nil, err
			}
		}
		if err := terraformSettings(f.Body(), alias, prefix, resources, r); err != nil {
			return nil, err
		}
		out = append(out, File{Name: alias + ".tf", Data: hclwrite.Format(f.Bytes())})
	}
	out[0].Data = hclwrite.Format(providers.Bytes())
	return out, nil
}

// identifier is a name of HCL for s.
func identifier(s string) string {
	s = strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return '_'
	}, s)
	if !hclsyntax.ValidIdentifier(s) {
		s = "r_" + s
	}
	return s
}

func terraformProvider(body *hclwrite.Body, alias string, t state.Target) {
	body.AppendNewline()
	p := body.AppendNewBlock("provider", []string{"aws"}).Body()
	p.SetAttributeValue("alias", cty.StringVal(alias))
	p.SetAttributeValue("region", cty.StringVal(string(t.Registry.Region)))
	p.SetAttributeValue("allowed_account_ids", cty.ListVal([]cty.Value{cty.StringVal(string(t.Registry.Account))}))
	if t.Profile != "" {
		p.SetAttributeValue("profile", cty.StringVal(t.Profile))
	}
	if t.RoleARN != "" {
		p.AppendNewline()
		p.AppendNewBlock("assume_role", nil).Body().SetAttributeValue("role_arn", cty.StringVal(t.RoleARN))
	}
	if t.Endpoint != "" {
		p.AppendNewline()
		e := p.AppendNewBlock("endpoints", nil).Body()
		e.SetAttributeValue("ecr", cty.StringVal(t.Endpoint))
		e.SetAttributeValue("sts", cty.StringVal(t.Endpoint))
	}
}

func terraformRepository(body *hclwrite.Body, alias, name string, r state.Repository) error {
	b := terraformResource(body, "aws_ecr_repository", alias, name, r)
	b.SetAttributeValue("name", cty.StringVal(string(r.Name)))
	b.SetAttributeValue("image_tag_mutability", cty.StringVal(string(r.Mutability.Mode)))
	terraformFilters(b, r.Mutability)
	b.AppendNewline()
	b.AppendNewBlock("image_scanning_configuration", nil).Body().SetAttributeValue("scan_on_push", cty.BoolVal(scans(r)))
	b.AppendNewline()
	terraformEncryption(b, r)
	terraformTags(b, "tags", r)
	b.AppendNewline()
	b.AppendNewBlock("lifecycle", nil).Body().SetAttributeValue("prevent_destroy", cty.True)

	for _, d := range []struct {
		kind, text string
		form       func(state.Repository) (string, error)
	}{{"aws_ecr_lifecycle_policy", r.Lifecycle, lifecycleText}, {"aws_ecr_repository_policy", r.Policy, policyText}} {
		if d.text == "" {
			continue
		}
		text, err := d.form(r)
		if err != nil {
			return err
		}
		v, errs := lang.Parse(lang.Source{Name: "policy.json", Data: []byte(text)})
		if len(errs) > 0 {
			return fmt.Errorf("the policies of repository %s: %w", r.Name, errs)
		}
		body.AppendNewline()
		b := terraformResource(body, d.kind, alias, name, r)
		b.SetAttributeRaw("repository", hclwrite.TokensForIdentifier("aws_ecr_repository."+name+".name"))
		b.SetAttributeRaw("policy", hclwrite.TokensForFunctionCall("jsonencode", expression(v)))
	}
	return nil
}

func terraformFilters(b *hclwrite.Body, m ecr.Mutability) {
	for _, f := range m.Filters {
		b.AppendNewline()
		x := b.AppendNewBlock("image_tag_mutability_exclusion_filter", nil).Body()
		x.SetAttributeValue("filter", cty.StringVal(f))
		x.SetAttributeValue("filter_type", cty.StringVal("WILDCARD"))
	}
}

func terraformEncryption(b *hclwrite.Body, r state.Repository) {
	e := b.AppendNewBlock("encryption_configuration", nil).Body()
	e.SetAttributeValue("encryption_type", cty.StringVal(encryption(r).Type))
	if key := encryption(r).KMSKey; key != "" {
		e.SetAttributeValue("kms_key", cty.StringVal(key))
	}
}

func terraformTags(b *hclwrite.Body, field string, r state.Repository) {
	keys := tags(r)
	if len(keys) == 0 {
		return
	}
	m := map[string]cty.Value{}
	for _, k := range keys {
		m[k] = cty.StringVal(r.Tags[k])
	}
	b.AppendNewline()
	b.SetAttributeValue(field, cty.MapVal(m))
}

// terraformResource begins a resource, after its import block. The id of all
// resources of a repository is its name.
func terraformResource(body *hclwrite.Body, kind, alias, name string, r state.Repository) *hclwrite.Body {
	i := body.AppendNewBlock("import", nil).Body()
	i.SetAttributeRaw("to", hclwrite.TokensForIdentifier(kind+"."+name))
	i.SetAttributeRaw("provider", hclwrite.TokensForIdentifier("aws."+alias))
	i.SetAttributeValue("id", cty.StringVal(string(r.Name)))
	body.AppendNewline()
	b := body.AppendNewBlock("resource", []string{kind, name}).Body()
	b.SetAttributeRaw("provider", hclwrite.TokensForIdentifier("aws."+alias))
	return b
}

// expression is v, a document of JSON, in HCL. Strings are never templates.
func expression(v *lang.Value) hclwrite.Tokens {
	switch v.Kind {
	case lang.List:
		items := make([]hclwrite.Tokens, len(v.Items))
		for i, item := range v.Items {
			items[i] = expression(item)
		}
		return hclwrite.TokensForTuple(items)
	case lang.Mapping:
		attrs := make([]hclwrite.ObjectAttrTokens, len(v.Members))
		for i, m := range v.Members {
			name := hclwrite.TokensForValue(cty.StringVal(m.Key))
			if hclsyntax.ValidIdentifier(m.Key) {
				name = hclwrite.TokensForIdentifier(m.Key)
			}
			attrs[i] = hclwrite.ObjectAttrTokens{Name: name, Value: expression(m.Value)}
		}
		return hclwrite.TokensForObject(attrs)
	case lang.Text:
		return hclwrite.TokensForValue(cty.StringVal(v.Text))
	case lang.Null:
		return hclwrite.TokensForIdentifier("null")
	}
	return hclwrite.TokensForIdentifier(strings.ToLower(v.Text)) // a number or boolean
}
