package fields

// Principal and Override name objects that are no fields: a
// service in pull_principals or push_principals, and what is in overrides.
const (
	Principal = "principal"
	Override  = "override"
)

// NotOverridden are the fields of a repository that an override does not have.
var NotOverridden = []string{"registries", "overrides"}

const policyCharacters = "10,240 characters for the whole repository policy, which is about 300 accounts; where that is not enough, `pull_organization_ids` lets in a whole organization in one statement"

// repositoryTable are the fields of a repository and of defaults.
var repositoryTable = []Field{
	{
		Name: "is_immutable", In: Repository, Type: "`true` or `false`", Default: "`true`",
		Summary: "Whether a tag, while it exists, cannot be pushed again to another image.",
		Becomes: "`imageTagMutability`: `IMMUTABLE` or `MUTABLE`, with `mutable_tags` or `immutable_tags` `IMMUTABLE_WITH_EXCLUSION` or `MUTABLE_WITH_EXCLUSION`",
		Limit:   "none",
		Example: "ecr_repositories:\n  test:\n    is_immutable: false\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "mutable_tags", In: Repository, Type: "list of tag patterns", Default: "`[]`",
		Summary: "Tags that can be moved although the repository is immutable.",
		Becomes: "`imageTagMutability` `IMMUTABLE_WITH_EXCLUSION`, and each pattern an `imageTagMutabilityExclusionFilters` entry of the type `WILDCARD`",
		Limit:   "1 to 5 patterns of 1 to 128 letters, digits, `.`, `_`, `-`, with at most two `*`",
		Details: []string{
			"Without `*` a pattern is the whole tag. [Tag patterns](../tag-patterns.md) shows what matches.",
			"In a repository with `is_immutable: false` it is an error; from `defaults` it does not count there.",
		},
		Example: "ecr_repositories:\n  website:\n    mutable_tags: [latest, \"dev-*\"]\n",
		schema:  exclusionsSchema,
	},
	{
		Name: "immutable_tags", In: Repository, Type: "list of tag patterns", Default: "`[]`",
		Summary: "Tags that cannot be moved although the repository is not immutable.",
		Becomes: "`imageTagMutability` `MUTABLE_WITH_EXCLUSION`, and each pattern an `imageTagMutabilityExclusionFilters` entry of the type `WILDCARD`",
		Limit:   "as for `mutable_tags`",
		Details: []string{"It needs `is_immutable: false`, there or in `defaults`; from `defaults` it does not count elsewhere."},
		Example: "ecr_repositories:\n  website:\n    is_immutable: false\n    immutable_tags: [\"v*\"]\n",
		schema:  exclusionsSchema,
	},
	{
		Name: "expire_all_images", In: Repository, Type: "`true` or `false`", Default: "`false`",
		Summary: "Whether images expire 14 days after their push.",
		Becomes: "the last rule of the lifecycle policy: `tagStatus` `any`, `sinceImagePushed`, 14 days, `expire`",
		Limit:   "50 rules in the whole lifecycle policy",
		Details: []string{"Images with a tag of an expiration rule expire when that rule says, even if that is later, and images of `keep` never do; what stays longer for that gives notice `KON1002`."},
		Example: "ecr_repositories:\n  previews:\n    expire_all_images: true\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "expire_all_after_days", In: Repository, Type: "whole number, 1 or more", Default: "`14`",
		Summary: "The number of days of `expire_all_images`.",
		Becomes: "`countNumber` of the rule of `expire_all_images`",
		Limit:   "a whole number from 1, of 32 bits",
		Details: []string{
			"In a repository it needs `expire_all_images: true`, there or in `defaults`. In `defaults` it is for those repositories that have it.",
			"Not beside `lifecycle_policy_json`, which is an error.",
		},
		Example: "ecr_repositories:\n  previews:\n    expire_all_images: true\n    expire_all_after_days: 30\n",
		schema:  countSchema,
	},
	{
		Name: "expiration_rules", In: Repository, Type: "list of `{tag_pattern, days}` and `{tag_pattern, keep_last}`", Default: "`[]`",
		Summary: "Images with a tag that matches the pattern expire `days` after their push, or when there are more than `keep_last` of them.",
		Becomes: "one rule of the lifecycle policy for each entry, in the order of the file, after that for untagged images: `tagStatus` `tagged`, `tagPatternList` with the pattern, `sinceImagePushed` with `days` or `imageCountMoreThan` with `keep_last`, `expire`",
		Limit:   "50 rules, with those for `keep`, untagged images and `expire_all_images`",
		Details: []string{
			"An image belongs to the first rule that one of its tags matches; later rules do not touch it. [Tag patterns](../tag-patterns.md) shows what matches.",
			"The same pattern twice is an error, `keep` included.",
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
	{Name: "tag_pattern", In: "expiration_rules", Required: true, Type: "text", Summary: "Which images. Put it in quotes: YAML takes a leading `*` for an alias.",
		Becomes: "`tagPatternList`", Limit: "1 to 128 letters, digits, `.`, `_`, `-`, and up to four `*`, each for any run of characters", schema: tagPatternSchema},
	{Name: "days", In: "expiration_rules", Type: "whole number, 1 or more", Default: "none; an entry has either `days` or `keep_last`",
		Summary: "How many days after their push they expire.", Becomes: "`countNumber` of `sinceImagePushed`", schema: countSchema},
	{Name: "keep_last", In: "expiration_rules", Type: "whole number, 1 or more", Default: "none; an entry has either `days` or `keep_last`",
		Summary: "How many of them stay; those pushed first go first.", Becomes: "`countNumber` of `imageCountMoreThan`",
		Details: []string{"Images count that an earlier rule or `keep` owns, if a tag of theirs matches, and their age does not matter: with `keep_last: 1` the last but one goes, however young. The newest stay also with `expire_all_images` (notice `KON1002`)."},
		schema:  countSchema},
	{
		Name: "keep", In: Repository, Type: "list of tag patterns", Default: "`[]`",
		Summary: "Images with a tag that matches any of them never expire, whatever the other fields say.",
		Becomes: "the first rules of the lifecycle policy, one for each pattern: `tagStatus` `tagged`, `tagPatternList` with the pattern, `imageCountMoreThan`, 999999, `expire`. A rule that owns images and never comes to act is how ECR keeps them",
		Limit:   "50 rules in the whole lifecycle policy; patterns as in `expiration_rules`",
		Details: []string{
			"None twice, and none that an expiration rule has.",
			"A tag that moves to another image, or is deleted, no longer protects the image that had it.",
			"Not beside `lifecycle_policy_json`, which is an error. Where `keep` is in `defaults` and the repository has a `lifecycle_policy_json`, that policy counts, and notice `KON1001` says so.",
		},
		Example: "ecr_repositories:\n  shop:\n    keep: [\"prod-*\", \"release-*\"]\n    expire_all_images: true\n",
		schema:  uniqueListOf(tagPatternSchema),
	},
	{
		Name: "expire_untagged_after_days", In: Repository, Type: "whole number, 1 or more, or `never`", Default: "`1`",
		Summary: "How many days after their push images without tags expire: an image that lost its tag is assumed never to be pulled again.",
		Becomes: "a rule of the lifecycle policy, after those of `keep`: `tagStatus` `untagged`, `sinceImagePushed`, the days, `expire`",
		Limit:   "ECR counts from the push and not from the loss of the tag: an old image that loses its tag goes at the next run, also one that is still running by digest",
		Details: []string{
			"With `never` they go only by `expire_all_images`; a repository that then has no rules has no lifecycle policy.",
			"Not beside `lifecycle_policy_json`, which is an error.",
		},
		Example: "ecr_repositories:\n  by-digest:\n    expire_untagged_after_days: never\n  slow:\n    expire_untagged_after_days: 7\n",
		schema:  schema{"anyOf": []any{countSchema, schema{"const": "never"}}},
	},
	{
		Name: "lifecycle_policy_json", In: Repository, Type: "text of JSON, or mapping", Default: "none",
		Summary: "A complete lifecycle policy of ECR, in place of the removal of untagged images, `expire_all_images` and `expiration_rules`.",
		Becomes: "the lifecycle policy",
		Limit:   "1 to 50 rules, 100 to 30,720 characters without spaces",
		Details: []string{
			"Notice `KON1001` says what it takes the place of.",
			"Beside `keep`, `expire_untagged_after_days` or `expire_all_after_days` it is an error; where those come from `defaults`, it counts and they do not.",
			"Mistakes are reported at their own line, in a mapping and in a text.",
			"The output of `aws ecr get-lifecycle-policy` is taken as well, with and without `--query lifecyclePolicyText`.",
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
		Name: "additional_pull_account_ids", In: Repository, Type: "list of account ids: 12 digits in quotes, none twice", Default: "`[]`",
		Summary: "Accounts whose users and roles may pull.",
		Becomes: "principals `arn:aws:iam::ACCOUNT:root` (with the region's partition) of the statement `KontorPull` of the repository policy, with `BatchCheckLayerAvailability`, `BatchGetImage`, `DescribeImages`, `DescribeRepositories`, `GetDownloadUrlForLayer`, `ListImageReferrers` and `ListImages`",
		Limit:   policyCharacters,
		Details: []string{
			"Both sides must allow it: in the other account the user or role needs the ECR permissions to pull as well.",
			"The account of the registry itself needs no entry and gets nothing from one (notice `KON1003`).",
			"Without anybody there is no statement, and without statements no repository policy.",
		},
		Example: "ecr_repositories:\n  api:\n    additional_pull_account_ids: [\"333333333333\"]\n",
		schema:  uniqueListOf(accountSchema),
	},
	{
		Name: "additional_push_account_ids", In: Repository, Type: "list of account ids: 12 digits in quotes, none twice", Default: "`[]`",
		Summary: "Accounts whose users and roles may push and pull.",
		Becomes: "principals of the statement `KontorPush`, with the actions of `KontorPull` and `CompleteLayerUpload`, `InitiateLayerUpload`, `PutImage` and `UploadLayerPart`",
		Limit:   policyCharacters,
		Details: []string{
			"An account in both lists may push.",
			"No field but `extra_policy_statements` and `repository_policy_json` lets anybody delete images or read or change policies.",
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
			"An ARN is that of a role, a user or a role's session, in the partition of the registry. A whole account goes into `additional_pull_account_ids`.",
			"A service acts for whoever asks it to. So an entry for one says for whom, by `source_account`, `source_arn` or both.",
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
	{Name: "service", In: Principal, Required: true, Type: "text", Summary: "The service's name, such as `codebuild.amazonaws.com`.", Becomes: "`Principal` `Service`", schema: matching(ServiceName.String())},
	{Name: "source_account", In: Principal, Type: "account id: 12 digits in quotes", Default: "any, with `source_arn`", Summary: "The account for which the service acts.", Becomes: "the condition `StringEquals` `aws:SourceAccount`", schema: accountSchema},
	{Name: "source_arn", In: Principal, Type: "ARN, with `*` and `?`", Default: "any, with `source_account`", Summary: "The resource for which the service acts.", Becomes: "the condition `ArnLike` `aws:SourceArn`",
		Details: []string{"It names an account, so that it does not stand for everybody's resources; or `source_account` does."}, schema: matching(SourceARN.String())},
	{
		Name: "push_principals", In: Repository, Type: "list of ARNs, and of mappings for AWS services", Default: "`[]`",
		Summary: "Roles, users and AWS services that may push and pull.",
		Becomes: "principals of the statement `KontorPush`; for each service a statement `KontorPushService1`, `KontorPushService2`, ...",
		Limit:   policyCharacters + ". A role or user must exist when the policy is set",
		Details: []string{"As `pull_principals`. A principal in both may push."},
		Example: `ecr_repositories:
  api:
    push_principals:
      - arn:aws:iam::444444444444:role/ci
      - {service: codebuild.amazonaws.com, source_account: "444444444444"}
`,
		schema: principalsSchema,
	},
	{
		Name: "pull_organization_ids", In: Repository, Type: "list of ids, none twice", Default: "`[]`",
		Summary: "Organizations of AWS, whose accounts' users and roles may pull.",
		Becomes: "the statement `KontorPullOrganizations`, for everyone (`*`) on the condition `StringEquals` `aws:PrincipalOrgID`",
		Limit:   "an id is `o-` and 10 to 32 lower-case letters and digits",
		Details: []string{"Both sides must allow it, as for `additional_pull_account_ids`."},
		Example: "ecr_repositories:\n  base:\n    pull_organization_ids: [o-a1b2c3d4e5]\n",
		schema:  uniqueListOf(matching(OrganizationID.String())),
	},
	{
		Name: "extra_policy_statements", In: Repository, Type: "list of statements", Default: "`[]`",
		Summary: "Statements of a repository policy that stand beside those of the other fields.",
		Becomes: "statements of the repository policy, as they are",
		Limit:   policyCharacters,
		Details: []string{
			"A statement has the elements of IAM's policy language: `Sid`, `Effect`, `Principal`, `Action`, `Condition` and so on. The actions are ECR's. A `Sid` does not begin with `Kontor`, and none is there twice.",
			"Not beside `repository_policy_json`, which is an error.",
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
		Name: "repository_policy_json", In: Repository, Type: "text of JSON, or mapping", Default: "none",
		Summary: "A complete repository policy, in place of what the fields above make.",
		Becomes: "the repository policy",
		Limit:   "10,240 characters, without spaces",
		Details: []string{
			"Notice `KON1004` says what it takes the place of; `clusters` have no part in it.",
			"Beside `extra_policy_statements` it is an error.",
			"Mistakes are reported at their own line, in a mapping and in a text.",
			"The output of `aws ecr get-repository-policy` is taken as well, with and without `--query policyText`.",
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
		Name: "scan_on_push", In: Repository, Type: "`true` or `false`", Default: "none: left as it is, and off in a new repository",
		Summary: "Whether images are scanned for known vulnerabilities when they are pushed.",
		Becomes: "`imageScanningConfiguration.scanOnPush`",
		Limit:   "where the registry's own scanning configuration has rules for the repository, they decide",
		Example: "ecr_repositories:\n  website:\n    scan_on_push: true\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "encryption", In: Repository, Type: "mapping", Default: "none: left as it is, and `AES256` in a new repository",
		Summary: "How images are encrypted at rest.",
		Becomes: "`encryptionConfiguration`",
		Limit:   "ECR sets it when it makes the repository, and never after",
		Example: "ecr_repositories:\n  secrets:\n    encryption: {type: KMS, kms_key: alias/images}\n",
		schema:  object("encryption"),
	},
	{Name: "type", In: "encryption", Required: true, Type: "`AES256`, `KMS` or `KMS_DSSE`", Summary: "The kind of encryption.", Becomes: "`encryptionType`", Limit: "`KMS_DSSE` is of GovCloud only", schema: schema{"enum": []any{"AES256", "KMS", "KMS_DSSE"}}},
	{Name: "kms_key", In: "encryption", Type: "text", Default: "the key that AWS keeps for ECR, `alias/aws/ecr`", Summary: "The id, ARN or alias of a key of AWS KMS, in the region of the registry. Not with `AES256`.", Becomes: "`kmsKey`", Limit: "1 to 2,048 characters",
		Details: []string{"An ARN names a region, so with several `registries` it belongs into `overrides`."}, schema: textOf(1, MaxARN)},
	{
		Name: "tags", In: Repository, Type: "mapping from keys to texts", Default: "`{}`",
		Summary: "Resource tags of the repository, not image tags.",
		Becomes: "the repository's tags, with `kontor:stack`",
		Limit:   "50 tags, Kontor's own included; keys of 1 to 128, values of 0 to 256 letters, digits, spaces and `_ . : / = + - @`; keys that begin with `aws:` are AWS's",
		Details: []string{
			"Tags that others put on the repository stay as they are.",
			"Values are texts, so numbers go in quotes. Keys that begin with `kontor:` are Kontor's.",
		},
		Example: "ecr_repositories:\n  website:\n    tags: {team: web, cost-center: \"4711\"}\n",
		schema:  schema{"type": "object", "maxProperties": MaxTags - 1, "propertyNames": textOf(1, MaxTagKey), "additionalProperties": textOf(0, MaxTagValue)},
	},
	{
		Name: "delete_protection", In: Repository, Type: "`true` or `false`", Default: "`true`",
		Summary: "Whether Kontor refuses to delete the repository, with its images, once it has left the file.",
		Becomes: "with `false` the tag `kontor:delete-protection` with the value `off`; else that tag is removed",
		Limit:   "a repository has at most 50 tags; this one and `kontor:stack` are among them",
		Details: []string{"It has to be off, and that applied, before a repository can be deleted."},
		Example: "ecr_repositories:\n  previews:\n    delete_protection: false\n",
		schema:  schema{"type": "boolean"},
	},
	{
		Name: "registries", In: Repository, Type: "list of names of registries", Default: "all",
		Summary: "The registries in which the repository is wanted.",
		Becomes: "no repository in the others",
		Limit:   "none",
		Details: []string{"At least one, none twice. A repository that leaves the list is treated in that registry as one that left the file."},
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
		Summary: "Other settings in some registries.",
		Becomes: "what the fields in it become, in that registry",
		Limit:   "those of the fields in it",
		Details: []string{
			"Any field of a repository but `registries` and `overrides`. It replaces the repository's own field whole, by the rules of `defaults`.",
			"What wins, the first first: the repository's `overrides`, its own fields, the `overrides` of `defaults`, `defaults`. A repository with `overrides` has none of those of `defaults`.",
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
