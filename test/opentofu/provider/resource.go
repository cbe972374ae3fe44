package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
)

// readOnly is a resource that can be imported and read.
type readOnly struct {
	name   string
	block  block
	client client
}

func (r *readOnly) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = r.name
}

func (r *readOnly) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	s, err := r.block.schema()
	if err != nil {
		resp.Diagnostics.AddError("the schema cannot be read", err.Error())
	}
	resp.Schema = s
}

func (r *readOnly) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	if c, ok := req.ProviderData.(client); ok {
		r.client = c
	}
}

func (r *readOnly) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resource.ImportStatePassthroughID(ctx, path.Root("id"), req, resp)
}

func (r *readOnly) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var name string
	if resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("id"), &name)...); resp.Diagnostics.HasError() {
		return
	}
	s := state{ctx, &resp.State, resp}
	s.set("region", r.client.region)
	var err error
	switch r.name {
	case "aws_ecr_repository":
		err = r.repository(ctx, name, s)
	case "aws_ecr_repository_policy":
		var out *ecr.GetRepositoryPolicyOutput
		if out, err = r.client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &name}); err == nil {
			s.set("repository", *out.RepositoryName)
			err = s.document(*out.PolicyText)
		}
	case "aws_ecr_lifecycle_policy":
		var out *ecr.GetLifecyclePolicyOutput
		if out, err = r.client.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &name}); err == nil {
			s.set("repository", *out.RepositoryName)
			err = s.document(*out.LifecyclePolicyText)
		}
	}
	if err != nil {
		resp.Diagnostics.AddError("reading "+r.name+" "+name, err.Error())
	}
}

// state sets attributes, and collects what goes wrong.
type state struct {
	ctx  context.Context
	to   *tfsdk.State
	resp *resource.ReadResponse
}

func (s state) set(name string, value any) {
	s.resp.Diagnostics.Append(s.to.SetAttribute(s.ctx, path.Root(name), value)...)
}

// document sets a policy, in the form that the language's jsonencode writes.
func (s state) document(text string) error {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	b, err := json.Marshal(v)
	s.set("policy", string(b))
	return err
}

type scanning struct {
	ScanOnPush bool `tfsdk:"scan_on_push"`
}

type encryption struct {
	Type string  `tfsdk:"encryption_type"`
	Key  *string `tfsdk:"kms_key"`
}

type exclusion struct {
	Filter string `tfsdk:"filter"`
	Type   string `tfsdk:"filter_type"`
}

func (r *readOnly) repository(ctx context.Context, name string, s state) error {
	out, err := r.client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if err != nil {
		return err
	}
	repo := out.Repositories[0]
	tags, err := r.client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: repo.RepositoryArn})
	if err != nil {
		return err
	}
	s.set("name", name)
	s.set("image_tag_mutability", string(repo.ImageTagMutability))
	s.set("image_scanning_configuration", []scanning{{repo.ImageScanningConfiguration.ScanOnPush}})
	s.set("encryption_configuration", []encryption{{string(repo.EncryptionConfiguration.EncryptionType), repo.EncryptionConfiguration.KmsKey}})
	var filters []exclusion
	for _, f := range repo.ImageTagMutabilityExclusionFilters {
		filters = append(filters, exclusion{*f.Filter, string(f.FilterType)})
	}
	if filters != nil {
		s.set("image_tag_mutability_exclusion_filter", filters)
	}
	if len(tags.Tags) > 0 {
		s.set("tags", tagMap(tags.Tags))
	}
	return nil
}

func tagMap(tags []types.Tag) map[string]string {
	to := map[string]string{}
	for _, t := range tags {
		to[*t.Key] = *t.Value
	}
	return to
}

// errReadOnly is what a plan that changes something ends with when it is applied.
var errReadOnly = errors.New("this provider only reads")

func (r *readOnly) Create(_ context.Context, _ resource.CreateRequest, resp *resource.CreateResponse) {
	resp.Diagnostics.AddError("creating "+r.name, errReadOnly.Error())
}

func (r *readOnly) Update(_ context.Context, _ resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.Diagnostics.AddError("updating "+r.name, errReadOnly.Error())
}

func (r *readOnly) Delete(_ context.Context, _ resource.DeleteRequest, resp *resource.DeleteResponse) {
	resp.Diagnostics.AddError("deleting "+r.name, errReadOnly.Error())
}
