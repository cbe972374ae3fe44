package fields

import (
	"slices"
	"strings"
	"unicode"
)

// What others call a field: the resources of Terraform's AWS provider and of
// CloudFormation, the API, and the inputs of the modules that are used most
// (terraform-aws-modules/ecr, cloudposse/ecr). Names are those of snake case;
// camelCase and PascalCase mean the same. A test holds what is said here against
// the fields that there are.

// help is what to say of some names: the field that is meant, or the rest of a
// sentence.
type help struct{ names, text string }

// registryEntry says where the place of a registry goes.
const registryEntry = `a registry is an entry of registries, such as {name: prod, account: "111111111111", region: us-east-2}`

var foreign = map[string][]help{
	"": {
		{"account account_id account_ids aws_account aws_account_id registry_id region aws_region role_arn assume_role assume_role_arn profile aws_profile endpoint endpoint_url", registryEntry},
		{"repositories repository repository_names repos ecr ecr_repos ecr_repository_names image_names", "ecr_repositories"},
		{"stack_name project application", "stack"},
		{"pull_through_cache_rules registry_pull_through_cache_rules pull_through_cache pull_through_caches caches", "upstreams"},
		{"repository_creation_templates creation_templates repository_templates template", "templates"},
		{"replication_configuration replication_configurations registry_replication_rules replication_rules", "replication"},
		{"registry registry_policy registry_scan_rules registry_scan_type scanning_configuration",
			"Kontor deploys repositories, not the settings of a registry"},
		{"provider providers resource data module variable variables locals output backend required_providers required_version",
			"Terraform code is not read"},
		{"awstemplate_format_version resources parameters outputs transform", "CloudFormation templates are not read"},
		{"api_version kind metadata spec", "Kubernetes manifests are not read"},
	},
	Repository: {
		{"image_tag_mutability tag_mutability mutability mutable image_mutability", "use is_immutable: true or false, with mutable_tags or immutable_tags for exceptions"},
		{"image_tag_mutability_exclusion_filter image_tag_mutability_exclusion_filters", "use mutable_tags, or with is_immutable: false immutable_tags"},
		{"force_delete empty_on_delete auto_delete_images removal_policy deletion_policy prevent_destroy skip_destroy",
			"use delete_protection: false, and kontor apply --prune --delete-images"},
		{"encryption_configuration encryption_type kms_key kms_key_arn kms_key_id kms_master_key_id kms_alias encryption_key", "use encryption: {type: KMS, kms_key: ...}"},
		{"image_scanning_configuration scan_images_on_push image_scan_on_push image_scanning scanning scan", "use scan_on_push: true or false"},
		{"lifecycle_policy_text lifecycle_policy_document lifecycle_policy_config lifecycle_configuration lifecycle_rules lifecycle custom_lifecycle_rules rules",
			"use lifecycle_policy_json for a complete policy, expiration_rules for rules by tag"},
		{"policy", "use repository_policy_json for access, lifecycle_policy_json for expiration"},
		{"policy_text policy_document policy_json resource_policy iam_policy", "repository_policy_json"},
		{"policy_statements statements additional_policy_statements", "extra_policy_statements"},
		{"read_access_arns principals_readonly_access readonly_access readonly_principals pull_arns allowed_read_principals allowed_principals principals",
			"use additional_pull_account_ids for accounts, pull_principals for roles and users"},
		{"read_write_access_arns principals_push_access push_access push_arns write_access_arns allowed_write_principals",
			"use additional_push_account_ids for accounts, push_principals for roles and users"},
		{"principals_full_access full_access_arns", "use extra_policy_statements: no other field allows deleting"},
		{"lambda_read_access_arns principals_lambda lambda_access", "use pull_principals: [{service: lambda.amazonaws.com, source_arn: ...}]"},
		{"organizations_readonly_access organization_ids organizations org_ids principal_org_ids principal_org_id", "pull_organization_ids"},
		{"organizations_full_access organizations_push_access", "use pull_organization_ids to let them pull, extra_policy_statements for more"},
		{"account_ids accounts read_account_ids pull_accounts allowed_accounts allowed_account_ids cross_account_ids trusted_accounts trusted_account_ids", "additional_pull_account_ids"},
		{"write_account_ids push_accounts", "additional_push_account_ids"},
		{"max_image_count image_count images_to_keep keep_images keep_last_n_images max_images count_number keep_last", "keep_last_images"},
		{"protected_tags protected_tag_prefixes keep_tags keep_tag_prefixes protected_tags_keep_count", `use keep: ["prod-*"]`},
		{"max_untagged_image_count untagged_image_count keep_untagged untagged_images_to_keep", "keep_last_untagged"},
		{"untagged_image_expiration_days expire_untagged expire_untagged_days untagged_days max_untagged_age", "expire_untagged_after_days"},
		{"time_based_rotation expiration_days expire_days image_expiration_days max_image_age max_age_days retention_days", "use expire_all_images: true, with expire_all_after_days"},
		{"days", `use expiration_rules: [{tag_pattern: "pr-*", days: 7}], or expire_all_after_days with expire_all_images`},
		{"tag_prefix tag_prefixes tag_prefix_list tag_pattern_list tag_pattern", `use expiration_rules: [{tag_pattern: "pr-*", days: 7}]`},
		{"tags_all resource_tags", "tags"},
		{"name repository repository_name", "a repository's name is its key in ecr_repositories"},
		{"account account_id registry_id region role_arn profile", registryEntry},
		{"create create_repository create_lifecycle_policy create_repository_policy attach_repository_policy enable_lifecycle_policy enabled", "leave it out: what is in the file is created"},
		{"type repository_type", "leave it out: all repositories are private"},
		{"catalog_data public_repository_catalog_data", "leave it out: public repositories are not deployed"},
		{"source version providers provider depends_on count for_each timeouts", "leave it out: it belongs to Terraform"},
	},
	Template: {
		{"custom_role_arn role", "role_arn"},
		{"applied_to reasons", "applied_for"},
		{"prefix", "leave it out: the prefix is the key of the entry in templates"},
		{"image_tag_mutability_exclusion_filter", "use mutable_tags or immutable_tags"},
		{"encryption_configuration", "use encryption: {type: KMS, kms_key: ...}"},
		{"resource_tags", "tags"},
	},
	"upstreams": {
		{"upstream_registry_url upstream_registry url host upstream", "registry"},
		{"upstream_repository_prefix repository_prefix", "upstream_prefix"},
		{"credential_arn secret secret_arn secret_manager_arn credentials", "credential"},
		{"custom_role_arn role", "role_arn"},
		{"username password access_token token", "the password is never in the file: use credential, and kontor upstreams login"},
		{"ecr_repository_prefix prefix", "leave it out: the prefix is the key of the entry in upstreams"},
	},
	"registries": {
		{"account_id aws_account aws_account_id registry_id", "account"},
		{"aws_region region_name", "region"},
		{"assume_role assume_role_arn iam_role iam_role_arn", "role_arn"},
		{"aws_profile profile_name", "profile"},
		{"endpoint_url url ecr_endpoint", "endpoint"},
		{"alias id", "name"},
		{"repositories ecr_repositories", "a repository names its registries, not the other way round"},
	},
	"clusters": {
		{"account_id aws_account aws_account_id", "account"},
		{"aws_region region_name", "region"},
		{"assume_role assume_role_arn iam_role iam_role_arn", "role_arn"},
		{"aws_profile profile_name", "profile"},
		{"endpoint_url url eks_endpoint", "endpoint"},
		{"cluster_name cluster cluster_id id", "name"},
		{"node_roles node_role node_role_arn worker_role_arn worker_iam_role_arn", "node_role_arns"},
	},
	"encryption": {
		{"encryption_type", "type"},
		{"key key_arn key_id kms_key_id kms_key_arn kms_master_key_id kms_alias", "kms_key"},
	},
	"expiration_rules": {
		{"tag_prefix tag_prefixes tag_prefix_list prefix pattern patterns tag_patterns tag_pattern_list tags tag", `use tag_pattern, such as "prod-*", one in each rule`},
		{"count_number count max_image_count image_count keep keep_count max_count last", "use days or keep_last"},
		{"age age_days max_age max_age_days expire_after_days expiration_days expire_days older_than retention_days", "days"},
		{"rule_priority priority order", "leave it out: the order of the file counts"},
		{"selection tag_status count_type count_unit action action_type description storage_class target_storage_class", "rules in ECR's own form go into lifecycle_policy_json"},
	},
}

// foreignHelp is what to say of a name of others, in snake case, in the object
// in; "" for nothing.
func foreignHelp(in, name string) string {
	for _, h := range foreign[in] {
		if slices.Contains(strings.Fields(h.names), name) {
			return h.text
		}
	}
	return ""
}

// snake is a name of camelCase, PascalCase or kebab-case in snake_case.
func snake(s string) string {
	var b strings.Builder
	var before rune
	for _, c := range s {
		switch {
		case c == '-':
			c = '_'
		case unicode.IsUpper(c) && (unicode.IsLower(before) || unicode.IsDigit(before)):
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
		before = c
	}
	return b.String()
}
