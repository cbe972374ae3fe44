package main

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type awsProvider struct{ resources map[string]block }

func newProvider(resources map[string]block) func() provider.Provider {
	return func() provider.Provider { return awsProvider{resources} }
}

func (awsProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "aws"
}

// settings are what an exported file sets of the provider.
type settings struct {
	Region     types.String   `tfsdk:"region"`
	Profile    types.String   `tfsdk:"profile"`
	Accounts   []types.String `tfsdk:"allowed_account_ids"`
	AssumeRole []struct {
		RoleARN    types.String `tfsdk:"role_arn"`
		ExternalID types.String `tfsdk:"external_id"`
	} `tfsdk:"assume_role"`
	Endpoints []struct {
		ECR types.String `tfsdk:"ecr"`
		STS types.String `tfsdk:"sts"`
	} `tfsdk:"endpoints"`
}

func (awsProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	text := func(names ...string) map[string]schema.Attribute {
		to := map[string]schema.Attribute{}
		for _, n := range names {
			to[n] = schema.StringAttribute{Optional: true}
		}
		return to
	}
	attributes := text("region", "profile")
	attributes["allowed_account_ids"] = schema.SetAttribute{ElementType: types.StringType, Optional: true}
	resp.Schema = schema.Schema{Attributes: attributes, Blocks: map[string]schema.Block{
		"assume_role": schema.ListNestedBlock{NestedObject: schema.NestedBlockObject{Attributes: text("role_arn", "external_id")}},
		"endpoints":   schema.SetNestedBlock{NestedObject: schema.NestedBlockObject{Attributes: text("ecr", "sts")}},
	}}
}

// client reads a registry, whose account is one that the configuration allows.
type client struct {
	*ecr.Client
	region string
}

func (awsProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var s settings
	if resp.Diagnostics.Append(req.Config.Get(ctx, &s)...); resp.Diagnostics.HasError() {
		return
	}
	if len(s.AssumeRole) > 0 {
		resp.Diagnostics.AddError("assume_role is not done here", "the tests have no role to assume")
		return
	}
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.Region.ValueString()), config.WithSharedConfigProfile(s.Profile.ValueString()))
	if err != nil {
		resp.Diagnostics.AddError("no credentials", err.Error())
		return
	}
	to := client{region: s.Region.ValueString(), Client: ecr.NewFromConfig(c, func(o *ecr.Options) {
		if len(s.Endpoints) > 0 {
			o.BaseEndpoint = s.Endpoints[0].ECR.ValueStringPointer()
		}
	})}
	registry, err := to.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	if err != nil {
		resp.Diagnostics.AddError("the registry does not answer", err.Error())
		return
	}
	if len(s.Accounts) > 0 && !slices.Contains(s.Accounts, types.StringPointerValue(registry.RegistryId)) {
		resp.Diagnostics.AddError("AWS account ID not allowed: "+*registry.RegistryId, "")
		return
	}
	resp.ResourceData = to
}

func (p awsProvider) Resources(context.Context) []func() resource.Resource {
	var all []func() resource.Resource
	for name, b := range p.resources {
		all = append(all, func() resource.Resource { return &readOnly{name: name, block: b} })
	}
	return all
}

func (awsProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{func() datasource.DataSource { return partition{} }}
}
