package foreign_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/foreign"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

const settingsCode = `
locals {
  prefix = "team"
}
resource "aws_ecr_repository_creation_template" "team" {
  prefix               = local.prefix
  description          = "Images of teams [kontor:stack=platform]"
  applied_for          = ["CREATE_ON_PUSH", "REPLICATION"]
  image_tag_mutability = "IMMUTABLE_WITH_EXCLUSION"
  custom_role_arn      = "arn:aws:iam::111111111111:role/r"
  lifecycle_policy     = jsonencode({ rules = [] })
  resource_tags        = { team = "a" }
  image_tag_mutability_exclusion_filter {
    filter      = "latest"
    filter_type = "WILDCARD"
  }
  encryption_configuration {
    encryption_type = "KMS"
  }
}
resource "aws_ecr_repository_creation_template" "unknown" {
  prefix      = var.prefix
  applied_for = ["CREATE_ON_PUSH"]
}
resource "aws_ecr_pull_through_cache_rule" "hub" {
  ecr_repository_prefix = "docker-hub"
  upstream_registry_url = "registry-1.docker.io"
  credential_arn        = aws_secretsmanager_secret.hub.arn
}
resource "aws_ecr_pull_through_cache_rule" "quay" {
  ecr_repository_prefix      = "quay/"
  upstream_registry_url      = "quay.io"
  upstream_repository_prefix = "team"
}
`

const settingsState = `{"version": 4, "terraform_version": "1.9.0", "resources": [
  {"mode": "managed", "type": "aws_ecr_repository_creation_template", "name": "team", "provider": "p", "instances": [{"attributes": {
    "prefix": "team", "description": "Images of teams [kontor:stack=platform]", "applied_for": ["CREATE_ON_PUSH", "REPLICATION"],
    "image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION", "image_tag_mutability_exclusion_filter": [{"filter": "latest", "filter_type": "WILDCARD"}],
    "custom_role_arn": "arn:aws:iam::111111111111:role/r", "lifecycle_policy": "{\"rules\":[]}", "repository_policy": "",
    "resource_tags": {"team": "a"}, "encryption_configuration": [{"encryption_type": "KMS", "kms_key": ""}], "registry_id": "111111111111", "region": "us-east-2"}}]},
  {"mode": "managed", "type": "aws_ecr_pull_through_cache_rule", "name": "hub", "provider": "p", "instances": [{"attributes": {
    "ecr_repository_prefix": "docker-hub", "upstream_registry_url": "registry-1.docker.io", "credential_arn": "", "registry_id": "111111111111", "upstream_repository_prefix": "ROOT"}}]},
  {"mode": "managed", "type": "aws_ecr_pull_through_cache_rule", "name": "quay", "provider": "p", "instances": [{"attributes": {
    "ecr_repository_prefix": "quay", "upstream_registry_url": "quay.io", "upstream_repository_prefix": "team"}}]}
]}`

// Templates and rules of code and of a state are the same; what is not known of a
// template leaves it out, and of a rule its credential alone.
func TestSettings(t *testing.T) {
	template := state.Template{
		Repository: state.Repository{
			Name: "team/*", Tags: map[string]string{"team": "a"}, Lifecycle: `{"rules":[]}`, Encryption: &ecr.Encryption{Type: "KMS"},
			Mutability: ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"latest"}},
		},
		Prefix: "team", Description: "Images of teams", Stack: "platform", RoleARN: "arn:aws:iam::111111111111:role/r",
		AppliedFor: []ecr.CreationReason{ecr.CreateOnPush, ecr.CreateOnReplicate},
	}
	upstreams := []state.Upstream{
		{Prefix: "docker-hub", Host: "registry-1.docker.io", UpstreamPrefix: "ROOT"},
		{Prefix: "quay", Host: "quay.io", UpstreamPrefix: "team"},
	}
	for name, tt := range map[string]struct {
		source   lang.Source
		findings []string
	}{
		"code": {lang.Source{Name: "main.tf", Data: []byte(settingsCode)}, []string{
			"aws_ecr_repository_creation_template.unknown: prefix: var.prefix has no value in the files",
			"aws_ecr_pull_through_cache_rule.hub: credential_arn: aws_secretsmanager_secret.hub.arn is not known before Terraform runs; it is not in the file, and stays as it is",
		}},
		"state": {lang.Source{Name: "terraform.tfstate", Data: []byte(settingsState)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := foreign.Read([]lang.Source{tt.source}, foreign.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(found.Templates) != 1 || len(found.Upstreams) != 2 || len(found.Findings) != len(tt.findings) {
				t.Fatalf("%+v", found)
			}
			if d := cmp.Diff(template, found.Templates[0].Template); d != "" {
				t.Error(d)
			}
			for i, u := range found.Upstreams {
				if u.Upstream != upstreams[i] {
					t.Errorf("%+v", u)
				}
			}
			for i, want := range tt.findings {
				if !strings.Contains(found.Findings[i].Message, want) {
					t.Errorf("%s", found.Findings[i])
				}
			}
		})
	}
}
