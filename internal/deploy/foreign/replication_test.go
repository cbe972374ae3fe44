package foreign_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/foreign"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

const replicationCode = `
locals {
  regions = ["eu-west-1", "eu-north-1"]
}
data "aws_caller_identity" "current" {}
resource "aws_ecr_replication_configuration" "this" {
  replication_configuration {
    rule {
      dynamic "destination" {
        for_each = local.regions
        content {
          region      = destination.value
          registry_id = data.aws_caller_identity.current.account_id
        }
      }
      repository_filter {
        filter      = "team/"
        filter_type = "PREFIX_MATCH"
      }
      repository_filter {
        filter      = "app"
        filter_type = "PREFIX_MATCH"
      }
    }
    rule {
      destination {
        region      = "us-west-2"
        registry_id = "222222222222"
      }
    }
  }
}
`

const replicationConfiguration = `[{"rule": [
  {"destination": [{"region": "eu-west-1", "registry_id": "111111111111"}, {"region": "eu-north-1", "registry_id": "111111111111"}],
   "repository_filter": [{"filter": "team/", "filter_type": "PREFIX_MATCH"}, {"filter": "app", "filter_type": "PREFIX_MATCH"}]},
  {"destination": [{"region": "us-west-2", "registry_id": "222222222222"}], "repository_filter": []}]}]`

const replicationState = `{"version": 4, "terraform_version": "1.9.0", "resources": [
  {"mode": "managed", "type": "aws_ecr_replication_configuration", "name": "this", "provider": "p", "instances": [{"attributes": {
    "id": "111111111111", "registry_id": "111111111111", "region": "us-east-1", "replication_configuration": ` + replicationConfiguration + `}}]}]}`

const replicationPlan = `{"format_version": "1.2", "terraform_version": "1.12.6", "planned_values": {"root_module": {"resources": [
  {"address": "aws_ecr_replication_configuration.this", "mode": "managed", "type": "aws_ecr_replication_configuration", "name": "this",
   "values": {"region": "us-east-1", "replication_configuration": ` + replicationConfiguration + `}}]}},
  "resource_changes": [{"address": "aws_ecr_replication_configuration.this", "change": {"actions": ["create"], "before": null,
   "after_unknown": {"id": true, "registry_id": true, "replication_configuration": [{"rule": [{"destination": [{}, {}], "repository_filter": [{}, {}]}, {"destination": [{}], "repository_filter": []}]}]}}}]}`

const replicationTemplate = `
Resources:
  Copies:
    Type: AWS::ECR::ReplicationConfiguration
    Properties:
      ReplicationConfiguration:
        Rules:
          - Destinations:
              - {Region: eu-west-1, RegistryId: !Ref AWS::AccountId}
              - {Region: eu-north-1, RegistryId: !Sub "${AWS::AccountId}"}
            RepositoryFilters:
              - {Filter: team/, FilterType: PREFIX_MATCH}
              - {Filter: app, FilterType: PREFIX_MATCH}
          - Destinations:
              - {Region: us-west-2, RegistryId: "222222222222"}
`

const moduleRules = `
    { destinations = [{ region = "eu-west-1", registry_id = "111111111111" }, { region = "eu-north-1", registry_id = "111111111111" }],
      repository_filters = [{ filter = "team/", filter_type = "PREFIX_MATCH" }, { filter = "app", filter_type = "PREFIX_MATCH" }] },
    { destinations = [{ region = "us-west-2", registry_id = "222222222222" }] },
`

// The replication of a registry is the same in code, states, plans and templates. One that is
// not known as a whole is left out.
func TestReplication(t *testing.T) {
	const whole = " replication of 111111111111/us-east-1\n  [app team/] to [111111111111/eu-west-1 111111111111/eu-north-1]\n  [] to [222222222222/us-west-2]\n"
	for _, tt := range []struct{ name, file, text, want string }{
		{"code", "main.tf", replicationCode, "main.tf:6:1" + whole},
		{"a state", "terraform.tfstate", replicationState, "terraform.tfstate:2:130" + whole},
		{"a plan", "plan.json", replicationPlan, "plan.json:2:3" + strings.Replace(whole, "of 111111111111/", "of /", 1)},
		{"a template", "template.yaml", replicationTemplate, "template.yaml:3:3" + whole},
		{
			"a module of terraform-aws-modules", "main.tf", "module \"copies\" {\n  source = \"terraform-aws-modules/ecr/aws\"\n  create_repository = false\n" +
				"  create_registry_replication_configuration = true\n  registry_replication_rules = [" + moduleRules + "]\n}\n", "main.tf:1:1" + whole,
		},
		{
			"a module of cloudposse", "main.tf", "module \"copies\" {\n  source = \"cloudposse/ecr/aws\"\n  name = \"app\"\n  enable_lifecycle_policy = false\n" +
				"  replication_configurations = [{ rules = [" + moduleRules + "] }]\n}\n", "main.tf:1:1 app IMMUTABLE in 111111111111/us-east-1 from cloudposse/ecr scan=true\nmain.tf:1:1" + whole,
		},
		{
			"code with a variable", "main.tf", strings.Replace(replicationCode, `"us-west-2"`, "var.region", 1),
			"! main.tf:27:23: aws_ecr_replication_configuration.this: replication_configuration: var.region has no value in the files: pass a .tfvars file that sets it; it is left out\n",
		},
		{
			"another type of filter", "main.tf", strings.Replace(replicationCode, "PREFIX_MATCH", "WILDCARD", 1),
			"! main.tf:6:1: aws_ecr_replication_configuration.this: a repository filter has the type \"WILDCARD\"; want PREFIX_MATCH; it is left out\n",
		},
		{
			"a plan that does not know the account", "plan.json", strings.Replace(replicationPlan, `"destination": [{}, {}]`, `"destination": [{"registry_id": true}, {}]`, 1),
			"! plan.json:2:3: aws_ecr_replication_configuration.this: replication_configuration: it is known after apply only; it is left out\n",
		},
		{
			"a template with a parameter", "template.yaml", strings.Replace(replicationTemplate, "us-west-2", "!Ref Region", 1) + "Parameters: {Region: {Type: String}}\n",
			"! template.yaml:15:26: Copies: replication_configuration: parameter Region has no value in the template; it is left out\n",
		},
		{
			"a template with a condition", "template.yaml", strings.Replace(replicationTemplate, "    Properties:", "    Condition: Production\n    Properties:", 1),
			"! template.yaml:5:16: Copies: it exists on a condition (Production); the replication is left out\n",
		},
		{"a template without rules", "template.yaml", "Resources: {Copies: {Type: \"AWS::ECR::ReplicationConfiguration\"}}", "! template.yaml:1:13: Copies: it has no rules; the replication is left out\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := printed(read(t, foreign.Options{Registry: registry}, lang.Source{Name: tt.file, Data: []byte(tt.text)}))
			if got != tt.want {
				t.Errorf("%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
