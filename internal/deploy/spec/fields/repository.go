package fields

// Principal and Override name objects that are not fields: a
// service in pull_principals or push_principals, and what is in overrides.
const (
	Principal = "principal"
	Override  = "override"
	Template  = "templates"
)

// NotOverridden are the fields of a repository that an override does not have.
var NotOverridden = []string{"registries", "overrides"}

// NotTemplate are those that a template does not have: ECR's templates have no
// such settings.
var NotTemplate = []string{"scan_on_push", "delete_protection"}

const policyCharacters = "10,240 characters for the whole repository policy, about 300 accounts; if that is not enough, `pull_organization_ids` admits a whole organization in one statement"

// repositoryTable are the fields of a repository and of defaults.
var repositoryTable = []Field{
	{
		Name: "is_immutable", In: Repository, Type: "`true` or `false`", Default: "`true`",
		Summary: "Whether tags are immutable: while a tag exists, it cannot be moved to another image.",
		Becomes: "`imageTagMutability`: `IMMUTABLE` or `MUTABLE`, with `mutable_tags` or `immutable_tags` `IMMUTABLE_WITH_EXCLUSION` or `MUTABLE_WITH_EXCLUSION`",
		Limit:   "none",
		Example: "ecr_repositories:\n  test:\n    is_immutable: false\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "mutable_tags", In: Repository, Type: "list of tag patterns", Default: "`[]`",
		Summary: "Exceptions from `is_immutable: true`: tags that can be moved.",
		Becomes: "`imageTagMutability` `IMMUTABLE_WITH_EXCLUSION`, and each pattern an `imageTagMutabilityExclusionFilters` entry of the type `WILDCARD`",
		Limit:   "1 to 5 patterns of 1 to 128 letters, digits, `.`, `_`, `-`, with at most two `*`",
		Details: []string{
			"A pattern without `*` matches the whole tag. [Tag patterns](../tag-patterns.md) shows what matches.",
			"With `is_immutable: false` in the same repository it is an error; from `defaults` it does not apply there.",
		},
		Example: "ecr_repositories:\n  website:\n    mutable_tags: [latest, \"dev-*\"]\n",
		schema:  exclusionsSchema,
	},
	{
		Name: "immutable_tags", In: Repository, Type: "list of tag patterns", Default: "`[]`",
		Summary: "Exceptions from `is_immutable: false`: tags that cannot be moved.",
		Becomes: "`imageTagMutability` `MUTABLE_WITH_EXCLUSION`, and each pattern an `imageTagMutabilityExclusionFilters` entry of the type `WILDCARD`",
		Limit:   "as for `mutable_tags`",
		Details: []string{"It needs `is_immutable: false`, in the repository or in `defaults`. From `defaults` it applies only to repositories that have that."},
		Example: "ecr_repositories:\n  website:\n    is_immutable: false\n    immutable_tags: [\"v*\"]\n",
		schema:  exclusionsSchema,
	},
	{
		Name: "expire_all_images", In: Repository, Type: "`true` or `false`", Default: "`false`",
		Summary: "Whether every image expires 14 days after its push.",
		Becomes: "the last rule of the lifecycle policy: `tagStatus` `any`, `sinceImagePushed`, 14 days, `expire`",
		Limit:   "50 rules in the whole lifecycle policy",
		Details: []string{"An image that an expiration rule matches expires when that rule says, even if that is later, and an image that `keep` matches never expires. Notice `KON1002` names what is kept longer.", "It cannot be combined with `keep_last_images`."},
		Example: "ecr_repositories:\n  previews:\n    expire_all_images: true\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "expire_all_after_days", In: Repository, Type: "whole number, 1 or more", Default: "`14`",
		Summary: "After how many days `expire_all_images` expires images.",
		Becomes: "`countNumber` of the rule of `expire_all_images`",
		Limit:   "a whole number from 1, of 32 bits",
		Details: []string{
			"It needs `expire_all_images: true`, in the repository or in `defaults`. From `defaults` it applies only to repositories that have that.",
			"It cannot be combined with `lifecycle_policy_json`.",
		},
		Example: "ecr_repositories:\n  previews:\n    expire_all_images: true\n    expire_all_after_days: 30\n",
		schema:  countSchema,
	},
	{
		Name: "keep_last_images", In: Repository, Type: "whole number, 1 or more, or `all`", Default: "`all`",
		Summary: "How many images of the repository are kept. When there are more, the oldest expire.",
		Becomes: "the last rule of the lifecycle policy: `tagStatus` `any`, `imageCountMoreThan`, the number, `expire`",
		Limit:   "50 rules in the whole lifecycle policy, and one for all images",
		Details: []string{
			"All images count, tagged and untagged, including those that `keep` or an expiration rule selects. Those do not expire by this field: they belong to the earlier rule.",
			"Age does not matter: an image that was pushed a minute ago expires when enough newer ones follow. Untagged images are removed as `expire_untagged_after_days` or `keep_last_untagged` says.",
			"It cannot be combined with `expire_all_images: true` or `lifecycle_policy_json`. In a repository it replaces an `expire_all_images` of `defaults`, and the other way round.",
		},
		Example: "ecr_repositories:\n  nightly:\n    keep_last_images: 100\n  archive:\n    keep: [\"v*\"]\n    keep_last_images: 20\n",
		schema:  schema{"anyOf": []any{countSchema, schema{"const": "all"}}},
	},
	{
		Name: "expiration_rules", In: Repository, Type: "list of `{tag_pattern, days}` and `{tag_pattern, keep_last}`", Default: "`[]`",
		Summary: "Images with a tag that matches the pattern expire `days` after their push, or when there are more than `keep_last` of them.",
		Becomes: "one rule of the lifecycle policy for each entry, in the order of the file, after that for untagged images: `tagStatus` `tagged`, `tagPatternList` with the pattern, `sinceImagePushed` with `days` or `imageCountMoreThan` with `keep_last`, `expire`",
		Limit:   "50 rules, with those for `keep`, untagged images and `expire_all_images`",
		Details: []string{
			"An image belongs to the first rule that matches one of its tags; later rules do not apply to it. [Tag patterns](../tag-patterns.md) shows what matches.",
			"A pattern that is given twice, in the rules or in `keep`, is an error.",
		},
		Example: `ecr_repositories:
  scraper:
    expiration_rules:
      - {tag_pattern: "pr-*", days: 7}
      - {tag_pattern: "main-*", days: 90}
      - {tag_pattern: "nightly-*", keep_last: 10}
`,
		schema: listOf(object("expiration_rules")),
	},
	{Name: "tag_pattern", In: "expiration_rules", Required: true, Type: "string", Summary: "The tags of the images. Quote it: in YAML a leading `*` is an alias.",
		Becomes: "`tagPatternList`", Limit: "1 to 128 letters, digits, `.`, `_`, `-`, and up to four `*`, each for any characters", schema: tagPatternSchema},
	{Name: "days", In: "expiration_rules", Type: "whole number, 1 or more", Default: "none; a rule has either `days` or `keep_last`",
		Summary: "After how many days since their push they expire.", Becomes: "`countNumber` of `sinceImagePushed`", schema: countSchema},
	{Name: "keep_last", In: "expiration_rules", Type: "whole number, 1 or more", Default: "none; a rule has either `days` or `keep_last`",
		Summary: "How many of the newest are kept.", Becomes: "`countNumber` of `imageCountMoreThan`",
		Details: []string{"Images that belong to an earlier rule or to `keep` count too, if one of their tags matches. Age does not matter: with `keep_last: 1` the second newest expires, however recent. The newest are kept with `expire_all_images` as well (notice `KON1002`)."},
		schema:  countSchema},
	{
		Name: "keep", In: Repository, Type: "list of tag patterns", Default: "`[]`",
		Summary: "Images with a tag that matches any of these patterns never expire, regardless of the other fields.",
		Becomes: "the first rules of the lifecycle policy, one for each pattern: `tagStatus` `tagged`, `tagPatternList` with the pattern, `imageCountMoreThan`, 999999, `expire`. ECR keeps images that belong to a rule which never expires any",
		Limit:   "50 rules in the whole lifecycle policy; patterns as in `expiration_rules`",
		Details: []string{
			"A pattern that is given twice, here or in an expiration rule, is an error.",
			"When a tag is moved or deleted, it no longer protects the image that had it.",
			"It cannot be combined with `lifecycle_policy_json`. If `keep` is in `defaults` and the repository has a `lifecycle_policy_json`, the policy applies (notice `KON1001`).",
		},
		Example: "ecr_repositories:\n  shop:\n    keep: [\"prod-*\", \"release-*\"]\n    expire_all_images: true\n",
		schema:  uniqueListOf(tagPatternSchema),
	},
	{
		Name: "expire_untagged_after_days", In: Repository, Type: "whole number, 1 or more, or `never`", Default: "`1`",
		Summary: "After how many days since their push untagged images expire. An image that has lost its tag is assumed not to be pulled again.",
		Becomes: "a rule of the lifecycle policy, after those of `keep`: `tagStatus` `untagged`, `sinceImagePushed`, the days, `expire`",
		Limit:   "ECR counts from the push, not from the loss of the tag: an old image that loses its tag expires at the next run, even if it still runs somewhere by its digest",
		Details: []string{
			"With `never`, they expire only by `expire_all_images`. A repository without any rules then has no lifecycle policy.",
			"It cannot be combined with `keep_last_untagged` or `lifecycle_policy_json`.",
		},
		Example: "ecr_repositories:\n  by-digest:\n    expire_untagged_after_days: never\n  slow:\n    expire_untagged_after_days: 7\n",
		schema:  schema{"anyOf": []any{countSchema, schema{"const": "never"}}},
	},
	{
		Name: "keep_last_untagged", In: Repository, Type: "whole number, 1 or more", Default: "none: `expire_untagged_after_days` applies",
		Summary: "How many untagged images are kept. When there are more, the oldest expire.",
		Becomes: "a rule of the lifecycle policy, after those of `keep`: `tagStatus` `untagged`, `imageCountMoreThan`, the number, `expire`",
		Limit:   "one rule for untagged images",
		Details: []string{
			"It replaces the removal by age: the newest untagged images stay, regardless of their age, and the others expire at the next run, however recent.",
			"The platforms of multi-platform images and most signatures are untagged images too. Kontor's registry does not count them; with Amazon ECR, assume that they count.",
			"It cannot be combined with `expire_untagged_after_days` or `lifecycle_policy_json`. In a repository it replaces an `expire_untagged_after_days` of `defaults`, and the other way round.",
		},
		Example: "ecr_repositories:\n  website:\n    keep_last_untagged: 3\n",
		schema:  countSchema,
	},
	{
		Name: "lifecycle_policy_json", In: Repository, Type: "JSON in a string, or a mapping", Default: "none",
		Summary: "A complete ECR lifecycle policy. It replaces the removal of untagged images, `expire_all_images` and `expiration_rules`.",
		Becomes: "the lifecycle policy",
		Limit:   "1 to 50 rules, 100 to 30,720 characters without spaces",
		Details: []string{
			"Notice `KON1001` says what it replaces.",
			"It cannot be combined with `keep`, `expire_untagged_after_days`, `keep_last_untagged`, `expire_all_after_days` or `keep_last_images`. If those are in `defaults`, the policy applies instead of them.",
			"Errors are reported at their line, in a mapping and in a string.",
			"The output of `aws ecr get-lifecycle-policy` is accepted as well, with and without `--query lifecyclePolicyText`.",
		},
		Example: `ecr_repositories:
  nightly:
    lifecycle_policy_json:
      rules:
        - rulePriority: 1
          description: Keep the newest 100 images
          selection: {tagStatus: any, countType: imageCountMoreThan, countNumber: 100}
          action: {type: expire}
`,
		schema: documentSchema,
	},
	{
		Name: "additional_pull_account_ids", In: Repository, Type: "list of account ids: 12 digits in quotes, each once", Default: "`[]`",
		Summary: "Accounts whose users and roles may pull.",
		Becomes: "principals `arn:aws:iam::ACCOUNT:root` (with the region's partition) of the statement `KontorPull` of the repository policy, with `BatchCheckLayerAvailability`, `BatchGetImage`, `DescribeImages`, `DescribeRepositories`, `GetDownloadUrlForLayer`, `ListImageReferrers` and `ListImages`",
		Limit:   policyCharacters,
		Details: []string{
			"Both sides must allow it: in the other account, the user or role needs the ECR permissions to pull as well.",
			"The account of the registry itself needs no entry; an entry for it has no effect (notice `KON1003`).",
			"Without accounts and principals there is no statement, and without statements no repository policy.",
		},
		Example: "ecr_repositories:\n  api:\n    additional_pull_account_ids: [\"333333333333\"]\n",
		schema:  uniqueListOf(accountSchema),
	},
	{
		Name: "additional_push_account_ids", In: Repository, Type: "list of account ids: 12 digits in quotes, each once", Default: "`[]`",
		Summary: "Accounts whose users and roles may push and pull.",
		Becomes: "principals of the statement `KontorPush`, with the actions of `KontorPull` and `CompleteLayerUpload`, `InitiateLayerUpload`, `PutImage` and `UploadLayerPart`",
		Limit:   policyCharacters,
		Details: []string{
			"An account in both lists may push.",
			"Only `extra_policy_statements` and `repository_policy_json` can allow deleting images, or reading and changing policies.",
		},
		Example: "ecr_repositories:\n  api:\n    additional_push_account_ids: [\"444444444444\"]\n",
		schema:  uniqueListOf(accountSchema),
	},
	{
		Name: "pull_principals", In: Repository, Type: "list of ARNs, and of mappings for AWS services", Default: "`[]`",
		Summary: "Roles, users and AWS services that may pull.",
		Becomes: "principals of the statement `KontorPull`; for each service a statement `KontorPullService1`, `KontorPullService2`, ... with the condition `aws:SourceAccount` or `aws:SourceArn`",
		Limit:   policyCharacters + ". A role or user must exist when the policy is set",
		Details: []string{
			"An ARN is that of a role, a user or a role session, in the partition of the registry. Whole accounts go into `additional_pull_account_ids`.",
			"A service acts for any account. So its entry restricts for whom, by `source_account`, `source_arn` or both.",
		},
		Example: `ecr_repositories:
  api:
    pull_principals:
      - arn:aws:iam::333333333333:role/web
      - {service: codebuild.amazonaws.com, source_account: "111111111111"}
      - service: lambda.amazonaws.com
        source_arn: arn:aws:lambda:us-east-2:333333333333:function:*
`,
		schema: principalsSchema,
	},
	{Name: "service", In: Principal, Required: true, Type: "string", Summary: "The name of the service, such as `codebuild.amazonaws.com`.", Becomes: "`Principal` `Service`", schema: matching(ServiceName.String())},
	{Name: "source_account", In: Principal, Type: "account id: 12 digits in quotes", Default: "any, with `source_arn`", Summary: "The account for which the service acts.", Becomes: "the condition `StringEquals` `aws:SourceAccount`", schema: accountSchema},
	{Name: "source_arn", In: Principal, Type: "ARN, with `*` and `?`", Default: "any, with `source_account`", Summary: "The resource for which the service acts.", Becomes: "the condition `ArnLike` `aws:SourceArn`",
		Details: []string{"It must name an account, unless `source_account` does: otherwise it would stand for resources of any account."}, schema: matching(SourceARN.String())},
	{
		Name: "push_principals", In: Repository, Type: "list of ARNs, and of mappings for AWS services", Default: "`[]`",
		Summary: "Roles, users and AWS services that may push and pull.",
		Becomes: "principals of the statement `KontorPush`; for each service a statement `KontorPushService1`, `KontorPushService2`, ...",
		Limit:   policyCharacters + ". A role or user must exist when the policy is set",
		Details: []string{"As for `pull_principals`. A principal in both lists may push."},
		Example: `ecr_repositories:
  api:
    push_principals:
      - arn:aws:iam::444444444444:role/ci
      - {service: codebuild.amazonaws.com, source_account: "444444444444"}
`,
		schema: principalsSchema,
	},
	{
		Name: "pull_organization_ids", In: Repository, Type: "list of ids, each once", Default: "`[]`",
		Summary: "AWS organizations whose users and roles, in all accounts, may pull.",
		Becomes: "the statement `KontorPullOrganizations`, for everyone (`*`) on the condition `StringEquals` `aws:PrincipalOrgID`",
		Limit:   "an id is `o-` and 10 to 32 lower-case letters and digits",
		Details: []string{"Both sides must allow it, as for `additional_pull_account_ids`."},
		Example: "ecr_repositories:\n  base:\n    pull_organization_ids: [o-a1b2c3d4e5]\n",
		schema:  uniqueListOf(matching(OrganizationID.String())),
	},
	{
		Name: "extra_policy_statements", In: Repository, Type: "list of statements", Default: "`[]`",
		Summary: "Statements of the repository policy in addition to those of the other fields.",
		Becomes: "statements of the repository policy, unchanged",
		Limit:   policyCharacters,
		Details: []string{
			"A statement has the elements of IAM's policy language: `Sid`, `Effect`, `Principal`, `Action`, `Condition` and so on. The actions are ECR's. A `Sid` must not begin with `Kontor`.",
			"It cannot be combined with `repository_policy_json`.",
		},
		Example: `ecr_repositories:
  api:
    extra_policy_statements:
      - Sid: Janitor
        Effect: Allow
        Principal: {AWS: "arn:aws:iam::444444444444:role/janitor"}
        Action: ["ecr:BatchDeleteImage"]
`,
		schema: listOf(schema{"type": "object"}),
	},
	{
		Name: "repository_policy_json", In: Repository, Type: "JSON in a string, or a mapping", Default: "none",
		Summary: "A complete repository policy. It replaces what the fields for accounts, principals and organizations would grant.",
		Becomes: "the repository policy",
		Limit:   "10,240 characters, without spaces",
		Details: []string{
			"Notice `KON1004` says what it replaces. `clusters` are not added to it.",
			"It cannot be combined with `extra_policy_statements`.",
			"Errors are reported at their line, in a mapping and in a string.",
			"The output of `aws ecr get-repository-policy` is accepted as well, with and without `--query policyText`.",
		},
		Example: `ecr_repositories:
  legacy:
    repository_policy_json:
      Version: "2012-10-17"
      Statement:
        - Sid: AllowPull
          Effect: Allow
          Principal: {AWS: "arn:aws:iam::333333333333:root"}
          Action: ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
`,
		schema: documentSchema,
	},
	{
		Name: "scan_on_push", In: Repository, Type: "`true` or `false`", Default: "none: unchanged, and off in a new repository",
		Summary: "Whether images are scanned for vulnerabilities when they are pushed.",
		Becomes: "`imageScanningConfiguration.scanOnPush`",
		Limit:   "if the registry's scanning configuration has rules for the repository, those apply",
		Example: "ecr_repositories:\n  website:\n    scan_on_push: true\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "encryption", In: Repository, Type: "mapping", Default: "none: unchanged, and `AES256` in a new repository",
		Summary: "How images are encrypted at rest.",
		Becomes: "`encryptionConfiguration`",
		Limit:   "ECR sets it when the repository is created; it cannot be changed",
		Example: "ecr_repositories:\n  secrets:\n    encryption: {type: KMS, kms_key: alias/images}\n",
		schema:  object("encryption"),
	},
	{Name: "type", In: "encryption", Required: true, Type: "`AES256`, `KMS` or `KMS_DSSE`", Summary: "The kind of encryption.", Becomes: "`encryptionType`", Limit: "`KMS_DSSE` is available in GovCloud only", schema: schema{"enum": []any{"AES256", "KMS", "KMS_DSSE"}}},
	{Name: "kms_key", In: "encryption", Type: "string", Default: "the AWS managed key for ECR, `alias/aws/ecr`", Summary: "The id, ARN or alias of an AWS KMS key in the region of the registry. Not with `AES256`.", Becomes: "`kmsKey`", Limit: "1 to 2,048 characters",
		Details: []string{"An ARN names a region, so with several `registries` it belongs in `overrides`."}, schema: textOf(1, MaxARN)},
	{
		Name: "tags", In: Repository, Type: "mapping from keys to strings", Default: "`{}`",
		Summary: "Resource tags of the repository, not image tags.",
		Becomes: "the repository's tags, with `kontor:stack`",
		Limit:   "50 tags, Kontor's own included; keys of 1 to 128, values of 0 to 256 letters, digits, spaces and `_ . : / = + - @`; keys that begin with `aws:` are reserved",
		Details: []string{
			"Tags that others have set on the repository are not changed.",
			"Values are strings, so quote numbers. Keys that begin with `kontor:` are reserved.",
		},
		Example: "ecr_repositories:\n  website:\n    tags: {team: web, cost-center: \"4711\"}\n",
		schema:  schema{"type": "object", "maxProperties": MaxTags - 1, "propertyNames": textOf(1, MaxTagKey), "additionalProperties": textOf(0, MaxTagValue)},
	},
	{
		Name: "delete_protection", In: Repository, Type: "`true` or `false`", Default: "`true`",
		Summary: "Whether Kontor refuses to delete the repository when it has been removed from the file.",
		Becomes: "with `false` the tag `kontor:delete-protection` with the value `off`; else that tag is removed",
		Limit:   "a repository has at most 50 tags; this one and `kontor:stack` are among them",
		Details: []string{"To delete a repository, first set this to `false` and apply it, then remove the repository from the file."},
		Example: "ecr_repositories:\n  previews:\n    delete_protection: false\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "registries", In: Repository, Type: "list of names of registries", Default: "all",
		Summary: "The registries that the repository is deployed to.",
		Becomes: "no repository in the others",
		Limit:   "none",
		Details: []string{"At least one, each once. In a registry that is removed from the list, the repository is treated as if it had been removed from the file."},
		Example: `registries:
  - {name: us, account: "111111111111", region: us-east-2}
  - {name: eu, account: "111111111111", region: eu-west-1}
ecr_repositories:
  website: {}
  gdpr-tools:
    registries: [eu]
`,
		schema: schema{"type": "array", "items": matching(RegistryName.String()), "minItems": 1, "uniqueItems": true},
	},
	{
		Name: "overrides", In: Repository, Type: "mapping from names of registries to fields of a repository", Default: "`{}`",
		Summary: "Settings that differ in some registries.",
		Becomes: "the settings of its fields, in that registry",
		Limit:   "those of its fields",
		Details: []string{
			"Takes any field of a repository except `registries` and `overrides`. It replaces the repository's own field completely, as a field replaces a default.",
			"In order of precedence: the repository's `overrides`, its own fields, the `overrides` of `defaults`, `defaults`. A repository with `overrides` does not use those of `defaults`.",
		},
		Example: `registries:
  - {name: staging, account: "111111111111", region: us-east-2}
  - {name: prod, account: "222222222222", region: us-east-2}
ecr_repositories:
  website:
    expiration_rules:
      - {tag_pattern: "main-*", days: 30}
    overrides:
      prod:
        expiration_rules: []
        keep: ["v*"]
`,
		schema: schema{"type": "object", "propertyNames": matching(RegistryName.String()), "additionalProperties": orNull(object(Override))},
	},
}

var (
	countSchema      = schema{"type": "integer", "minimum": 1, "maximum": MaxCount}
	exclusionsSchema = schema{"type": "array", "items": matching(ExclusionPattern.String()), "maxItems": MaxExclusions, "uniqueItems": true}
	principalsSchema = listOf(schema{"anyOf": []any{matching(PrincipalARN.String()), object(Principal)}})
)
