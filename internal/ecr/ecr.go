// Package ecr is the vocabulary that every other package shares: registries,
// repository names, ARNs, digests, tags, image descriptions and the one error
// type that crosses packages. It parses and prints; it decides nothing.
//
// Patterns and lengths come from the ECR API model, version 2015-09-21.
package ecr

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"time"
)

// AccountID is an AWS account number: exactly 12 digits, for example
// "000000000000".
type AccountID string

// ParseAccountID checks that s is 12 digits.
func ParseAccountID(s string) (AccountID, error) {
	if len(s) != 12 || !only(s, digits) {
		return "", fmt.Errorf("account id %q: want exactly 12 digits", s)
	}
	return AccountID(s), nil
}

// Region is an AWS region name, for example "us-east-1".
type Region string

// ParseRegion checks that s has the form of a region name. It does not know
// which regions exist.
func ParseRegion(s string) (Region, error) {
	if len(s) < 2 || len(s) > 25 || !only(s, digits|lower|dash) {
		return "", fmt.Errorf("region %q: want 2 to 25 lower-case letters, digits and '-', such as us-east-1", s)
	}
	return Region(s), nil
}

// Partition is the first word of every ARN of the region: "aws", "aws-cn" or
// "aws-us-gov".
func (r Region) Partition() string {
	switch {
	case strings.HasPrefix(string(r), "cn-"):
		return "aws-cn"
	case strings.HasPrefix(string(r), "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// DNSSuffix is the domain under which AWS serves the region:
// "amazonaws.com" or "amazonaws.com.cn".
func (r Region) DNSSuffix() string {
	if r.Partition() == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// RegistryID names one registry: an account in a region.
type RegistryID struct {
	Account AccountID
	Region  Region
}

// String is "account/region", for logs and messages.
func (r RegistryID) String() string { return string(r.Account) + "/" + string(r.Region) }

// ReplicatedFromHeader is the header of a push by which one server tells another one the
// registries that the image was replicated through, such as
// "111111111111/us-east-1,222222222222/eu-west-1": the image does not go back to them.
const ReplicatedFromHeader = "Kontor-Replicated-From"

// Host is the host name AWS gives the registry's docker endpoint.
func (r RegistryID) Host() string { return r.HostWith(false, false) }

// HostWith is Host of the FIPS endpoint, or of the one that has IPv6, too, for
// example "111111111111.dkr-ecr-fips.us-east-1.on.aws". Source: ECR user guide,
// "Amazon ECR endpoints".
func (r RegistryID) HostWith(fips, dualStack bool) string {
	name, suffix := "dkr.ecr", r.Region.DNSSuffix()
	if dualStack {
		name, suffix = "dkr-ecr", "on.aws"
		if r.Region.Partition() == "aws-cn" {
			suffix = "on.amazonwebservices.com.cn"
		}
	}
	if fips {
		name += "-fips"
	}
	return fmt.Sprintf("%s.%s.%s.%s", r.Account, name, r.Region, suffix)
}

// LocalRegistry is the registry of a machine where nothing says another. AWS has
// no account of this number.
func LocalRegistry() RegistryID { return RegistryID{Account: "000000000000", Region: "us-east-1"} }

// RepositoryARN is the ARN of the repository name in r.
func (r RegistryID) RepositoryARN(name RepositoryName) string {
	return fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", r.Region.Partition(), r.Region, r.Account, name)
}

// IAMARN is the ARN of something of IAM in an account, for example
// "arn:aws:iam::111111111111:role/ci" for the resource "role/ci". Policies of AWS
// itself are in the account "aws". IAM has no regions (IAM user guide, "IAM
// identifiers").
func IAMARN(partition string, account AccountID, resource string) string {
	return "arn:" + partition + ":iam::" + string(account) + ":" + resource
}

// Repo names a repository.
type Repo struct {
	In   RegistryID
	Name RepositoryName
}

// Repo is the repository name in r.
func (r RegistryID) Repo(name RepositoryName) Repo { return Repo{In: r, Name: name} }

// ARN of the repository.
func (r Repo) ARN() string { return r.In.RepositoryARN(r.Name) }

// ParseRepositoryARN takes a repository's ARN apart. It is the inverse of
// RepositoryARN.
func ParseRepositoryARN(s string) (RegistryID, RepositoryName, error) {
	bad := func() (RegistryID, RepositoryName, error) {
		return RegistryID{}, "", fmt.Errorf("%q is not the ARN of a repository", s)
	}
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[2] != "ecr" {
		return bad()
	}
	name, ok := strings.CutPrefix(p[5], "repository/")
	if !ok {
		return bad()
	}
	region, err := ParseRegion(p[3])
	if err != nil || region.Partition() != p[1] {
		return bad()
	}
	account, err := ParseAccountID(p[4])
	if err != nil {
		return bad()
	}
	repo, err := ParseRepositoryName(name)
	if err != nil {
		return bad()
	}
	return RegistryID{account, region}, repo, nil
}

// RepositoryName is a repository's name within its registry, 2 to 256
// characters, for example "team/website".
type RepositoryName string

// RepositoryNamePattern is the expression ECR quotes when a name does not
// match; the whole name must match it.
const RepositoryNamePattern = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`

// Lengths of a repository name.
const (
	MinRepositoryName = 2
	MaxRepositoryName = 256
)

// ParseRepositoryName checks s. The error is an InvalidParameterException in
// ECR's words.
func ParseRepositoryName(s string) (RepositoryName, error) {
	switch {
	case len(s) < MinRepositoryName:
		return "", InvalidParameter("repositoryName", "must have length greater than or equal to %d", MinRepositoryName)
	case len(s) > MaxRepositoryName:
		return "", InvalidParameter("repositoryName", "must have length less than or equal to %d", MaxRepositoryName)
	case !isRepositoryName(s):
		return "", InvalidParameter("repositoryName", "must satisfy regular expression '%s'", RepositoryNamePattern)
	}
	return RepositoryName(s), nil
}

// Tag is an image tag, 1 to 128 characters of the OCI grammar, for example
// "1.4.2".
type Tag string

// TagPattern is the expression ECR quotes for malformed tags.
const TagPattern = `[a-zA-Z0-9-_.]+`

// ParseTag checks s against the OCI distribution grammar.
func ParseTag(s string) (Tag, error) {
	if s == "" || len(s) > 128 || !only(s[:1], digits|lower|upper|underscore) || !only(s, digits|lower|upper|underscore|dash|dot) {
		return "", InvalidParameter("imageTag", "must satisfy regular expression '%s'", TagPattern)
	}
	return Tag(s), nil
}

// Digest names content: an algorithm and the lower-case hex of its hash, for
// example "sha256:e3b0c442...". sha256 and sha512 are known.
type Digest string

// DigestPattern is the expression ECR quotes for malformed digests.
const DigestPattern = `[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`

// ParseDigest checks that s is a sha256 or sha512 digest of full length.
func ParseDigest(s string) (Digest, error) {
	if !isDigest(s) {
		return "", InvalidParameter("imageDigest", "must satisfy regular expression '%s'", DigestPattern)
	}
	return Digest(s), nil
}

// Algorithm is "sha256" or "sha512".
func (d Digest) Algorithm() string { a, _, _ := strings.Cut(string(d), ":"); return a }

// Hash is a new hash of d's algorithm.
func (d Digest) Hash() hash.Hash {
	if d.Algorithm() == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// DigestOf is the sha256 digest of b.
func DigestOf(b []byte) Digest {
	s := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(s[:]))
}

// Verifies reports whether b is the content d names.
func (d Digest) Verifies(b []byte) bool {
	h := d.Hash()
	h.Write(b)
	return string(d) == d.Algorithm()+":"+hex.EncodeToString(h.Sum(nil))
}

// ImageID names an image in a repository by digest, by tag, or by both (which
// must then agree).
type ImageID struct {
	Digest Digest
	Tag    Tag
}

// String is ECR's form in error texts, with 'null' for the absent half.
func (id ImageID) String() string {
	return fmt.Sprintf("{imageDigest:'%s', imageTag:'%s'}", cmp.Or(string(id.Digest), "null"), cmp.Or(string(id.Tag), "null"))
}

// TagMutability is a repository's imageTagMutability.
type TagMutability string

// The four modes. The _WITH_EXCLUSION modes hold for all tags but those that
// match a filter.
const (
	Mutable                TagMutability = "MUTABLE"
	Immutable              TagMutability = "IMMUTABLE"
	MutableWithExclusion   TagMutability = "MUTABLE_WITH_EXCLUSION"
	ImmutableWithExclusion TagMutability = "IMMUTABLE_WITH_EXCLUSION"
)

// Mutability is a repository's mode together with its exclusion filters.
type Mutability struct {
	Mode TagMutability
	// Filters are wildcards, '*' matching any run of characters; used by the
	// _WITH_EXCLUSION modes only.
	Filters []string
}

// IsImmutable reports whether tag, once it exists, cannot be pushed again.
func (m Mutability) IsImmutable(tag Tag) bool {
	excluded := false
	for _, f := range m.Filters {
		if MatchWildcard(f, string(tag)) {
			excluded = true
			break
		}
	}
	switch m.Mode {
	case Immutable:
		return true
	case ImmutableWithExclusion:
		return !excluded
	case MutableWithExclusion:
		return excluded
	}
	return false
}

// MatchWildcard reports whether the whole of s matches pattern, in which '*'
// matches any run of characters, also none. It takes time linear in
// len(s) for each '*' of the pattern.
func MatchWildcard(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, last)
}

// Encryption is a repository's encryptionConfiguration. It cannot be changed
// after creation.
type Encryption struct {
	Type   string // AES256, KMS or KMS_DSSE
	KMSKey string
}

// Image describes one image of a repository.
type Image struct {
	Digest    Digest
	Tags      []Tag // in byte order; none for an untagged image
	MediaType string
	// ArtifactMediaType is the config's media type, or the manifest's
	// artifactType where the config is the empty descriptor.
	ArtifactMediaType string
	// SizeBytes is the sum of the compressed layers and the config; for an
	// index, the size of its largest image.
	SizeBytes    int64
	PushedAt     time.Time // UTC; not changed by retagging
	LastPulledAt time.Time // zero when never pulled
	Subject      Digest    // of a referrer; empty otherwise
	// Scan is that of the image, where the reader wants it; nil for none.
	Scan *Scan
	// Status is the image's storage class. ArchivedAt and ActivatedAt are when
	// it was last archived and last brought back; zero for never.
	Status      ImageStatus
	ArchivedAt  time.Time
	ActivatedAt time.Time
}

// ImageStatus is an image's imageStatus.
type ImageStatus string

// The three statuses: an archived image cannot be pulled before it has been
// brought back, and is activating meanwhile.
const (
	StatusActive     ImageStatus = "ACTIVE"
	StatusArchived   ImageStatus = "ARCHIVED"
	StatusActivating ImageStatus = "ACTIVATING"
)

// TagStatus selects images by whether they have tags.
type TagStatus string

// Tag statuses of the API's filters; empty means any.
const (
	TagStatusAny      TagStatus = "ANY"
	TagStatusTagged   TagStatus = "TAGGED"
	TagStatusUntagged TagStatus = "UNTAGGED"
)

// Selects reports whether s selects an image that is tagged, or is not.
func (s TagStatus) Selects(tagged bool) bool {
	switch s {
	case TagStatusTagged:
		return tagged
	case TagStatusUntagged:
		return !tagged
	}
	return true
}
