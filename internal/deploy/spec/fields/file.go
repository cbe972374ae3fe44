package fields

// fileTable are the fields of the file, and of the objects in it other than
// repositories.
var fileTable = []Field{
	{
		Name: "stack", Type: "string", Default: "`default`",
		Summary: "The name of the set of repositories that this file owns.",
		Becomes: "the resource tag `kontor:stack` of each repository",
		Limit:   "1 to 256 letters, digits, spaces and `_ . : / = + - @`",
		Details: []string{
			"Kontor recognizes its repositories by that tag; there is no state file. A repository with another stack's tag is never changed.",
			"Nothing is deleted unless the file names its stack.",
		},
		Example: "stack: platform\necr_repositories: {}\n",
		schema:  textOf(1, MaxTagValue),
	},
	{
		Name: "registries", Type: "list of mappings", Default: "none: the local registry",
		Summary: "Where to deploy. Each entry is a private registry: an account in a region.",
		Becomes: "no setting: the repositories are created in each of them",
		Limit:   "100,000 repositories in a registry, a quota that can be raised",
		Details: []string{
			"Every repository is created in each of them, unless its own `registries` lists some.",
			"Without `registries` the file is for the local registry, and Kontor never calls AWS.",
			"Two entries with the same name, or with the same account, region and endpoint, are an error.",
			"`kontor up` runs a local registry for each entry, with its account and region, and ignores `role_arn`, `profile` and `endpoint`. Its `external_url` says where clients reach that registry.",
		},
		Example: `registries:
  - name: prod
    account: "111111111111"
    region: us-east-2
    role_arn: arn:aws:iam::111111111111:role/deployer
  - name: china
    account: "222222222222"
    region: cn-north-1
    profile: china
  - name: test
    account: "111111111111"
    region: us-east-2
    endpoint: http://localhost:4566
    external_url: https://registry.example.com
ecr_repositories:
  website: {}
`,
		schema: listOf(object("registries")),
	},
	{Name: "name", In: "registries", Required: true, Type: "string", Summary: "Its name in `--target NAME`, in `registries` and `overrides` of repositories, and in messages.",
		Details: []string{"1 to 63 letters, digits, `.`, `_` and `-`, beginning with a letter or digit."}, schema: matching(RegistryName.String())},
	{Name: "account", In: "registries", Required: true, Type: "string of 12 digits, in quotes", Summary: "The AWS account. Before it changes anything, Kontor checks that its credentials are for this account.",
		schema: accountSchema},
	{Name: "region", In: "registries", Required: true, Type: "string", Summary: "The region. It also determines the partition: regions that begin with `cn-` and `us-gov-` have their own. A name that AWS does not have gives notice `KON1009`.", schema: matching(`^[0-9a-z-]{2,25}$`)},
	{Name: "role_arn", In: "registries", Type: "ARN of a role", Default: "none", Summary: "A role to assume, in the partition of the region.", schema: matching(RoleARN.String())},
	{Name: "profile", In: "registries", Type: "string", Default: "none", Summary: "A profile of the AWS configuration to take the credentials from.", schema: textOf(1, MaxProfile)},
	{Name: "endpoint", In: "registries", Type: "URL", Default: "that of AWS", Summary: "The endpoint of another server with the ECR API.", schema: matching(`^https?://[^/?#]+`)},
	{Name: "external_url", In: "registries", Type: "URL without a path", Default: "the host that a request was sent to",
		Summary: "The address at which clients reach the registry that `kontor up` runs for the entry.",
		Details: []string{"Only `kontor up` uses it. Its option `--external-url` takes precedence."}, schema: matching(`^https?://[^/?#]+/?$`)},
	{
		Name: "clusters", Type: "list of mappings", Default: "none",
		Summary: "Kubernetes clusters whose nodes may pull.",
		Becomes: "if the cluster is in another account than the registry: a principal of the statement `KontorPull` of its repositories",
		Limit:   "10,240 characters for the repository policy, about 300 accounts",
		Details: []string{
			"Across accounts, both sides must allow a pull. The repository policy is one side. For the other, `apply` attaches `AmazonEC2ContainerRegistryPullOnly` to node roles that may not pull yet, and detaches it with the last stack that needs it.",
			"The node roles are those in `node_role_arns`, or those that EKS reports. A file without `registries:` never calls AWS, so it only looks at clusters with an `endpoint`.",
			"A cluster cannot pull from a registry in another partition (notice `KON1005`).",
			"Repositories with a `repository_policy_json` are left as they are (notice `KON1004`).",
		},
		Example: `clusters:
  - name: apps
    account: "222222222222"
    region: us-east-2
    role_arn: arn:aws:iam::222222222222:role/deployer
    repositories: ["team/*"]
  - name: batch
    account: "333333333333"
    region: eu-west-1
    profile: batch
    endpoint: http://localhost:4566
    node_role_arns: ["arn:aws:iam::333333333333:role/batch-nodes"]
ecr_repositories:
  team/api: {}
  tools: {}
`,
		schema: listOf(object("clusters")),
	},
	{Name: "name", In: "clusters", Required: true, Type: "string", Summary: "The cluster's name in EKS.",
		Limit: "1 to 100 letters, digits, `_` and `-`, beginning with a letter or digit", schema: matching(ClusterName.String())},
	{Name: "account", In: "clusters", Required: true, Type: "string of 12 digits, in quotes", Summary: "The account of the cluster's nodes.", schema: accountSchema},
	{Name: "region", In: "clusters", Required: true, Type: "string", Summary: "The cluster's region.", schema: matching(`^[0-9a-z-]{2,25}$`)},
	{Name: "role_arn", In: "clusters", Type: "ARN of a role", Default: "none", Summary: "A role to assume, to reach that account.", schema: matching(RoleARN.String())},
	{Name: "profile", In: "clusters", Type: "string", Default: "none", Summary: "A profile of the AWS configuration to reach that account with.", schema: textOf(1, MaxProfile)},
	{Name: "endpoint", In: "clusters", Type: "URL", Default: "that of AWS", Summary: "The endpoint of another server with the AWS APIs.", schema: matching(`^https?://[^/?#]+`)},
	{Name: "node_role_arns", In: "clusters", Type: "list of ARNs of roles", Default: "none: those that EKS reports", Summary: "The roles of the cluster's nodes, in its account.", schema: listOf(matching(RoleARN.String()))},
	{Name: "repositories", In: "clusters", Type: "list of names, with `*` for any characters", Default: "`[\"*\"]`, all", Summary: "The repositories that the nodes pull from.", schema: listOf(matching(RepositoryGlob.String()))},
	{
		Name: "defaults", Type: "mapping", Default: "none",
		Summary: "Settings for all repositories. Takes any field of a repository.",
		Becomes: "the settings of its fields, in each repository that does not set them",
		Limit:   "those of its fields",
		Details: []string{
			"A field that the repository sets replaces the default completely; lists and tags are not merged.",
			"A default `lifecycle_policy_json` applies only to repositories that set no lifecycle field: none of `expire_all_images`, `expire_all_after_days`, `keep_last_images`, `expiration_rules`, `keep`, `expire_untagged_after_days`, `keep_last_untagged` and `lifecycle_policy_json`.",
			"A default `repository_policy_json` applies only to repositories that set none of `additional_pull_account_ids`, `additional_push_account_ids`, `pull_principals`, `push_principals`, `pull_organization_ids`, `extra_policy_statements` and `repository_policy_json`.",
			"A field without a value (`tags:`, or `null`) is not set.",
		},
		Example: `defaults:
  additional_pull_account_ids: ["222222222222"]
ecr_repositories:
  website: {}                             # 222222222222 may pull
  secrets:
    additional_pull_account_ids: []       # no other account
`,
		schema: object(Repository),
	},
	{
		Name: "ecr_repositories", Required: true, Type: "mapping from repository names to their settings",
		Summary: "The repositories. `{}` or no value is a repository with the defaults.",
		Becomes: "a repository for each name, in each registry",
		Limit:   "a name has 2 to 256 characters: lower-case letters and digits, separated by `.`, `_`, `__` or any number of `-`, in parts separated by `/`",
		Details: []string{"To declare no repositories, write `ecr_repositories: {}`. The field without a value is an error."},
		Example: "ecr_repositories:\n  website: {}\n  team/api:\n",
		schema: schema{"type": "object", "propertyNames": schema{"minLength": 2, "maxLength": 256, "pattern": `^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`},
			"additionalProperties": orNull(object(Repository))},
	},
	{
		Name: "templates", Type: "mapping from prefixes of repository names to settings", Default: "none",
		Summary: "Settings for the repositories that the registry creates itself: for a push, for a first pull through a cache, or for replication.",
		Becomes: "a repository creation template for each prefix, in each registry",
		Limit:   "a prefix has 1 to 256 characters in the form of repository names; `ROOT` is for all repositories that no other prefix is for",
		Details: []string{
			"A template takes the fields of a repository, except `scan_on_push` and `delete_protection`, and the fields below. `defaults` apply to it as to a repository.",
			"The longest prefix counts: `team/apps` before `team` for `team/apps/api`. A change applies to repositories created from then on; those that exist stay as they are.",
			"A repository that the registry created belongs to no stack. To manage it, add it to `ecr_repositories`.",
			"Kontor recognizes its templates by a mark at the end of their description, `[kontor:stack=NAME]`. A template with another stack's mark is never changed. A template that left the file is reported as long as the file has the field `templates`, even without entries (`templates: {}`); `--prune` deletes it, even if the field is gone.",
		},
		Example: `stack: platform
ecr_repositories: {}
templates:
  team:
    description: Images of teams
    expiration_rules:
      - {tag_pattern: "pr-*", days: 7}
    role_arn: arn:aws:iam::111111111111:role/ecr-templates
  docker-hub:
    applied_for: [PULL_THROUGH_CACHE]
    is_immutable: false
`,
		schema: schema{"type": "object", "propertyNames": schema{"maxLength": MaxTemplatePrefix, "pattern": Prefix.String()}, "additionalProperties": orNull(object(Template))},
	},
	{Name: "description", In: Template, Type: "string", Default: "none", Summary: "What the template is for.",
		Limit: "256 characters, with the mark of the stack", schema: textOf(0, MaxTemplateDescription)},
	{Name: "applied_for", In: Template, Type: "list of `CREATE_ON_PUSH`, `PULL_THROUGH_CACHE` and `REPLICATION`", Default: "`[CREATE_ON_PUSH]`", Summary: "For what the registry creates repositories from the template.",
		schema: schema{"type": "array", "minItems": 1, "uniqueItems": true, "items": schema{"enum": []any{"CREATE_ON_PUSH", "PULL_THROUGH_CACHE", "REPLICATION"}}}},
	{Name: "role_arn", In: Template, Type: "ARN of a role", Default: "none", Summary: "The role with which the registry creates the repositories (`customRoleArn`). Amazon ECR needs one for `tags` and for a key of KMS.", schema: matching(RoleARN.String())},
	{
		Name: "upstreams", Type: "mapping from prefixes of repository names to upstreams", Default: "none",
		Summary: "Pull-through caches: what is pulled below a prefix comes from another registry when it is not there yet.",
		Becomes: "a pull-through cache rule for each prefix, in each registry",
		Limit:   "50 rules in a registry; a prefix has 2 to 30 characters in the form of repository names; `ROOT` is for all repositories that no other prefix is for",
		Details: []string{
			"A rule has no tags and no description, so Kontor changes only rules that the file names, and only if they are for the same upstream. To delete one, set `removed: true`; without its entry the rule stays as it is. `destroy` deletes the rules that the file names.",
			"ECR cannot change the upstream of a rule. A rule for another upstream is an error of the plan.",
			"The password of an upstream is never in the file: [Pull through caches](../guides/upstreams.md) shows where it goes.",
		},
		Example: `registries:
  - {name: prod, account: "111111111111", region: us-east-2}
ecr_repositories: {}
upstreams:
  docker-hub:
    registry: registry-1.docker.io
    credential: arn:aws:secretsmanager:us-east-2:111111111111:secret:ecr-pullthroughcache/hub-AbCdEf
  quay: {registry: quay.io, upstream_prefix: prometheus, registries: [prod]}
  k8s: {registry: registry.k8s.io, removed: true}
  base:
    registry: 222222222222.dkr.ecr.us-east-2.amazonaws.com
    role_arn: arn:aws:iam::111111111111:role/ecr-pull
`,
		schema: schema{"type": "object", "propertyNames": schema{"minLength": MinUpstreamPrefix, "maxLength": MaxUpstreamPrefix, "pattern": Prefix.String()}, "additionalProperties": object("upstreams")},
	},
	{Name: "registry", In: "upstreams", Required: true, Type: "host, with a port if it needs one", Summary: "The registry that is cached (`upstreamRegistryUrl`), such as `registry-1.docker.io`, `ghcr.io` or `quay.io`.", schema: matching(Host.String())},
	{Name: "upstream_prefix", In: "upstreams", Type: "string", Default: "`ROOT`, the whole registry", Summary: "The part of the upstream that the prefix stands for (`upstreamRepositoryPrefix`).", Limit: "2 to 30 characters in the form of repository names",
		schema: schema{"type": "string", "minLength": MinUpstreamPrefix, "maxLength": MaxUpstreamPrefix, "pattern": Prefix.String()}},
	{Name: "credential", In: "upstreams", Type: "ARN of a secret, or name of a credential", Default: "none: no login, or the one that the rule has", Summary: "The login for the upstream (`credentialArn`).",
		Details: []string{"On Amazon ECR it is the ARN of a secret in AWS Secrets Manager whose name begins with `ecr-pullthroughcache/`. On a Kontor registry it can also be the name of a credential of `kontor upstreams login`."},
		schema:  textOf(1, MaxARN)},
	{Name: "role_arn", In: "upstreams", Type: "ARN of a role", Default: "none, or the one that the rule has", Summary: "The role for an upstream that is a private Amazon ECR registry in another account (`customRoleArn`).", schema: matching(RoleARN.String())},
	{Name: "removed", In: "upstreams", Type: "`true` or `false`", Default: "`false`", Summary: "Whether `apply` deletes the rule. Repositories and images that came by it stay.", schema: schema{"type": "boolean"}},
	{Name: "registries", In: "upstreams", Type: "list of names", Default: "all", Summary: "The entries of `registries` at the top of the file that get the rule.", schema: uniqueListOf(schema{"type": "string"})},
	{
		Name: "signers", Type: "mapping from names to signers", Default: "none",
		Summary: "Whose signatures of images are trusted. Policies ask for them with the condition key `kontor:SignedBy`.",
		Becomes: "a signer of each registry of Kontor; Amazon ECR has none, which is an error of the plan",
		Limit:   "100 signers in a registry; a name has 2 to 64 letters, digits and underscores",
		Details: []string{
			"A signer is known by exactly one of `key`, `identity` and `certificates`. Keys and certificates are public, so they are in the file itself.",
			"Kontor changes only signers that the file names. To delete one, set `removed: true`; without its entry the signer stays as it is. `destroy` deletes the signers that the file names.",
			"[Let only signed images be pulled](../guides/signatures.md) shows the policies.",
		},
		Example: `registries:
  - {name: prod, account: "111111111111", region: us-east-2, endpoint: "https://registry.example"}
ecr_repositories: {}
signers:
  release:
    repositories: ["prod/*"]
    key: |
      -----BEGIN PUBLIC KEY-----
      MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEz9iXeQ/sKSYXtw5FX08cWumbSASr
      xu17GK9fbRltUMwaz9f/vGt+u2YdfdWcXCfjW9IDvjqy1iiKrQXR2dztew==
      -----END PUBLIC KEY-----
  ops:
    certificates: |
      -----BEGIN CERTIFICATE-----
      MIIBszCCAVmgAwIBAgIUVQL8y/6cd09DAU79EQB3OhAp+tAwCgYIKoZIzj0EAwIw
      LjELMAkGA1UEBhMCREUxEDAOBgNVBAoMB0V4YW1wbGUxDTALBgNVBAMMBHJvb3Qw
      IBcNMjYxMjAxMDYwMjQwWhgPMjEyNjExMDcwNjAyNDBaMC4xCzAJBgNVBAYTAkRF
      MRAwDgYDVQQKDAdFeGFtcGxlMQ0wCwYDVQQDDARyb290MFkwEwYHKoZIzj0CAQYI
      KoZIzj0DAQcDQgAEz9iXeQ/sKSYXtw5FX08cWumbSASrxu17GK9fbRltUMwaz9f/
      vGt+u2YdfdWcXCfjW9IDvjqy1iiKrQXR2dzte6NTMFEwHQYDVR0OBBYEFBtxdRYm
      GtnaesWjj6u+w0/kQznoMB8GA1UdIwQYMBaAFBtxdRYmGtnaesWjj6u+w0/kQzno
      MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAMlXRrGemmGWYDpG
      uYD+jgtY60wBeHmwOHBgkU8Eta9KAiAMjbzUmzbBwMhqESzTVrtkbj2/MX8gJmTN
      G1plNpoukA==
      -----END CERTIFICATE-----
    subject: C=DE, O=Example, CN=release
    registries: [prod]
  former:
    identity: https://github.com/example/app/.github/workflows/*
    issuer: https://token.actions.githubusercontent.com
    trusted_root: '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
    removed: true
`,
		schema: schema{"type": "object", "propertyNames": schema{"pattern": SignerName.String()}, "additionalProperties": object("signers")},
	},
	{Name: "repositories", In: "signers", Type: "list of patterns", Default: "all", Summary: "The repositories that the signer is trusted in; `*` stands for any characters.", Limit: "100 patterns", schema: uniqueListOf(schema{"type": "string"})},
	{Name: "key", In: "signers", Type: "public key in PEM", Default: "none", Summary: "The key that the signer signs with, such as `cosign.pub`.", schema: textOf(1, MaxSignerText)},
	{Name: "identity", In: "signers", Type: "string", Default: "none", Summary: "The subject of the signer's certificates, an address or a URL; `*` stands for any characters. It needs `issuer` and `trusted_root`.", schema: textOf(1, MaxSignerText)},
	{Name: "issuer", In: "signers", Type: "URL", Default: "none", Summary: "The OpenID Connect issuer that knows the identity.", schema: textOf(1, MaxSignerText)},
	{Name: "trusted_root", In: "signers", Type: "JSON as a string", Default: "none", Summary: "The trusted root of the Sigstore instance that makes the certificates; `cosign trusted-root create` writes one.", schema: textOf(1, MaxSignerText)},
	{Name: "certificates", In: "signers", Type: "certificates in PEM", Default: "none", Summary: "The root certificates of signatures of notation.", Limit: "20 certificates", schema: textOf(1, MaxSignerText)},
	{Name: "subject", In: "signers", Type: "string", Default: "any", Summary: "Attributes that the subject of the certificate must have, such as `C=DE, O=Example, CN=release`.", schema: textOf(1, MaxARN)},
	{Name: "removed", In: "signers", Type: "`true` or `false`", Default: "`false`", Summary: "Whether `apply` deletes the signer.", schema: schema{"type": "boolean"}},
	{Name: "registries", In: "signers", Type: "list of names", Default: "all", Summary: "The entries of `registries` at the top of the file that get the signer.", schema: uniqueListOf(schema{"type": "string"})},
	{
		Name: "event_receivers", Type: "mapping from names to receivers", Default: "none",
		Summary: "Webhooks that are told of what happens in the registries: pushes, deletions, expiry, denials and more.",
		Becomes: "a receiver of each registry of Kontor; Amazon ECR has none, which is an error of the plan",
		Limit:   "20 receivers in a registry; a name has 1 to 64 lower-case letters, digits, dots, underscores and hyphens",
		Details: []string{
			"The operator of the server lists the hosts that receivers may be on; `apply` fails for others.",
			"Secrets are not in the file. With `secret_env`, `apply` sends the value of that environment variable when it creates or changes the receiver. Registries do not show secrets, so a new value alone is no change: set it with `kontor admin events add NAME --secret-file FILE`. Without `secret_env`, the server makes a secret; `kontor admin events add NAME --rotate-secret` prints one.",
			"Kontor changes only receivers that the file names. To delete one, set `removed: true`; without its entry the receiver stays as it is. `destroy` deletes the receivers that the file names. Headers of receivers are set with `kontor admin events add` and stay.",
			"[Events](../guides/events.md) shows what receivers get.",
		},
		Example: `registries:
  - {name: prod, account: "111111111111", region: us-east-2, endpoint: "https://registry.example"}
ecr_repositories: {}
event_receivers:
  deploy:
    url: https://hooks.example.com/kontor
    types: [image.pushed, "tag.*"]
    repositories: ["prod/*"]
    secret_env: KONTOR_HOOK_SECRET
    registries: [prod]
  audit:
    url: https://hooks.example.com/audit
    format: cloudevents
    types: ["*.denied"]
  former:
    removed: true
`,
		schema: schema{"type": "object", "propertyNames": schema{"pattern": ReceiverName.String()}, "additionalProperties": object("event_receivers")},
	},
	{Name: "url", In: "event_receivers", Type: "URL", Default: "none: required unless `removed`", Summary: "Where events are sent to, without a user, password, query and fragment.", schema: matching("^https?://[^/?#@]+(/[^?#]*)?$")},
	{Name: "format", In: "event_receivers", Type: "format", Default: "`eventbridge`", Summary: "How events are written: `eventbridge` as Amazon ECR does, `cloudevents` as CloudEvents 1.0 in JSON, `cloudevents-binary` with the attributes in headers.", schema: schema{"enum": EventFormats}},
	{Name: "types", In: "event_receivers", Type: "list of types", Default: "all", Summary: "The types of events to send; `*` stands for any characters.", schema: uniqueListOf(schema{"type": "string"})},
	{Name: "repositories", In: "event_receivers", Type: "list of patterns", Default: "all", Summary: "The repositories whose events to send; `*` stands for any characters.", schema: uniqueListOf(schema{"type": "string"})},
	{Name: "secret_env", In: "event_receivers", Type: "name of an environment variable", Default: "none: the server makes a secret", Summary: "The environment variable of `apply` that has the secret which requests are signed with.", schema: matching(EnvironmentVariable.String())},
	{Name: "removed", In: "event_receivers", Type: "`true` or `false`", Default: "`false`", Summary: "Whether `apply` deletes the receiver with what waits for it.", schema: schema{"type": "boolean"}},
	{Name: "registries", In: "event_receivers", Type: "list of names", Default: "all", Summary: "The entries of `registries` at the top of the file that get the receiver.", schema: uniqueListOf(schema{"type": "string"})},
	{
		Name: "replication", Type: "list of rules", Default: "none",
		Summary: "What the registries copy to other registries as it is pushed.",
		Becomes: "the replication configuration of each registry, and statements of the registry policies of destinations in other accounts",
		Limit:   "10 rules and 25 destinations in a registry, 100 prefixes in a rule",
		Details: []string{
			"With this field, the file has the whole replication configuration of each of its registries: rules that it does not list are removed. `replication: []` removes all. Without the field, Kontor leaves replication alone. `destroy` removes the rules that the file lists.",
			"A destination in another account must let images in. If it is a registry of the file, `apply` adds a statement to its registry policy, unless the policy allows it already. Its Sid is `KontorReplicationFrom` and the account. Other statements stay.",
			"`tags`, `exclude` and `deletions` are options of a destination, which only registries of Kontor have. Amazon ECR has none, which is an error of the plan. Rules with the same destination need the same options.",
			"Images that were pushed before the rule are not copied: `kontor admin replication backfill start` copies them. [Replicate images](../guides/replication.md) has the rest.",
		},
		Example: `registries:
  - {name: prod, account: "111111111111", region: us-east-1, endpoint: "https://registry.example"}
  - {name: standby, account: "111111111111", region: eu-west-1, endpoint: "https://standby.example"}
  - {name: partner, account: "222222222222", region: us-east-1, endpoint: "https://partner.example"}
ecr_repositories:
  prod/api: {}
  shared/base: {}
replication:
  - to: [standby]
    registries: [prod]
    exclude: [prod/scratch/]
    deletions: true
  - to: [partner, 333333333333/us-east-1]
    registries: [prod]
    prefixes: [shared/]
    tags: ["v*"]
`,
		schema: listOf(object("replication")),
	},
	{Name: "to", In: "replication", Required: true, Type: "list of registries", Summary: "The destinations: names of `registries` of the file, `ACCOUNT/REGION`, or `REGION` for another region of the registry's own account.",
		Details: []string{"A registry is not a destination of its own rules. So a rule for all registries with all of them as destinations copies each to the others."},
		schema:  schema{"type": "array", "items": textOf(1, MaxARN), "minItems": 1}},
	{Name: "prefixes", In: "replication", Type: "list of prefixes of repository names", Default: "all repositories", Summary: "Which repositories are copied: those whose names begin with one of them.", Limit: "100 prefixes", schema: listOf(prefixSchema)},
	{Name: "registries", In: "replication", Type: "list of names", Default: "all", Summary: "The entries of `registries` at the top of the file that have the rule.", schema: uniqueListOf(schema{"type": "string"})},
	{Name: "tags", In: "replication", Type: "list of patterns", Default: "all images", Summary: "Only images with a tag that matches one of them are copied, and what belongs to these; `*` stands for any characters. Only on registries of Kontor.", schema: listOf(matching(ExclusionPattern.String()))},
	{Name: "exclude", In: "replication", Type: "list of prefixes of repository names", Default: "none", Summary: "Repositories that are not copied to these destinations. Only on registries of Kontor.", schema: listOf(prefixSchema)},
	{Name: "deletions", In: "replication", Type: "`true` or `false`", Default: "`false`", Summary: "Whether images and tags that are deleted in the registry are deleted at the destinations. Only on registries of Kontor, and for destinations on the same server.", schema: schema{"type": "boolean"}},
	{
		Name: "lifecycle_tests", Type: "list of mappings", Default: "none",
		Summary: "Expectations of what the lifecycle policies do to example images, so that a rule that would remove a release is found before it does.",
		Becomes: "no setting: `kontor plan` and `kontor lifecycle test` run them",
		Limit:   "none",
		Details: []string{"`kontor lifecycle test` runs the tests without reaching a registry. `plan` and `apply` run them too, and fail if a test fails."},
		Example: `ecr_repositories:
  scraper:
    expiration_rules:
      - {tag_pattern: "pr-*", days: 7}
lifecycle_tests:
  - {image: {tags: [release-1], age_days: 300, pulled_days_ago: 2}, expect: kept}
  - {repository: scraper, image: {tags: [pr-17], age_days: 8, newer: 3}, expect: expired}
  - {image: {tags: [pr-18], age_days: 2, archived_days_ago: 1}, expect: archived}
`,
		schema: listOf(object("lifecycle_tests")),
	},
	{Name: "repository", In: "lifecycle_tests", Type: "repository name", Default: "each repository", Summary: "The repository whose policy is tested.", schema: schema{"type": "string"}},
	{Name: "image", In: "lifecycle_tests", Required: true, Type: "mapping", Summary: "The example image.", schema: object("lifecycle_tests.image")},
	{Name: "tags", In: "lifecycle_tests.image", Type: "list of strings", Default: "none: untagged", Summary: "The image's tags.", schema: listOf(matching(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`))},
	{Name: "age_days", In: "lifecycle_tests.image", Required: true, Type: "number", Summary: "Days since its push, fractions allowed.", schema: numberOf(0, MaxDaysAgo)},
	{Name: "pulled_days_ago", In: "lifecycle_tests.image", Type: "number", Default: "never", Summary: "Days since its last pull.", schema: numberOf(0, MaxDaysAgo)},
	{Name: "archived_days_ago", In: "lifecycle_tests.image", Type: "number", Default: "not archived", Summary: "Days since it was archived.", schema: numberOf(0, MaxDaysAgo)},
	{Name: "newer", In: "lifecycle_tests.image", Type: "whole number", Default: "`0`", Summary: "How many images with the same tags were pushed after it, for rules that count images.", schema: integerOf(0, MaxNewer)},
	{Name: "expect", In: "lifecycle_tests", Required: true, Type: "`kept`, `expired` or `archived`", Summary: "What must happen to it.", schema: schema{"enum": []any{"kept", "expired", "archived"}}},
	{
		Name: "access_tests", Type: "list of mappings", Default: "none",
		Summary: "What a principal must and must not be allowed to do. `kontor plan` and `kontor access test` run these tests.",
		Becomes: "no setting",
		Limit:   "none",
		Details: []string{"An entry has `allow`, `deny` or both."},
		Example: `ecr_repositories:
  api:
    additional_pull_account_ids: ["333333333333"]
access_tests:
  - principal: "333333333333"
    repository: api
    allow: [pull]
    deny: [push, delete, admin]
  - principal: arn:aws:iam::111111111111:role/ci
    deny: ["ecr:SetRepositoryPolicy"]
`,
		schema: listOf(object("access_tests")),
	},
	{Name: "principal", In: "access_tests", Required: true, Type: "string", Summary: "An account id, the ARN of an account's root, a role, a user or a session, or the name of a service.", schema: textOf(1, MaxARN)},
	{Name: "repository", In: "access_tests", Type: "repository name, with `*` for any characters", Default: "each repository", Summary: "The repositories in which it is tested.", schema: matching(RepositoryGlob.String())},
	{Name: "allow", In: "access_tests", Type: "list", Default: "none", Summary: "`pull`, `push`, `delete`, `admin`, or actions such as `ecr:PutImage`: what must be allowed.", schema: listOf(matching(Right.String()))},
	{Name: "deny", In: "access_tests", Type: "list", Default: "none", Summary: "The same, for what must not be allowed.", schema: listOf(matching(Right.String()))},
	{
		Name: "promotions", Type: "list of mappings", Default: "none",
		Summary: "Routes by which images go from one registry to others.",
		Becomes: "no setting: `kontor promote` takes them",
		Limit:   "none",
		Details: []string{
			"`kontor promote IMAGE --to REGISTRY` and `kontor promote --route NAME` use them: [Promote images](../guides/promotion.md).",
			"An image keeps its tag, and its repository's name, except for the parts in `from` and `to`. A repository that does not exist at the destination is created with the settings of the file, if the file has it for that registry.",
		},
		Example: `registries:
  - {name: staging, account: "111111111111", region: us-east-2}
  - {name: prod, account: "222222222222", region: us-east-2}
ecr_repositories:
  team/api: {}
promotions:
  - name: release
    from: staging
    to: [prod]
    repositories: ["team/*"]
    tags: ["v*", latest]
    newest: 5
    move: [latest]
    require:
      platforms: [linux/amd64, linux/arm64]
      signature: true
      sbom: true
      referrers: [application/spdx+json]
      min_age_hours: 24
      signed_by: [release]
      scanned: true
      max_severity: HIGH
      verify: [cosign, verify, --key, cosign.pub, "{image}"]
  - {name: trial, from: staging, to: [prod], repositories: ["trial/*"], record: false}
  - {name: mirror, from: docker.io/library, to: [prod/mirror], repositories: [alpine], tags: ["3.*"], newest: 3}
`,
		schema: listOf(object("promotions")),
	},
	{Name: "name", In: "promotions", Required: true, Type: "string", Summary: "The name of the route, unique, in the form of a registry's name.", schema: matching(RegistryName.String())},
	{Name: "from", In: "promotions", Required: true, Type: "name of a registry", Summary: "The registry that images come from. With a slash it is a part of the registry, the repositories whose names begin like that: `central/dev`. For a registry that is not in the file it is the host and that part: `docker.io/library`.", schema: matching(Place.String())},
	{Name: "to", In: "promotions", Required: true, Type: "list of names of registries", Summary: "The registries that they go to, in the same form: of `central/prod` the repositories whose names begin with `prod/`.", schema: schema{"type": "array", "items": matching(Place.String()), "minItems": 1}},
	{Name: "repositories", In: "promotions", Type: "list of names, with `*` for any characters", Default: "`[\"*\"]`, all", Summary: "The repositories that take this route, without the parts of names in `from` and `to`.", schema: listOf(matching(RepositoryGlob.String()))},
	{Name: "tags", In: "promotions", Type: "list of [tag patterns](../tag-patterns.md)", Default: "`[\"*\"]`, all", Summary: "The images that take this route, by their tags.", schema: listOf(tagPatternSchema)},
	{Name: "newest", In: "promotions", Type: "whole number", Default: "all", Summary: "How many images of each repository take this route: those that were pushed last.", schema: integerOf(1, MaxCount)},
	{Name: "move", In: "promotions", Type: "list of [tag patterns](../tag-patterns.md)", Default: "none", Summary: "The tags that may be taken from another image at the destination, such as `latest`. Immutable tags never move.", schema: listOf(tagPatternSchema)},
	{Name: "record", In: "promotions", Type: "boolean", Default: "`true`", Summary: "Leave a record with each promoted image, which `kontor promote history` reads.", schema: schema{"type": "boolean"}},
	{Name: "require", In: "promotions", Type: "mapping", Default: "none", Summary: "Conditions for an image to be promoted. One that does not meet all of them is refused, and nothing of it is sent.", schema: object("promotions.require")},
	{Name: "platforms", In: "promotions.require", Type: "list of platforms", Default: "none", Summary: "The platforms that the image must have, as `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`.", schema: listOf(matching(Platform.String()))},
	{Name: "referrers", In: "promotions.require", Type: "list of artifact types", Default: "none", Summary: "The artifacts that must refer to the image, or to each of its platforms, by their types.", schema: listOf(matching(ArtifactType.String()))},
	{Name: "signature", In: "promotions.require", Type: "boolean", Default: "`false`", Summary: "A signature of cosign or notation must exist. It is not verified: `signed_by` and `verify` do that.", schema: schema{"type": "boolean"}},
	{Name: "sbom", In: "promotions.require", Type: "boolean", Default: "`false`", Summary: "An SBOM in SPDX or CycloneDX must exist: as a referrer, as an attestation of buildx or cosign, or under cosign's tag.", schema: schema{"type": "boolean"}},
	{Name: "min_age_hours", In: "promotions.require", Type: "whole number", Default: "none", Summary: "Hours that the image must have been in the registry that it comes from, counted from its push.", schema: integerOf(1, MaxAgeHours)},
	{Name: "signed_by", In: "promotions.require", Type: "list of names", Default: "none", Summary: "Signers, each of whom must have signed the image. Signatures of a signer that the file has under `signers` are verified here, wherever the image comes from. Of others, the registry is asked that it comes from: for its own signers if it is Kontor, for signing profiles of AWS Signer if it is Amazon ECR.", schema: listOf(matching(SignerName.String()))},
	{Name: "scanned", In: "promotions.require", Type: "boolean", Default: "`false`", Summary: "A scan of the image must be complete in the registry that it comes from: of an index, those of all its platforms.", schema: schema{"type": "boolean"}},
	{Name: "max_severity", In: "promotions.require", Type: "severity", Default: "none", Summary: "The highest severity that the scan may have found: `CRITICAL`, `HIGH`, `MEDIUM`, `LOW`, `INFORMATIONAL`, `UNDEFINED`, or `NONE` for no finding. The scan must be complete.", schema: schema{"enum": Severities}},
	{Name: "verify", In: "promotions.require", Type: "list of strings", Default: "none", Summary: "A command that must succeed, and its arguments. `{image}` in it becomes the image's name with its digest. It is run without a shell, after all other conditions.", schema: listOf(schema{"type": "string"})},
	{
		Name: "plan", Type: "mapping", Default: "none",
		Summary: "Limits on what a plan may do.",
		Becomes: "no setting: `plan` and `apply` enforce it",
		Limit:   "none",
		Example: "plan: {max_expire: 10%}\necr_repositories:\n  website: {}\n",
		schema:  object("plan"),
	},
	{Name: "max_expire", In: "plan", Type: "whole number, or a share such as `10%`", Default: "no limit", Summary: "How many images of one repository a change of its lifecycle policy may expire at once. `plan` and `apply` fail above it.",
		Details: []string{"A share is 0 to 100 percent of the repository's images, fractions allowed."}, schema: schema{"anyOf": []any{integerOf(0, MaxBudget), matching(Share.String())}}},
}
