package fields

import (
	"math"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// Forms of texts. The schema publishes them, and files are checked by them.
var (
	RegistryName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	// A registry's name or a host, and the first part of names of repositories.
	Place = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*((:[0-9]{1,5})?/[a-z0-9]([a-z0-9._/-]*[a-z0-9])?)?$`)
	// EKS API reference, CreateCluster, name
	ClusterName    = lazyregexp.New(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
	RepositoryGlob = lazyregexp.New(`^[a-z0-9._/*-]{1,256}$`) // of names of repositories
	// ECR API model, Prefix and PullThroughCacheRuleRepositoryPrefix
	Prefix = lazyregexp.New(`^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*/?|ROOT)$`)
	// ECR API model, RepositoryFilterValue
	ReplicationPrefix = lazyregexp.New(`^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$`)
	// SignerName is that of trust.CheckName.
	SignerName = lazyregexp.New(`^[a-zA-Z0-9_]{2,64}$`)
	// ReceiverName is that of the names of receivers of events.
	ReceiverName        = lazyregexp.New(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	EnvironmentVariable = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

	Host = lazyregexp.New(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)
	// ECR API model, CredentialArn; a Kontor registry keeps it below the same prefix
	CredentialARN  = lazyregexp.New(`^arn:aws(-\w+)*:secretsmanager:[a-zA-Z0-9-:]+:secret:ecr-pullthroughcache/[a-zA-Z0-9/_+=.@-]+$`)
	CredentialName = lazyregexp.New(`^[A-Za-z0-9/_+=.@-]{1,200}$`)
	Right          = lazyregexp.New(`^(pull|push|delete|admin|ecr:[A-Za-z]+)$`)
	Share          = lazyregexp.New(`^([0-9]{1,3}(\.[0-9]{1,4})?)%$`)

	RoleARN      = lazyregexp.New(`^arn:(aws[a-z-]*):iam::[0-9]{12}:role/[\w+=,.@/-]*[\w+=,.@-]$`)
	PrincipalARN = lazyregexp.New(`^arn:aws[a-z-]*:(iam::[0-9]{12}:(role|user)/[\w+=,.@/-]*[\w+=,.@-]|sts::[0-9]{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+)$`)
	ServiceName  = lazyregexp.New(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?$`)
	SourceARN    = lazyregexp.New(`^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9*?-]*:[0-9*?]*:[^\s]+$`)
	// AWS Organizations API reference, Organization, Id
	OrganizationID = lazyregexp.New(`^o-[a-z0-9]{10,32}$`)

	// OCI image specification, "platform" of an index; RFC 6838, "Naming
	// Requirements", without parameters, which ECR refuses.
	Platform     = lazyregexp.New(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$`)
	ArtifactType = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$`)

	TagPattern       = lazyregexp.New(`^[A-Za-z0-9._*-]*$`) // of tag patterns
	ExclusionPattern = lazyregexp.New(`^[0-9a-zA-Z._*-]{1,128}$`)
)

// EncryptionTypes are those of ECR's API model, EncryptionType.
var EncryptionTypes = []string{"AES256", "KMS", "KMS_DSSE"}

// Bounds.
const (
	MaxCount   = math.MaxInt32 // of days and images
	MaxBudget  = 1_000_000     // of plan.max_expire: no repository has more images
	MaxNewer   = 100_000       // images that one lifecycle test makes up
	MaxDaysAgo = 36_500        // days: about a hundred years

	MaxAgeHours = 24 * MaxDaysAgo

	// Prefixes and descriptions: ECR API model, Prefix, RepositoryTemplateDescription
	// and PullThroughCacheRuleRepositoryPrefix.
	MaxTemplatePrefix      = 256
	MaxTemplateDescription = 256
	MinUpstreamPrefix      = 2
	MaxUpstreamPrefix      = 30

	MaxARN = 2048
	// Limits of replication: Amazon ECR user guide, "Amazon ECR service quotas".
	MaxReplicationRules        = 10
	MaxReplicationDestinations = 25
	MaxReplicationPrefixes     = 100
	// ECR API model, RepositoryFilterValue.
	MinReplicationPrefix = 2
	MaxReplicationPrefix = 256
	// MaxSignerText is trust.MaxRootBytes.
	MaxSignerText = 256 << 10
	MaxProfile    = 256
	MaxPattern    = 128 // the length of the longest tag

	// Resource tags: ECR API model, Tag; the characters are those of "Tag naming
	// limits and requirements" in the AWS guide to tagging.
	MaxTags     = 50
	MaxTagKey   = 128
	MaxTagValue = 256

	// Exclusion filters. The number is of ECR's API model,
	// ImageTagMutabilityExclusionFilters; that ECR takes two '*' at most is in its
	// guide only.
	MaxExclusions     = 5
	MaxExclusionStars = 2
)

// a Duration must hold what a lifecycle test asks for.
const _ = uint64(math.MaxInt64/(24*time.Hour)) - MaxDaysAgo

// Severities are those that a scan may find at most, the worst first.
var Severities = severities()

func severities() (list []string) {
	for _, s := range append(ecr.Severities(), ecr.SeverityNone) {
		list = append(list, string(s))
	}
	return list
}

// EventFormats are those of internal/events, the default first.
var EventFormats = []string{"eventbridge", "cloudevents", "cloudevents-binary"}

// EventTypes are those of internal/events.
var EventTypes = []string{
	"image.pushed", "image.deleted", "image.expired", "image.restored", "image.purged", "image.archived", "image.activated", "tag.moved", "tag.deleted",
	"repository.created", "repository.deleted", "policy.changed", "pull.denied", "push.denied", "access.denied",
	"lease.taken", "lease.ended", "lease.overdue", "cache.pulled", "image.replicated", "image.scanned",
}
